"""Lens distortion by OpenCV's models, and frames without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import radians, tan
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from cvlnet.arrays import Points, Rgb, Xy
from cvlnet.geometry import Camera

LensModel = Literal["opencv", "fisheye"]

COEFFICIENTS: dict[LensModel, tuple[int, ...]] = {"opencv": (4, 5, 8, 12, 14), "fisheye": (4,)}
WIDEST_DEG = 120.0  # across an undistorted frame: more would be border, stretched out
_LONGEST, _SHORTER = 2.0, 0.99  # the focal length that is tried first, times the lens's own, and each next one
_BORDER_POINTS = 50  # on each side
_ROUNDED_PX = 1e-6


def is_pinhole(model: LensModel | None, coefficients: Sequence[float]) -> bool:
    """Whether a lens does not distort: all coefficients are zero, and it is no fisheye, which even then does."""
    return model != "fisheye" and not any(coefficients)


@dataclass(frozen=True)
class Lens:
    """A camera as its pictures show it: focal lengths, principal point and size, and how its lens distorts.

    coefficients: "opencv" (also called plumb bob, Brown-Conrady or, from 8 on, rational): k1 k2 p1 p2 [k3 [k4 k5 k6
    [s1 s2 s3 s4 [tx ty]]]]. "fisheye" (also called equidistant or Kannala-Brandt): k1 k2 k3 k4; with zeros the distance
    from the principal point is the angle times the focal length, which is not a pinhole.
    """

    camera: Camera
    model: LensModel
    coefficients: tuple[float, ...]

    @cached_property
    def pinhole(self) -> Camera:
        """The camera of undistorted frames, of the same size and principal point.

        It sees the widest angle, up to 120 degrees across, at which the picture still fills the whole frame.
        Raises ValueError if no frame can be filled, as with coefficients of another model.
        """
        shortest = self.camera.width_px / 2 / tan(radians(WIDEST_DEG / 2)) / float(self.camera.focal_px[0])
        edge_px = _border_px(self.camera.width_px, self.camera.height_px)
        scale, best, reach_px = _LONGEST, None, np.zeros(len(edge_px))
        while scale >= shortest:
            source_px = self._source_px(edge_px, scale)
            farther_px = np.linalg.norm(source_px - self._principal_px, axis=1)
            if not self._holds(source_px) or (farther_px < reach_px).any():  # beyond its fold a model means nothing
                break
            reach_px, best = farther_px, scale
            scale *= _SHORTER
        if best is None:
            raise ValueError("no frame without distortion can be filled")
        return replace(self.camera, focal_px=self.camera.focal_px * best)

    def undistorted(self, image: Rgb) -> Rgb:
        """The frame of `pinhole`, from a picture of this camera."""
        map_x, map_y = self._maps
        return np.asarray(cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR), dtype=np.uint8)

    @cached_property
    def _principal_px(self) -> Xy:
        """Counted from the centre of the top-left pixel, as OpenCV does."""
        return np.asarray(self.camera.principal_point_px.numpy() - 0.5, dtype=np.float64)

    @cached_property
    def _maps(self) -> tuple[Float32[np.ndarray, "rows cols"], Float32[np.ndarray, "rows cols"]]:
        """Where in the picture each pixel of the undistorted frame lies, x and y."""
        width, height = self.camera.width_px, self.camera.height_px
        rows, cols = np.indices((height, width), dtype=np.float64)
        scale = float(self.pinhole.focal_px[0] / self.camera.focal_px[0])
        source_px = self._source_px(np.stack([cols, rows], axis=-1).reshape(-1, 2), scale)
        map_x, map_y = source_px.reshape(height, width, 2).astype(np.float32).transpose(2, 0, 1)
        return np.ascontiguousarray(map_x), np.ascontiguousarray(map_y)

    def _source_px(self, frame_px: Float64[np.ndarray, "n 2"], scale: float) -> Float64[np.ndarray, "n 2"]:
        """Where in the picture the pixels lie of a frame whose focal lengths are ``scale`` times the lens's."""
        focal_px = self.camera.focal_px.numpy().astype(np.float64)
        rays = (frame_px - self._principal_px) / (focal_px * scale)
        matrix = np.array([[focal_px[0], 0, self._principal_px[0]], [0, focal_px[1], self._principal_px[1]], [0, 0, 1]])
        coefficients = np.array(self.coefficients)
        if self.model == "fisheye":
            source_px = cv2.fisheye.distortPoints(rays[:, None], matrix, coefficients)
        else:
            rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
            source_px, _ = cv2.projectPoints(rays[:, None], np.zeros(3), np.zeros(3), matrix, coefficients)
        return np.asarray(source_px, dtype=np.float64).reshape(-1, 2)

    def _holds(self, source_px: Points) -> bool:
        """Whether the picture holds all of these points."""
        most_px = np.array([self.camera.width_px - 1, self.camera.height_px - 1])
        return bool(((source_px >= -_ROUNDED_PX) & (source_px <= most_px + _ROUNDED_PX)).all())


def _border_px(width_px: int, height_px: int) -> Points:
    """Points all along the border of a frame, counted from the centre of the top-left pixel."""
    x_px, y_px = np.linspace(0, width_px - 1, _BORDER_POINTS), np.linspace(0, height_px - 1, _BORDER_POINTS)
    top, left = np.zeros_like(x_px), np.zeros_like(y_px)
    sides = [(x_px, top), (x_px, top + height_px - 1), (left, y_px), (left + width_px - 1, y_px)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])
