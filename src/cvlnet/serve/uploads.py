"""Drives that are uploaded: their files, under names of the server's own, and what they are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from cvlnet.config import JourneyFiles
from cvlnet.errors import InputError
from cvlnet.io.files import require_space, written_whole
from cvlnet.io.listing import PICTURES
from cvlnet.io.unpack import unpack
from cvlnet.serve.limits import Limits

_MOST_PICTURES = 20_000
_MOST_TEXT_BYTES = 64_000_000
_ZIP = b"PK\x03\x04"
_FOLDER = "upload"
_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 80


def store(folder: Path, video: BinaryIO, camera: BinaryIO, odometry: BinaryIO, limits: Limits) -> dict[str, str]:
    """Write the files of an upload into a session's folder; what they are, by the names of `JourneyFiles`.

    video: a video file, or a ZIP file of pictures, whose odometry has a line for each. odometry: CSV or TUM.
    Raises InputError if one of them is too large, or the pictures cannot be unpacked.
    """
    upload = folder / _FOLDER
    upload.mkdir(parents=True)
    lines = odometry.read(4096)
    odometry.seek(0)
    is_csv = _is_csv(lines)
    start = video.read(len(_ZIP))
    video.seek(0)
    if start != _ZIP:
        names = {"video": "video", "camera_file": "camera.json", "odometry": f"odometry.{'csv' if is_csv else 'txt'}"}
        _copied(video, upload / names["video"], limits.upload_bytes, "video")
        _copied(camera, upload / names["camera_file"], limits.json_bytes, "camera")
        _copied(odometry, upload / names["odometry"], _MOST_TEXT_BYTES, "odometry")
        return {key: f"{_FOLDER}/{name}" for key, name in names.items()}
    archive = upload / "pictures.zip"
    _copied(video, archive, limits.upload_bytes, "video")
    _copied(camera, upload / "camera.json", limits.json_bytes, "camera")
    _copied(odometry, upload / ("poses.csv" if is_csv else "poses.txt"), _MOST_TEXT_BYTES, "odometry")
    (upload / "frames").mkdir()
    try:
        unpack(archive, upload / "frames", PICTURES, limits.unpacked_bytes, most_members=_MOST_PICTURES)
    except InputError as error:
        raise InputError(error.what, where="video", remedy="send a ZIP file of PNG or JPEG pictures") from error
    finally:
        archive.unlink(missing_ok=True)
    return {"folder": _FOLDER}


def files_of(folder: Path, upload: Mapping[str, str]) -> JourneyFiles:
    """The files of an upload in a session's folder."""
    paths: dict[str, Any] = {key: folder / name for key, name in upload.items()}
    return JourneyFiles(**paths)


def upload_name(file_name: str) -> str:
    """What a session of an upload is called: as its file of pictures, without folder and ending; or else "upload"."""
    stem = PurePosixPath(file_name.replace("\\", "/")).stem
    return "".join(filter(str.isprintable, stem))[:_LONGEST_NAME].strip() or "upload"


def _is_csv(start: bytes) -> bool:
    """Whether odometry is a table: the first line that is no comment has commas."""
    lines = (line.strip() for line in start.splitlines())
    return b"," in next((line for line in lines if line and not line.startswith(b"#")), b"")


def _copied(source: BinaryIO, path: Path, most_bytes: int, name: str) -> None:
    """Copy one file. Raises InputError if it is larger than that."""
    size = source.seek(0, 2)
    source.seek(0)
    if size > most_bytes:
        what = f"has {size / 1e6:.1f} MB, and {most_bytes / 1e6:.1f} MB are the most"
        raise InputError(what, where=name, remedy="send a part of it")
    require_space(path.parent, size)
    with written_whole(path) as temporary, temporary.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
