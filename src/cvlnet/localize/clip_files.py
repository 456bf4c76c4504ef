"""From a KITTI drive or a video folder to the clip that is to be located."""

from __future__ import annotations

from pathlib import Path

from cvlnet.config import ClipFiles
from cvlnet.data.clips import ClipSpec, assemble_clip, require_cameras, warn_if_short
from cvlnet.data.folder import read_folder
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon
from cvlnet.image_spec import ImageSpec
from cvlnet.io.text import ranges
from cvlnet.types import Clip


def files_of(source: Path) -> ClipFiles:
    """The clip files of a folder: a KITTI drive if there is ``oxts`` in it, else a video folder."""
    return ClipFiles(drive=source) if (source / "oxts").is_dir() else ClipFiles(folder=source)


def read_clip(files: ClipFiles, image_spec: ImageSpec) -> tuple[Clip, LatLon | None]:
    """`clip_of` the recording of the files. Raises InputError as `recording_of` and `clip_of` do."""
    return clip_of(recording_of(files), files, image_spec)


def clip_of(recording: Recording, files: ClipFiles, image_spec: ImageSpec) -> tuple[Clip, LatLon | None]:
    """The clip, with frames as a model with this ``image_spec`` takes them, and where its newest one was taken.

    The position is that of the files, None where a folder's poses are in metres. Raises InputError as `assemble_clip`
    does, or if there is no such clip.
    """
    if files.frame is None:
        newest = _last_frame(recording, files.camera)
    else:
        newest = files.frame
        _warn_if_named_otherwise(recording, newest, files.camera)
    try:
        spec = ClipSpec(image_spec, files.frames, files.way_m, (files.camera,), files.step)
    except ValueError as error:
        raise InputError(str(error), where=recording.name, remedy="choose another clip") from error
    clip = assemble_clip(recording, newest, spec)
    warn_if_short(recording, newest, spec)
    frame = recording.frame(newest)
    return clip, frame.position if frame is not None and recording.geographic else None


def recording_of(files: ClipFiles) -> Recording:
    """The recording that the clip is of. Raises InputError unless there is one source, and as the readers do."""
    if (files.drive is None) == (files.folder is None):
        remedy = "give one of them: a KITTI drive, or a folder with frames, camera.json and poses"
        raise InputError("exactly one clip is needed", where="--drive, --folder", remedy=remedy)
    return read_folder(files.folder) if files.folder is not None else read_recording(files.drive or Path())


def _last_frame(recording: Recording, camera: int) -> int:
    """The last frame with a picture whose position can be used; later ones are pointed out."""
    require_cameras(recording, (camera,))
    pictured = [frame.index for frame in recording.frames if camera in frame.images]
    if not pictured:
        raise InputError(f"has no picture of camera {camera}", where=recording.name, remedy="add the drive's pictures")
    later = [number for number in recording.left_out if number > pictured[-1]]
    if later:
        what = f"frame {pictured[-1]} is located, the last one with a usable position"
        warn(what, where=recording.name, remedy=f"correct the position of frame {ranges(later)}, if it is meant")
    return pictured[-1]


def _warn_if_named_otherwise(recording: Recording, number: int, camera: int) -> None:
    """A folder's frames count from 0, and their names often from 1: whoever asks for a frame may mean its name."""
    pictures = {frame.index: frame.images[camera] for frame in recording.frames if camera in frame.images}
    named = [at for at, path in pictures.items() if path.stem.isdecimal() and int(path.stem) == number != at]
    if named and number in pictures:
        what = f"frame {number} is {pictures[number].name}: frames count from 0"
        remedy = f"ask for frame {named[0]} if {pictures[named[0]].name} is meant"
        warn(what, where=recording.name, remedy=remedy)
