"""A data set in the KITTI-CVL layout that takes no second to make: two short drives over coloured noise."""

import json
from datetime import datetime
from math import pi

import cv2
import numpy as np
import torch

from cvlnet.checkpoint import save_tensors
from cvlnet.config import ModelConfig
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.model.build import build_model
from cvlnet.model.provenance import Provenance
from cvlnet.town.dataset.writers import overhead_path, write_overhead
from cvlnet.town.drive.oxts import Motion, write_oxts
from cvlnet.town.drive.rig import Rig, write_calibration

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
M_PER_PX, TILE_PX = 0.5, 80
FRAMES = 10
DATE = "2011_09_26"
FRAME = LocalFrame(LatLon(48.1, 10.9))


def write_small_data(root):
    """Two drives of ten frames, a metre apart; four tiles with queries, six more along a third street."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8), (600, 600), interpolation=cv2.INTER_CUBIC)
    lines, rows = [], []
    for number, (start_xy_m, yaw_rad) in enumerate([((-20.0, 0.0), 0.0), ((40.0, 30.0), pi / 2)], start=1):
        drive = f"{DATE}_drive_{number:04d}_sync"
        ahead = np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
        xy_m = np.array(start_xy_m) + np.arange(FRAMES)[:, None] * ahead
        write_drive(root / "raw_data" / DATE / drive, xy_m, yaw_rad, rng)
        places_m = [xy_m[4], xy_m[8]]
        distractors_m = [np.array([-60.0 + 10 * i, -60.0 * number + 30]) for i in range(3)]
        names = [_write_tile(root, drive, place_m, ground) for place_m in places_m + distractors_m]
        lines += [f"{DATE}/{drive}/{i:010d}.png {names[i // 7].replace('_', ' ')}\n" for i in range(3, FRAMES)]
        rows += [f"{drive},{name.replace('_', ',')}\n" for name in names]
    write_calibration(root / "raw_data" / DATE, Rig.kitti())
    for split in ("test1", "test2"):
        (root / f"{split}_files_with_sat_GPS.txt").write_text("".join(lines))
    (root / "satmap" / "test.csv").write_text("drive,latitude,longitude\n" + "".join(rows))
    write_overhead(overhead_path(root, DATE), ground[..., ::-1], FRAME, Grid(*ground.shape[:2], M_PER_PX))
    tile = {"m_per_px": M_PER_PX, "size_px": TILE_PX}
    (root / "dataset.json").write_text(json.dumps({"format": 1, "role": "test", "tile": tile}))
    return root


def write_random_weights(path):
    """Random weights of a small model."""
    torch.manual_seed(0)
    save_tensors(path, build_model(MODEL).state_dict(), Provenance(MODEL))
    return path


def write_drive(drive_dir, xy_m, yaw_rad, rng):
    """A drive through places around `FRAME`, a tenth of a second apart; its pictures are noise."""
    count = len(xy_m)
    angles = np.stack([np.zeros(count), np.zeros(count), np.full(count, yaw_rad)], axis=-1)
    motion = Motion(np.arange(count) * 0.1, np.column_stack([xy_m, np.full(count, 0.93)]), angles)
    write_oxts(drive_dir, motion, FRAME, datetime(2011, 9, 26, 12))
    (drive_dir / "image_02" / "data").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture = cv2.resize(rng.integers(0, 256, (38, 124, 3), dtype=np.uint8), (1242, 375))
        cv2.imwrite(str(drive_dir / "image_02" / "data" / f"{i:010d}.png"), picture)


def _write_tile(root, drive, xy_m, ground):
    latitude_deg, longitude_deg = FRAME.latlon_deg(xy_m).tolist()
    name = f"{latitude_deg:.12f}_{longitude_deg:.12f}"
    path = root / "satmap" / "test" / drive / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    col, row = (300 + xy_m / M_PER_PX * [1, -1]).round().astype(int).tolist()
    half = TILE_PX // 2
    cv2.imwrite(str(path), ground[row - half : row + half, col - half : col + half])
    return name
