"""``cvlnet adapt``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts.types import File

from cvlnet.cli.options import ResourceOptions, Resources, panel
from cvlnet.config import AdaptConfig, RasterHints
from cvlnet.errors import InputError


def adapt(
    source: Path,
    /,
    *,
    imagery: Path,
    out: File,
    track: Path | None = None,
    weights: Path | None = None,
    camera: int = 2,
    adaptation: Annotated[AdaptConfig, panel("Adaptation", AdaptConfig)] = AdaptConfig(),
    resources: ResourceOptions = Resources(),
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
) -> None:
    r"""Adapt weights to your own streets: fine-tune them on a drive whose positions are known to a few metres.

    No labels are needed. A constant offset between the positions and the imagery is estimated first. The end of the
    drive is held out from training, and the result is evaluated there; nothing is written if it is no better than the
    original weights. An interrupted call resumes when it is repeated. The new weights give no confidence until cvlnet
    calibrate has fitted one.

    For example:

        cvlnet adapt my-drive --imagery town.tif --out mine.safetensors
        cvlnet track town.tif --folder another-drive \
            --weights mine.safetensors --out track

    Args:
        source: KITTI drive, or a video folder; with latitudes and longitudes unless --track is given.
        imagery: Overhead image that covers the whole drive.
        out: File of weights to write.
        track: track.jsonl that cvlnet track wrote of this drive: trains on the places that the tracker was sure of
            instead of the drive's own positions.
        weights: File of weights to start from; the package's own by default.
        camera: Camera of a KITTI drive: 2 is the left one, 3 the right one.

    """
    from cvlnet.checkpoint import shipped_weights
    from cvlnet.imagery.georef import open_overhead
    from cvlnet.localize.clip_files import files_of, recording_of
    from cvlnet.track.logged import sure_positions
    from cvlnet.training.adapt import adapt, lines

    recording = recording_of(files_of(source))
    if track is not None:
        positions = sure_positions(track, recording.name)
    elif recording.geographic:
        positions = {frame.index: frame.position for frame in recording.frames}
    else:
        remedy = "give its poses as latitudes and longitudes, or a track of it with --track"
        raise InputError("the drive has no latitudes and longitudes", where=source, remedy=remedy)
    found = adapt(
        recording,
        positions,
        open_overhead(imagery, image),
        weights or shipped_weights(),
        out,
        adaptation,
        camera=camera,
        device=resources.usable_device(),
        workers=resources.workers,
        progress=sys.stderr.isatty(),
    )
    print("\n".join(lines(found)))
    if not found.is_better:
        what = "the adapted weights are no better at the end of the drive than the original ones; nothing is written"
        raise InputError(what, where=source, remedy="drive more streets, or check positions, camera and imagery")
    print(f"{out}: the mean of the original and the adapted weights")
