"""What localization tells: a table for the terminal, JSON with everything, GeoJSON for maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import atan2, cos, degrees, log, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from cvlnet.data.imagery import OverheadImage
from cvlnet.files import written_whole
from cvlnet.geo import Array, LatLon, LocalFrame, Points
from cvlnet.localize.region import Region
from cvlnet.metrics import sigma_m
from cvlnet.types import Clip, Fix

CONFIDENCE = 0.95  # of the ellipses that are written and drawn
_ELLIPSE_POINTS = 64


@dataclass(frozen=True)
class Answer:
    """The fixes of one clip, best first, and all that they come from.

    scores: at the region's places, as `search` gives them. truth: where the clip was taken, if that is known.
    """

    clip: Clip
    image: OverheadImage
    region: Region
    scores: Float[Tensor, "rows cols"]
    fixes: tuple[Fix, ...]
    truth: LatLon | None

    @property
    def errors_m(self) -> tuple[float, ...] | None:
        """Distance of each fix from the truth, if that is known."""
        if self.truth is None:
            return None
        places = [fix.position.degrees for fix in self.fixes]
        return tuple(np.hypot(*LocalFrame(self.truth).xy_world_m(places).T).tolist())


def heading_rad(clip: Clip) -> float:
    """Where the newest frame looks, counter-clockwise from east."""
    east, north = clip.ground_from_cam.rotation[0, :2, 2].tolist()
    return atan2(north, east)


def ellipse_xy_m(covariance_m2: Points, confidence: float = CONFIDENCE) -> Array:
    """The closed curve around zero that holds a normally distributed place so often, counter-clockwise, [n, 2].

    covariance_m2: [2, 2].
    """
    variances_m2, axes = np.linalg.eigh(np.asarray(covariance_m2, dtype=np.float64))
    radii_m = np.sqrt(np.maximum(variances_m2, 0) * -2 * log(1 - confidence))
    if np.linalg.det(axes) < 0:
        axes = axes * [1, -1]
    angle_rad = np.linspace(0, 2 * pi, _ELLIPSE_POINTS + 1)
    circle = np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=-1)
    circle[-1] = circle[0]
    return np.asarray(circle * radii_m @ axes.T, dtype=np.float64)


def to_table(answer: Answer) -> str:
    """The fixes as a Markdown table, a line each."""
    lines = ["| rank | latitude | longitude | sigma m | similarity | margin | confidence |"]
    lines += ["|-----:|---------:|----------:|--------:|-----------:|-------:|-----------:|"]
    for rank, fix in enumerate(answer.fixes, 1):
        place = f"{fix.position.latitude_deg:8.6f} | {fix.position.longitude_deg:9.6f}"
        trust = "-" if fix.confidence is None else f"{fix.confidence:.3f}"
        score = f"{fix.score:10.4f} | {fix.margin:+6.4f} | {trust:>10}"
        lines.append(f"| {rank:4} | {place} | {float(sigma_m(np.array(fix.covariance_m2))):7.1f} | {score} |")
    if answer.errors_m is not None:
        lines = [lines[0] + " error m |", lines[1] + "--------:|"] + [
            f"{line} {error_m:7.1f} |" for line, error_m in zip(lines[2:], answer.errors_m, strict=True)
        ]
    return "\n".join(lines)


def to_json(answer: Answer) -> dict[str, Any]:
    """Everything about the fixes in JSON's types. offset_m: (east, north) of the tile's centre; angles in degrees."""
    return {
        "map": str(answer.image.source),
        "places": len(answer.region),
        "frames": len(answer.clip.images),
        "heading_deg": degrees(heading_rad(answer.clip)),
        "true_position": _place(answer.truth) if answer.truth else None,
        "fixes": [_properties(answer, index) for index in range(len(answer.fixes))],
    }


def to_geojson(answer: Answer) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): a point for each fix, the best one's ellipse, and the true place if known."""
    features = [
        _feature("Point", _lon_lat(fix.position), {"kind": "fix"} | _properties(answer, index))
        for index, fix in enumerate(answer.fixes)
    ]
    for fix in answer.fixes[:1]:
        ring = LocalFrame(fix.position).latlon_deg(ellipse_xy_m(fix.covariance_m2))[:, ::-1].round(9).tolist()
        features.append(_feature("Polygon", [ring], {"kind": "ellipse", "confidence": CONFIDENCE, "rank": 1}))
    if answer.truth is not None:
        features.append(_feature("Point", _lon_lat(answer.truth), {"kind": "truth"}))
    return {"type": "FeatureCollection", "features": features}


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON's types, the file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def forward_xy(yaw_rad: float) -> Array:
    """Unit vector (east, north) of a heading."""
    return np.array([cos(yaw_rad), sin(yaw_rad)])


def _properties(answer: Answer, index: int) -> dict[str, Any]:
    fix = answer.fixes[index]
    properties: dict[str, Any] = {
        "rank": index + 1,
        **_place(fix.position),
        "tile": fix.tile,
        "offset_m": list(fix.offset_m),
        "covariance_m2": [list(row) for row in fix.covariance_m2],
        "similarity": fix.score,
        "margin": fix.margin,
    }
    if fix.confidence is not None:
        properties["confidence"] = fix.confidence
    return properties | ({"error_m": answer.errors_m[index]} if answer.errors_m is not None else {})


def _place(place: LatLon) -> dict[str, float]:
    return {"latitude_deg": place.latitude_deg, "longitude_deg": place.longitude_deg}


def _lon_lat(place: LatLon) -> list[float]:
    return [place.longitude_deg, place.latitude_deg]


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}
