"""Video files. Frames are decoded in order, and converted to pictures only where they are asked for.

Needs the extra ``video``: pip install 'cvlnet[video]'.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream

from cvlnet.arrays import Rgb
from cvlnet.data.images import MOST_PIXELS, applied_orientation, require_size, seen
from cvlnet.data.journey import Picture
from cvlnet.data.recording import MountedCamera
from cvlnet.data.synchronize import Pictures
from cvlnet.errors import InputError, warn
from cvlnet.image_spec import Window

# what FFmpeg may take a file for: formats that hold their pictures themselves, and no lists of other files or addresses
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,mxf,ivf,h264,hevc,m4v"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_AGAIN = "copy or download it again, or convert it to MP4"
_MISSING_S = 2.0  # of a video's end, so that it counts as cut short
# the signs of a display matrix's a, b, c, d (FFmpeg: x' = a x + c y, y' = b x + d y), as EXIF's orientation
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


def read_video(path: Path, camera: MountedCamera, time_offset_s: float = 0.0) -> Pictures:
    """The frames of a video file by their presentation times, counted from the first frame, plus ``time_offset_s``.

    A video that is to be shown turned is turned as ``camera`` says; see `MountedCamera`. Frames that cannot be decoded,
    or have no time of their own, are left out with a warning; a video that is cut short is told of in the same way.
    Raises InputError if the file is missing, no video, has no times, or is of another size than the camera.
    """
    if not path.is_file():
        raise InputError("the file is missing", where=path, remedy="correct its name")
    about = _inspect(path, camera)
    taken = partial(_taken, path, camera, about, time_offset_s)
    return Pictures(str(path), camera, taken, time_offset_s, time_offset_s + about.last_s - about.first_s)


def frame_count(path: Path) -> int | None:
    """How many frames a video file says that it has, if it does. Raises InputError as `read_video` does."""
    with _opened(path) as (_, stream):
        return stream.frames or None


def read_about(path: Path) -> tuple[tuple[int, int], int, dict[str, str]]:
    """Width and height of a video's frames as stored, their orientation as EXIF counts, and what its metadata say.

    Raises InputError if it is no video, or no frame can be decoded.
    """
    with _opened(path) as (container, stream):
        _require_pixels(stream, path)
        first = next(_decoded(container, stream), None)
        if first is None:
            raise InputError("no frame can be decoded", where=path, remedy=_AGAIN)
        return (first.width, first.height), _orientation(first, path), {**stream.metadata, **container.metadata}


@dataclass(frozen=True)
class _About:
    """A video's first and last presentation time, by its own clock, and how EXIF would call its orientation."""

    first_s: float
    last_s: float
    orientation: int


def _inspect(path: Path, camera: MountedCamera) -> _About:
    """What the first frame and the end of the file say. Raises InputError as `read_video` does."""
    with _opened(path) as (container, stream):
        _require_pixels(stream, path)
        first = next(_decoded(container, stream), None)
        if first is None or first.time is None:
            what = "no frame can be decoded" if first is None else "its frames have no times"
            raise InputError(what, where=path, remedy=_AGAIN)
        size_px = (first.width, first.height)
        says = _orientation(first, path)
        orientation = applied_orientation(says, size_px, camera, path, says="the video")
        require_size(size_px, orientation, camera, path)
        first_s = first.time
    last_s = max(_last_s(path, seek=True), first_s)
    return _About(first_s, last_s if last_s > first_s else max(_last_s(path, seek=False), first_s), orientation)


def _last_s(path: Path, *, seek: bool) -> float:
    """The time of the last frame, without decoding it; seek: only the end of the file is read, if that is possible."""
    with _opened(path) as (container, stream):
        if seek:
            try:
                container.seek((container.start_time or 0) + (container.duration or 0))
            except av.FFmpegError:
                return -inf
        last_s = -inf
        try:
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None:
                    last_s = max(last_s, float(packet.pts * packet.time_base))
        except av.FFmpegError:  # damaged, here or further on: what can be read counts
            pass
        return last_s


def _taken(
    path: Path, camera: MountedCamera, about: _About, time_offset_s: float
) -> Iterator[tuple[int, float, Picture]]:
    """The frames in order: number, time and picture."""
    damaged, without_time, before_s, ends_s = 0, 0, -inf, 0.0
    with _opened(path) as (container, stream):
        _require_pixels(stream, path)
        if stream.duration is not None and stream.time_base is not None:
            ends_s = float(stream.duration * stream.time_base)
        for index, frame in enumerate(_decoded(container, stream)):
            if frame is None:
                damaged += 1
            elif frame.time is None or frame.time <= before_s:
                without_time += 1
            else:
                before_s = frame.time
                picture = partial(_picture, frame, camera, about.orientation, f"{path}, frame {index}")
                yield index, time_offset_s + frame.time - about.first_s, picture
    _warn_of_frames(path, damaged, "cannot be decoded")
    _warn_of_frames(path, without_time, "have no time of their own")
    if ends_s - (before_s - about.first_s) > _MISSING_S:
        what = f"ends after {before_s - about.first_s:.1f} of {ends_s:.1f} s: it is cut short"
        warn(what, where=path, remedy=_AGAIN)


def _warn_of_frames(path: Path, count: int, what: str) -> None:
    if count:
        warn(f"{count} frames {what}, and are left out", where=path, remedy=_AGAIN)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file and its main stream of pictures. Raises InputError if there is none."""
    try:
        container = av.open(str(path.absolute()), options=_OPTIONS)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot be read as a video ({_why(error)})", where=path, remedy=_AGAIN) from error
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise InputError("holds no pictures", where=path, remedy="give a video file")
        yield container, stream


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
    """The frames in the order in which they are shown; None for a packet that cannot be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the rest of the file is lost
            yield None
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            yield None
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            yield frame


def _require_pixels(stream: VideoStream, path: Path) -> None:
    """Before anything is decoded."""
    pixels = stream.codec_context.width * stream.codec_context.height
    if pixels > MOST_PIXELS:
        remedy = f"give at most {MOST_PIXELS // 1_000_000} million pixels"
        raise InputError(f"its frames have {pixels / 1e6:.0f} million pixels", where=path, remedy=remedy)


def _orientation(frame: av.VideoFrame, path: Path) -> int:
    """How the frame is to be shown, as EXIF counts. Raises InputError if it is at a slant."""
    side_data: Any = frame.side_data  # whose types PyAV states incompletely
    matrix = side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return 1
    a, b, _, c, d, *_ = np.sign(np.frombuffer(matrix, np.int32)).tolist()
    if (a, b, c, d) not in _ORIENTATIONS:
        remedy = "convert it to a video that is not turned"
        raise InputError("has a display rotation that is no multiple of 90 degrees", where=path, remedy=remedy)
    return _ORIENTATIONS[a, b, c, d]


def _picture(frame: av.VideoFrame, camera: MountedCamera, orientation: int, where: str, window: Window) -> Rgb:
    return seen(frame.to_ndarray(format="rgb24"), orientation, camera, window, where)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
