"""``cvlnet localize``."""

from __future__ import annotations

import sys
from math import radians
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cvlnet.cli.options import AtLeastOne, Metres, PitchError, Share, heading_of, panel
from cvlnet.config import PITCH_ERROR_DEG, ClipFiles, Precision, RasterHints
from cvlnet.errors import InputError

if TYPE_CHECKING:
    from cvlnet.geo import LatLon


def localize(
    map: Path,  # noqa: A002
    /,
    *,
    clip: Annotated[ClipFiles, panel("Clip", ClipFiles)] = ClipFiles(),
    near: Annotated[tuple[float, float] | None, Parameter(negative="")] = None,
    radius_m: Annotated[float | None, Metres] = None,
    heading: str | None = None,
    pitch_error_deg: Annotated[float, PitchError] = PITCH_ERROR_DEG,
    indexed: Annotated[bool, Parameter(negative="")] = False,
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
    weights: Path | None = None,
    share_mapped: Annotated[float | None, Share] = None,
    most: Annotated[int, AtLeastOne] = 10,
    out: Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    r"""Locate a clip on an overhead image, and print the most likely places.

    The image is a GeoTIFF or a folder of them, an MBTiles or PMTiles file, a folder of tiles, a PNG, JPEG or other
    picture with a georef.json or a world file beside it, or a map that `cvlnet map build` has made. The clip comes from
    a KITTI drive, whose true position is then compared with the answer, or from a folder of frames, camera.json and
    poses. The last line states whether the best place can be relied upon.

    For example:

        cvlnet localize map.tif --folder my_video
        cvlnet localize city.map --folder my_video --heading ±20
        cvlnet localize map.tif --folder my_video --pitch-error-deg 5
        cvlnet localize map.png --folder my_video --near 49.0144 8.4319 --radius-m 80
        cvlnet localize dop20.jpg --crs EPSG:25832 --folder my_video --out answer
        cvlnet localize map.png --frame 9 \
            --drive raw_data/2011_09_26/2011_09_26_drive_0002_sync

    Args:
        map: Overhead image (a file or a folder), or the folder of a map that `cvlnet map build` has made.
        near: Latitude and longitude of a place around which to search; by default the whole image is searched.
        radius_m: Radius of the search around that place; 100 by default.
        heading: What is known of the direction in which the camera looks at the newest frame, in degrees
            counter-clockwise from east: "unknown", "±20" around the recorded heading, or "90±20". By default the
            recorded heading is used as it is.
        pitch_error_deg: Largest error of the camera's stated pitch to allow for (two standard deviations), due to its
            calibration, slopes and braking. Pitches 2 degrees apart are tried, and that of each place is printed. 0
            tries only the stated pitch; with a known heading that takes half the time.
        indexed: Takes candidates from the map's index (`cvlnet map index`) instead of comparing every place.
        weights: File of weights; the package's own by default.
        share_mapped: Prior probability that the place is on the map; by default that of the weights.
        most: Largest number of places to print.
        out: Folder for answer.json, answer.geojson and answer.png.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoders. bfloat16 is faster on devices that have it; others take float32.

    """
    from cvlnet.localize import Localizer
    from cvlnet.localize.answer import to_table, verdict
    from cvlnet.localize.request import MapFiles, answer, write_answer

    map_files = MapFiles(map, place_of(near, "--near"), radius_of(radius_m, near, 100.0), image, indexed)
    localizer = Localizer(weights, device=device, precision=precision, share_mapped=share_mapped)
    found = answer(
        localizer,
        clip,
        map_files,
        heading=heading_of(heading),
        pitch_error_rad=radians(pitch_error_deg),
        most=most,
        progress=sys.stderr.isatty(),
    )
    print(to_table(found))
    print(verdict(found))
    if out is not None:
        write_answer(found, out)


def radius_of(radius_m: float | None, near: tuple[float, float] | None, default_m: float) -> float:
    """The radius of what is searched around a place. Raises InputError if it is given without one."""
    if radius_m is not None and near is None:
        remedy = "give --near LATITUDE LONGITUDE, too, or leave --radius-m out"
        raise InputError("is the radius around a place, and no place is given", where="--radius-m", remedy=remedy)
    return default_m if radius_m is None else radius_m


def place_of(near: tuple[float, float] | None, option: str) -> LatLon | None:
    """The place of an option. Raises InputError if it is not on the earth."""
    from cvlnet.geo import LatLon

    try:
        return None if near is None else LatLon.wrapped(*near)
    except ValueError as error:
        raise InputError(str(error), where=option, remedy="give latitude and longitude in degrees") from error
