"""A video of one's own in small, in its true layout on disk, to be changed into what users have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kitti_tree import write_picture

from cvlnet.geo import LatLon, LocalFrame

START = LatLon(49.0, 8.4)
CAMERA = {
    "width": 124,
    "height": 38,
    "fx": 72,
    "fy": 72,
    "cx": 60.5,
    "cy": 17.5,
    "pixel_origin": "center",
    "height_m": 1.5,
    "forward_m": 0.8,
}
METRES = "file,time_s,x_m,y_m,yaw_deg"
DEGREES = "file,time_s,latitude_deg,longitude_deg,yaw_deg"
F64 = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def bend(count: int = 20, course_deg: float = 20.0, turn_deg: float = 70.0, step_m: float = 1.0) -> F64:
    """East, north and heading in degrees of a drive that turns left evenly, [frames, 3]."""
    yaw_deg = course_deg + np.linspace(0.0, turn_deg, count)
    chord_rad = np.radians(yaw_deg[1:] + yaw_deg[:-1]) / 2
    legs_m = step_m * np.stack([np.cos(chord_rad), np.sin(chord_rad)], axis=1)
    return np.column_stack([np.concatenate([[[0.0, 0.0]], np.cumsum(legs_m, axis=0)]), yaw_deg])


def names(count: int, suffix: str = ".png") -> list[str]:
    return [f"{i:04d}{suffix}" for i in range(count)]


def write_frames(folder: Path, files: Sequence[str]) -> None:
    for number, name in enumerate(files):
        write_picture(folder / "frames" / name, seed=number)


def write_camera(folder: Path, **changes: object) -> None:
    """camera.json; a change to None leaves the key out."""
    settings = {key: value for key, value in {**CAMERA, **changes}.items() if value is not None}
    (folder / "camera.json").write_text(json.dumps(settings))


def table(way: F64, files: Sequence[str], *, geographic: bool = False, frame_s: float = 0.1) -> list[list[str]]:
    """The cells of poses.csv, header first."""
    place = LocalFrame(START).latlon_deg(way[:, :2]) if geographic else way[:, :2]
    header = (DEGREES if geographic else METRES).split(",")
    rows = zip(files, place.tolist(), way[:, 2].tolist(), strict=True)
    return [header] + [
        [name, f"{i * frame_s:.3f}", f"{first:.9f}", f"{second:.9f}", f"{yaw:.6f}"]
        for i, (name, (first, second), yaw) in enumerate(rows)
    ]


def write_table(folder: Path, cells: Sequence[Sequence[str]]) -> None:
    (folder / "poses.csv").write_text("".join(",".join(row) + "\n" for row in cells))


def write_video(
    folder: Path,
    way: F64 | None = None,
    *,
    geographic: bool = False,
    frame_s: float = 0.1,
    edit: Callable[[list[list[str]]], Any] = lambda _: None,
    **camera: object,
) -> Path:
    """A video folder with poses.csv. edit: changes the table's cells, header first, in place."""
    way = bend() if way is None else way
    files = names(len(way))
    write_frames(folder, files)
    write_camera(folder, **camera)
    cells = table(way, files, geographic=geographic, frame_s=frame_s)
    edit(cells)
    write_table(folder, cells)
    return folder


def write_tum(folder: Path, time_s: Sequence[float], xyz_m: F64, xyzw: F64) -> None:
    """poses.txt instead of poses.csv."""
    (folder / "poses.csv").unlink(missing_ok=True)
    rows = np.column_stack([np.asarray(time_s), xyz_m, xyzw]).tolist()
    (folder / "poses.txt").write_text("".join(" ".join(f"{value:.9f}" for value in row) + "\n" for row in rows))
