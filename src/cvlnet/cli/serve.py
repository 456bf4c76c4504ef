"""``cvlnet serve``."""

from __future__ import annotations

from importlib.util import find_spec
from math import radians
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cvlnet.cli.options import PitchError
from cvlnet.config import PITCH_ERROR_DEG, Precision
from cvlnet.errors import InputError

_LIBRARIES = ("fastapi", "uvicorn", "multipart", "rio_tiler")
Port = Parameter(validator=Number(gte=0, lte=65535))
Sessions = Parameter(validator=Number(gte=1, lte=1000))


def serve(
    map: Path,  # noqa: A002
    /,
    *,
    imagery: Path | None = None,
    drive: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    folder: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    host: str = "127.0.0.1",
    port: Annotated[int, Port] = 8080,
    token: str | None = None,
    name: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    state: Path | None = None,
    most_sessions: Annotated[int, Sessions] = 16,
    pitch_error_deg: Annotated[float, PitchError] = PITCH_ERROR_DEG,
    open: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002
    weights: Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    r"""Serve a page that tracks drives on a map, and a JSON API for other programs.

    The page shows how a drive is located: the vehicle on the map with its uncertainty, the camera's frames, the scores
    and the belief. Drives are those of --drive and --folder, uploads, and frames that other programs send. It needs the
    extra: pip install 'cvlnet[serve]'. docs/serve.md describes the API.

    By default only this machine can reach the server. On any other address every request needs a token; without --token
    one is created and printed.

    For example:

        cvlnet serve city.map --folder my_video --open
        cvlnet serve city.map --imagery city.tif --state sessions \
            --drive raw_data/2011_09_26/2011_09_26_drive_0009_sync
        cvlnet serve city.map --host 0.0.0.0 --port 8000

    Args:
        map: Folder of a map that `cvlnet map build` has made.
        imagery: Overhead image for the page, in a format of GDAL, such as the GeoTIFF from which the map was built; by
            default the map's own preview, at the size of its cells.
        drive: KITTI drives that can be tracked.
        folder: Video folders that can be tracked, of frames, camera.json and poses.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        token: Token that requests have to contain; by default none on this machine, and a new one on other addresses.
        name: Additional host names by which requests may address the server, such as that of a proxy.
        state: Folder for the sessions; a later server with the same folder continues them. By default a temporary one.
        most_sessions: Largest number of sessions that are tracked at the same time.
        pitch_error_deg: Largest error of the cameras' stated pitch to allow for, as for cvlnet track.
        open: Opens the page in the browser.
        weights: File of weights; the package's own by default.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoders. bfloat16 is faster on devices that have it; others take float32.

    """
    if (library := missing_library()) is not None:
        remedy = "install the extra: pip install 'cvlnet[serve]'"
        raise InputError(f"needs {library}", where="cvlnet serve", remedy=remedy)

    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from cvlnet.localize import Localizer
    from cvlnet.serve.drives import Drives
    from cvlnet.serve.limits import Limits
    from cvlnet.serve.listen import Address, listen
    from cvlnet.serve.served_map import ServedMap
    from cvlnet.serve.service import Service
    from cvlnet.track.tracker import TrackSpec

    drives = Drives.named(drive, folder)
    with ExitStack() as stack:
        kept = Path(stack.enter_context(TemporaryDirectory(prefix="cvlnet-"))) if state is None else state
        localizer = Localizer(weights, device=device, precision=precision)
        spec = TrackSpec(pitch_error_rad=radians(pitch_error_deg))
        served = ServedMap.opened(map, localizer, imagery, kept, spec)
        _ = drives.infos  # so that a drive that cannot be read is reported now
        service = Service(served, drives, kept, Limits(tracked=most_sessions))
        stack.callback(service.close)
        listen(service, Address(host, port, token, name), show=open)


def missing_library() -> str | None:
    """A library of the extra "serve" that is not installed."""
    return next((name for name in _LIBRARIES if find_spec(name) is None), None)
