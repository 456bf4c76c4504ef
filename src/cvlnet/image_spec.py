"""The frame that the model sees: its size, and which part of a camera's picture it shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from cvlnet.geometry import Camera, Pose

HORIZON = 0.35  # of the model's rows lie above the horizon of a level road
_STEEPEST = 10.0  # tangent of a camera's pitch, beyond which its horizon counts as infinitely far away


@dataclass(frozen=True)
class Window:
    """How a frame is scaled, and which part of it is kept: the model's frame, from its top-left corner."""

    scaled_width_px: int
    scaled_height_px: int
    left_px: int
    top_px: int
    width_px: int
    height_px: int

    def camera(self, camera: Camera) -> Camera:
        """The camera of the model's frame."""
        scaled = camera.resize(self.scaled_width_px, self.scaled_height_px)
        return scaled.crop(float(self.left_px), float(self.top_px), self.width_px, self.height_px)


@dataclass(frozen=True)
class ImageSpec:
    """The size of the model's frame, and how a camera's frame is brought to it.

    fit "horizon": the frame is scaled, keeping its shape, until it covers the size. Of a higher one the rows around the
    horizon of a level road are kept, as far as the frame reaches: sky and bonnet are cut. Of a wider one the columns
    around the principal point are kept. fit "whole": the whole frame is squeezed into the size, as in the paper.
    """

    width_px: int
    height_px: int
    fit: Literal["horizon", "whole"] = "horizon"

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"a frame has at least one pixel, not {self.width_px} x {self.height_px}")

    def window(self, camera: Camera, road_from_cam: Pose) -> Window:
        """The window of the frames of a camera with this mounting over a level road."""
        if self.fit == "whole":
            return Window(self.width_px, self.height_px, 0, 0, self.width_px, self.height_px)
        scale = max(self.width_px / camera.width_px, self.height_px / camera.height_px)
        width_px, height_px = round(camera.width_px * scale), round(camera.height_px * scale)
        above_px = horizon_px(camera, road_from_cam) * scale - HORIZON * self.height_px
        beside_px = float(camera.principal_point_px[0]) * scale - self.width_px / 2
        left_px, top_px = _within(beside_px, width_px - self.width_px), _within(above_px, height_px - self.height_px)
        return Window(width_px, height_px, left_px, top_px, self.width_px, self.height_px)


def _within(wanted_px: float, most_px: int) -> int:
    """The whole pixel from 0 to ``most_px`` that is nearest to the wanted one."""
    return round(min(max(wanted_px, 0.0), float(most_px)))


def horizon_px(camera: Camera, road_from_cam: Pose) -> float:
    """The row, from the frame's top edge, of a level road's horizon in the frame's middle column.

    Infinite for a camera that looks almost straight up (positive) or down.
    """
    up_x, up_y, up_z = road_from_cam.rotation[2].tolist()  # the road's z axis in the camera's frame
    if -up_y * _STEEPEST <= abs(up_z):
        return -inf if up_z < 0 else inf
    (focal_x, focal_y), (center_x, center_y) = camera.focal_px.tolist(), camera.principal_point_px.tolist()
    return float(center_y - focal_y * (up_x * (camera.width_px / 2 - center_x) / focal_x + up_z) / up_y)
