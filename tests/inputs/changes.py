"""What users have: small changes of a good video folder, a good KITTI drive and a good KITTI-CVL data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.Image import Exif
from scipy.spatial.transform import Rotation
from video_tree import write_camera

Change = Callable[[Path], object]
Cells = list[list[str]]


def cells(edit: Callable[[Cells], object]) -> Change:
    """Change the cells of poses.csv, header first."""

    def change(folder: Path) -> None:
        path = folder / "poses.csv"
        table = [line.split(",") for line in path.read_text().splitlines()]
        edit(table)
        path.write_text("".join(",".join(row) + "\n" for row in table))

    return change


def column(number: int, new: Callable[[float], float], name: str | None = None) -> Change:
    """Change the numbers of one column of poses.csv, and perhaps its name."""

    def edit(table: Cells) -> None:
        table[0][number] = name or table[0][number]
        for row in table[1:]:
            row[number] = f"{new(float(row[number])):.9f}"

    return cells(edit)


def row(number: int, **values: str) -> Change:
    """Write other cells into one row: c0 is the file, c2 and c3 the place, c4 the heading."""

    def edit(table: Cells) -> None:
        for key, value in values.items():
            table[number + 1][int(key[1:])] = value

    return cells(edit)


def text(file: str, new: Callable[[str], str], encoding: str = "utf-8") -> Change:
    """Change the text of a file."""

    def change(root: Path) -> None:
        path = root / file
        path.write_bytes(new(path.read_text()).encode(encoding))

    return change


def camera(**settings: object) -> Change:
    """Write other settings into camera.json; None leaves a key out."""
    return lambda folder: write_camera(folder, **settings)


def each(pattern: str, change: Callable[[Path], object]) -> Change:
    """Change every file of a pattern."""

    def change_all(root: Path) -> None:
        for path in sorted(root.glob(pattern)):
            change(path)

    return change_all


def all_of(*changes: Change) -> Change:
    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


def bytes_of(new: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(new(path.read_bytes()))


def renamed(new: Callable[[str], str]) -> Change:
    """Name the frames, and the files in poses.csv, otherwise."""

    def change(folder: Path) -> None:
        for path in sorted((folder / "frames").iterdir(), reverse=True):
            path.rename(path.with_name(new(path.name)))
        table = folder / "poses.csv"
        table.write_text(re.sub(r"(?m)^\d+\.png", lambda match: new(match[0]), table.read_text()))

    return change


def resaved(suffix: str, mode: str = "RGB", **options: Any) -> Change:
    """Save the frames in another format, and name them so in poses.csv."""

    def change(folder: Path) -> None:
        for path in sorted((folder / "frames").iterdir()):
            picture = Image.open(path).convert(mode)
            path.unlink()
            quality = {} if suffix.lower() == ".png" else {"quality": 100, "subsampling": 0}
            picture.save(path.with_suffix(suffix), **quality, **options)
        table = folder / "poses.csv"
        table.write_text(table.read_text().replace(".png", suffix))

    return change


def exif(orientation: int) -> dict[str, bytes]:
    data = Exif()
    data[0x0112] = orientation
    return {"exif": data.tobytes()}


def deep(scale: int) -> Callable[[Path], object]:
    """Save a frame with 16 bits a channel."""
    return lambda path: cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * scale)


def hidden_beside(pattern: str) -> Change:
    """What macOS leaves on a foreign disk."""
    return each(pattern, lambda path: path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7"))


def tum(
    convert: Callable[[np.ndarray[Any, Any], Rotation], tuple[np.ndarray[Any, Any], Rotation]], *, wxyz: bool = False
) -> Change:
    """poses.txt instead of poses.csv, of converted positions and rotations of the body."""

    def change(folder: Path) -> None:
        path = folder / "poses.csv"
        values = np.array([line.split(",")[1:] for line in path.read_text().splitlines()[1:]], dtype=np.float64)
        path.unlink()
        xyz_m = np.column_stack([values[:, 1:3], np.zeros(len(values))])
        xyz_m, rotation = convert(xyz_m, Rotation.from_euler("z", values[:, 3:4], degrees=True))
        quaternion = rotation.as_quat() if not wxyz else np.roll(rotation.as_quat(), 1, axis=1)
        rows = np.column_stack([values[:, 0], xyz_m, quaternion]).tolist()
        (folder / "poses.txt").write_text("".join(" ".join(map(repr, line)) + "\n" for line in rows))

    return change


def same(xyz_m: np.ndarray[Any, Any], rotation: Rotation) -> tuple[np.ndarray[Any, Any], Rotation]:
    return xyz_m, rotation


def visual_odometry(xyz_m: np.ndarray[Any, Any], rotation: Rotation) -> tuple[np.ndarray[Any, Any], Rotation]:
    """Poses of the camera 0.8 m ahead, in the frame of the first one: x right, y down, z ahead."""
    mounted = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    xyz_m, rotation = xyz_m + rotation.apply([0.8, 0.0, 1.5]), rotation * mounted
    return rotation[0].inv().apply(xyz_m - xyz_m[0]), rotation[0].inv() * rotation


def oxts(frame: int, **values: float) -> Change:
    """Write other values into the oxts file of a frame: v0 is the latitude, v5 the yaw."""

    def change(drive: Path) -> None:
        path = drive / "oxts" / "data" / f"{frame:010d}.txt"
        words = path.read_text().split()
        for key, value in values.items():
            words[int(key[1:])] = repr(value)
        path.write_text(" ".join(words))

    return change


def compass(yaw_deg: float) -> float:
    return (90.0 - yaw_deg) % 360.0
