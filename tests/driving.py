"""A drive over coloured ground, with pictures that say where they were taken, and a network that reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvlnet.config import ModelConfig
from cvlnet.data.odometry import OdometryPose
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.geometry import Camera, Pose
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize.localizer import Localizer
from cvlnet.map.region import Region, encode_region
from cvlnet.model.build import build_model
from cvlnet.model.cvlnet import CVLNet
from cvlnet.track.tracker import Frame
from cvlnet.types import ClipFeatures

MIDDLE = LatLon(49.01, 8.43)
FRAME = LocalFrame(MIDDLE)
SIDE_M, PIXEL_M = 200.0, 0.5
_CONFIG = ModelConfig(
    image_width_px=128,
    image_height_px=32,
    overhead_m_per_px=PIXEL_M,
    clip_cells=16,
    window_cells=2,
    channels=4,
    descriptor_channels=3,
)
_CELL_PX = 4
_UNCERTAINTY = 0.7  # by which similarities are divided, so that those above 0.76 speak for a place
_UNIT_M, _UNIT_RAD = 1 / 64, 1e-4  # of the numbers in a picture
CAMERA = Camera(torch.tensor([60.0, 60.0]), torch.tensor([64.0, 10.0]), 128, 32)
CAMERA_JSON: dict[str, Any] = {
    "width": 128,
    "height": 32,
    "fx": 60,
    "fy": 60,
    "cx": 64,
    "cy": 10,
    "height_m": 1.65,
    "pixel_origin": "corner",
}
ROAD_FROM_CAM = Pose.level_from_cam()


@dataclass(frozen=True)
class At:
    """Where the vehicle is, metres around the middle of the ground, and its heading."""

    x_m: float
    y_m: float
    yaw_rad: float

    @property
    def xy_m(self) -> tuple[float, float]:
        return self.x_m, self.y_m


@cache
def ground() -> OverheadImage:
    """200 x 200 m of blotches, six metres each."""
    side_px = round(SIDE_M / PIXEL_M)
    blotches = np.random.default_rng(5).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    pixels = cv2.resize(blotches, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return OverheadImage(pixels, MetricRaster(MIDDLE, side_px, side_px, PIXEL_M), Path("ground.png"))


@cache
def model() -> CVLNet:
    """It sees the ground's own colours: on the image, and around the place that a clip's newest picture states."""
    network = build_model(_CONFIG).eval()
    colours = torch.from_numpy(ground().pixels.copy()).permute(2, 0, 1).float() / 255 - 0.5
    smooth = functional.avg_pool2d(colours, _CELL_PX + 1, stride=1, padding=_CELL_PX // 2)[None]
    cells = network.clip_grid.centered_at((0.0, 0.0))  # colours lie in the middle of their pixels

    def encode_overhead(images: Tensor) -> tuple[Tensor, Tensor]:
        seen = functional.avg_pool2d(images.float() / 255 - 0.5, _CELL_PX)
        return seen, torch.full((len(seen), seen.shape[2] - 1, seen.shape[3] - 1), _UNCERTAINTY)

    def encode_frames(images: Tensor) -> Tensor:
        return _numbers(images).reshape(*images.shape[:-3], 3, 1, 1)

    def fuse_frames(frames: Tensor, _: Camera, ground_from_cam: Pose) -> tuple[Tensor, Tensor]:
        ahead = ground_from_cam.rotation[:, 0, :2, 2]  # of the newest picture
        yaw = torch.atan2(ahead[:, 1], ahead[:, 0])
        fused = torch.cat([frames[:, 0, :, 0, 0], yaw[:, None]], dim=1)[..., None, None]
        return fused, torch.ones(len(fused), 1, 1, dtype=torch.bool)

    def describe_clips(fused: Tensor, _: Tensor) -> ClipFeatures:
        x_m, y_m, true_rad, supposed_rad = fused[..., 0, 0].double().unbind(dim=1)
        turn = true_rad - supposed_rad
        back = torch.stack([torch.stack([turn.cos(), turn.sin()], -1), torch.stack([-turn.sin(), turn.cos()], -1)], -2)
        places = cells.cell_centers_xy_m() @ back[:, None] + torch.stack([x_m, y_m], -1)[:, None, None]
        source = places * torch.tensor([1.0, -1.0], dtype=torch.float64) / (SIDE_M / 2)
        seen = functional.grid_sample(smooth.expand(len(fused), -1, -1, -1), source.float(), align_corners=False)
        return ClipFeatures(seen, torch.ones_like(seen[:, 0]), network.clip_grid)

    stubs: dict[str, Any] = {
        "encode_overhead": encode_overhead,
        "encode_frames": encode_frames,
        "fuse_frames": fuse_frames,
        "describe_clips": describe_clips,
    }
    for name, stub in stubs.items():
        setattr(network, name, stub)
    return network


@cache
def region() -> Region:
    return encode_region(model(), ground())


def picture(at: At) -> Tensor:
    """Noise, and the place and the heading in its first row."""
    numbers = [at.x_m / _UNIT_M, at.y_m / _UNIT_M, at.yaw_rad / _UNIT_RAD]
    values = [round(number) + 2**23 for number in numbers]
    noise = np.random.default_rng(values).integers(0, 256, (3, 32, 128), dtype=np.uint8)
    for i, value in enumerate(values):
        noise[:, 0, i] = list(value.to_bytes(3, "big"))
    return torch.from_numpy(noise)


def _numbers(images: Tensor) -> Tensor:
    byte = images[..., 0, :3].double()  # color, number
    values = byte[..., 0, :] * 2**16 + byte[..., 1, :] * 2**8 + byte[..., 2, :] - 2**23
    return (values * torch.tensor([_UNIT_M, _UNIT_M, _UNIT_RAD], dtype=torch.float64)).float()


def frame(at: At) -> Frame:
    return Frame(picture(at), CAMERA, ROAD_FROM_CAM)


class Seeing(Localizer):
    """One whose network sees the ground itself."""

    def __init__(self, *_: object, **__: object) -> None:
        self.model, self.confidence = model(), None


def write_video(folder: Path, drive: list[At], *, origin: LatLon | None = MIDDLE, begin_s: float = 0.0) -> Path:
    """Frames of the network's own size; positions around an origin, or in metres."""
    (folder / "frames").mkdir(parents=True)
    rows = ["file,time_s,x_m,y_m,yaw_deg" if origin is None else "file,time_s,latitude_deg,longitude_deg,yaw_deg"]
    for i, at in enumerate(drive):
        pixels = picture(at).permute(1, 2, 0).numpy()
        cv2.imwrite(str(folder / "frames" / f"{i:03d}.png"), pixels[..., ::-1])
        place = at.xy_m if origin is None else LocalFrame(origin).latlon_deg(at.xy_m).tolist()
        rows.append(f"{i:03d}.png,{begin_s + i / 5},{place[0]!r},{place[1]!r},{np.degrees(at.yaw_rad)}")
    (folder / "poses.csv").write_text("\n".join(rows) + "\n")
    (folder / "camera.json").write_text(json.dumps(CAMERA_JSON))
    return folder


