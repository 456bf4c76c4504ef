"""Calibrations as they come from elsewhere, without a mounting, and camera.json's settings for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from cvlnet.config import MeasuredMounting
from cvlnet.data.lens import LensModel


@dataclass(frozen=True)
class Calibration:
    """A camera as its pictures show it, with the distortion of its lens; see `cvlnet.data.lens.Lens`.

    focal_px, principal_point_px: horizontal and vertical. pixel_origin: whether the principal point counts from the
    centre or from the corner of the top-left pixel. model: None where there is no distortion.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_point_px: tuple[float, float]
    model: LensModel | None = None
    coefficients: tuple[float, ...] = ()
    pixel_origin: Literal["center", "corner"] = "center"

    def settings(self, mounting: MeasuredMounting) -> dict[str, Any]:
        """What camera.json says of the camera when it is mounted in this way."""
        camera = {
            "width": self.width_px,
            "height": self.height_px,
            "fx": self.focal_px[0],
            "fy": self.focal_px[1],
            "cx": self.principal_point_px[0],
            "cy": self.principal_point_px[1],
            "pixel_origin": self.pixel_origin,
        }
        lens = {"distortion_model": self.model, "distortion_coefficients": list(self.coefficients)}
        return {**camera, **(lens if self.model is not None else {}), **asdict(mounting)}
