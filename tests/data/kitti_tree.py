"""KITTI raw and KITTI-CVL in small, in their true layout on disk, and where the real files lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.geo import LatLon, LocalFrame

DATE, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"
NAME = f"{DATE}/{DRIVE}"
START = LatLon(49.0, 8.4)
WIDTH_PX, HEIGHT_PX = 124, 38
STEP_M = 1.0  # northward, each frame
SHARED = Path(__file__).parents[2].parent / "shared"

# the chain of these files: camera 2 one metre ahead of the unit, level, camera 3 half a metre to its right
CAM_TO_CAM = f"""calib_time: 09-Jan-2012 13:57:47
S_rect_00: {WIDTH_PX} {HEIGHT_PX}
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: {WIDTH_PX} {HEIGHT_PX}
P_rect_02: 72 0 60.5 0 0 72 17.5 0 0 0 1 0
S_rect_03: {WIDTH_PX} {HEIGHT_PX}
P_rect_03: 72 0 60.5 -36 0 72 17.5 0 0 0 1 0
"""
IMU_TO_VELO = "calib_time: 25-May-2012 16:47:16\nR: 1 0 0 0 1 0 0 0 1\nT: -0.5 0.25 -0.7\n"
VELO_TO_CAM = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.5\n"


def shared(*parts: str) -> Path:
    """A real file, or a skipped test where there is none."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data is not here: {path}")
    return path


def place(frame: int) -> LatLon:
    """Where the drive is at a frame."""
    return LatLon(*LocalFrame(START).latlon_deg([0.0, STEP_M * frame]).tolist())


def write_picture(path: Path, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), noise)


def write_drive(raw: Path, frames: Sequence[int] = range(13), drive: str = DRIVE) -> Path:
    """A drive to the north with pictures of both cameras; its folder."""
    date_dir = raw / DATE
    drive_dir = date_dir / drive
    (drive_dir / "oxts" / "data").mkdir(parents=True)
    for name, text in (("cam_to_cam", CAM_TO_CAM), ("imu_to_velo", IMU_TO_VELO), ("velo_to_cam", VELO_TO_CAM)):
        (date_dir / f"calib_{name}.txt").write_text(text)
    for frame in frames:
        values = [*place(frame).degrees, 116.0, 0.01, 0.02, np.pi / 2, 1.0, 0.0, 10.0, 0.1] + [0.0] * 20
        (drive_dir / "oxts" / "data" / f"{frame:010d}.txt").write_text(" ".join(map(repr, map(float, values))))
        for camera in (2, 3):
            write_picture(drive_dir / f"image_{camera:02d}" / "data" / f"{frame:010d}.png", seed=frame)
    stamps = [f"2011-09-26 13:02:{44 + i / 10:012.9f}" for i in range(max(frames) + 1)]
    (drive_dir / "oxts" / "timestamps.txt").write_text("\n".join(stamps) + "\n")
    return drive_dir


def write_kitti_cvl(root: Path, queries: Sequence[int] = (9, 10, 12), tile_px: int = 400) -> tuple[str, str]:
    """A drive whose frames are the queries of all three lists, on one tile; the text of the tile's centre."""
    drive_dir = write_drive(root / "raw_data")
    latitude, longitude = map(repr, place(10).degrees)
    lines = "".join(f"{NAME}/{frame:010d}.png {latitude} {longitude}\n" for frame in queries)
    for split in ("train", "test1", "test2"):
        (root / f"{split}_files_with_sat_GPS.txt").write_text(lines)
    write_picture(root / "satmap" / "test" / drive_dir.name / f"{latitude}_{longitude}.png", tile_px, tile_px)
    write_picture(root / "satmap" / "train_10mgap" / DATE / drive_dir.name / f"{queries[0]:010d}.png", tile_px, tile_px)
    return latitude, longitude