def circle(way_m: float, *, step_m: float = 1.5, radius_m: float = 55.0, begin_rad: float = 0.3) -> list[At]:
    """A drive counter-clockwise around the middle."""
    angles = begin_rad + np.arange(0, way_m, step_m) / radius_m
    return [At(radius_m * cos(a), radius_m * sin(a), (a + pi / 2 + pi) % (2 * pi) - pi) for a in angles.tolist()]


def straight(start: At, way_m: float, *, step_m: float = 1.5) -> list[At]:
    c, s = cos(start.yaw_rad), sin(start.yaw_rad)
    return [
        replace(start, x_m=start.x_m + c * back, y_m=start.y_m + s * back)
        for back in np.arange(0, way_m, step_m).tolist()
    ]


def odometry(
    drive: list[At], *, turn_rad: float = 0.0, step_s: float = 0.2, begin_s: float = 0.0
) -> list[OdometryPose]:
    """Of a drive, in a frame of its own, which begins at (0, 0) and is turned clockwise against the map's."""
    c, s = cos(-turn_rad), sin(-turn_rad)
    return [
        OdometryPose(
            begin_s + step_s * i,
            c * (at.x_m - drive[0].x_m) - s * (at.y_m - drive[0].y_m),
            s * (at.x_m - drive[0].x_m) + c * (at.y_m - drive[0].y_m),
            at.yaw_rad - turn_rad,
        )
        for i, at in enumerate(drive)
    ]


def latlon(xy_m: tuple[float, float]) -> LatLon:
    return LatLon(*FRAME.latlon_deg(xy_m).tolist())


def clips(at: At, supposed_rad: list[float]) -> ClipFeatures:
    """What the network sees at a place, if the heading were each of these."""
    rows = [[at.x_m, at.y_m, at.yaw_rad, supposed] for supposed in supposed_rad]
    fused = torch.tensor(rows)[..., None, None]
    return model().describe_clips(fused, torch.ones(len(rows), 1, 1, dtype=torch.bool))
