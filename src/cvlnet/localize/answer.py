"""The answer about one clip: as values, a table for the terminal, JSON with everything, GeoJSON for maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, degrees, pi, remainder, sin
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from cvlnet.arrays import Xy
from cvlnet.ellipse import CONFIDENCE
from cvlnet.geo import LatLon, LocalFrame, compass_deg
from cvlnet.geojson import collection, ellipse, feature, point
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.region import Region
from cvlnet.model.confidence import sigma_m
from cvlnet.types import Clip, Fix

_LITTLE_KNOWN = 0.5  # of what the clip sees: a place of which the map shows less is worth a remark


@dataclass(frozen=True)
class Answer:
    """The fixes of one clip, best first, with the data from which they were computed.

    scores: of the region's places, as `search` returns them. truth: the true position, if it is known.
    truth_is_searched: whether it is among all places that were searched, which may be more than the region's.
    threshold: the confidence above which fixes can be relied upon; None if it has not been determined for the weights.
    """

    clip: Clip
    image: Imagery
    region: Region
    scores: Float[Tensor, "rows cols"]
    fixes: tuple[Fix, ...]
    truth: LatLon | None
    threshold: float | None = None
    truth_is_searched: bool | None = None

    @property
    def best(self) -> Fix:
        """The most likely place."""
        return self.fixes[0]

    @property
    def is_sure(self) -> bool:
        """Whether the best place can be relied upon; if not, the clip may have been taken elsewhere, off the map."""
        confidence = self.best.confidence
        return confidence is not None and self.threshold is not None and confidence >= self.threshold

    @property
    def errors_m(self) -> tuple[float, ...] | None:
        """Distance of each fix from the truth, if that is known."""
        if self.truth is None:
            return None
        places = [fix.position.degrees for fix in self.fixes]
        return tuple(np.hypot(*LocalFrame(self.truth).xy_world_m(places).T).tolist())

    @property
    def headings_rad(self) -> tuple[float, ...]:
        """Where the newest frame looks at each fix, counter-clockwise from east, from -pi to pi."""
        recorded_rad = heading_rad(self.clip)
        return tuple(remainder(recorded_rad + fix.turn_rad, 2 * pi) for fix in self.fixes)


def heading_rad(clip: Clip) -> float:
    """Where the newest frame looks by its recorded pose, counter-clockwise from east."""
    east, north = clip.ground_from_cam.rotation[0, :2, 2].tolist()
    return atan2(north, east)


def to_table(answer: Answer) -> str:
    """The fixes as a Markdown table, a line each. pitch: how much farther down the cameras look than is described."""
    lines = ["| rank | latitude | longitude | sigma m |      score | margin | confidence | pitch |"]
    lines += ["|-----:|---------:|----------:|--------:|-----------:|-------:|-----------:|------:|"]
    for rank, fix in enumerate(answer.fixes, 1):
        place = f"{fix.position.latitude_deg:8.6f} | {fix.position.longitude_deg:9.6f}"
        trust = "-" if fix.confidence is None else f"{fix.confidence:.3f}"
        score = f"{fix.score:10.4f} | {fix.margin:+6.4f} | {trust:>10}"
        spread = f"{float(sigma_m(np.array(fix.covariance_m2))):7.1f}"
        lines.append(f"| {rank:4} | {place} | {spread} | {score} | {degrees(fix.pitch_rad):+5.1f} |")
    if answer.best.heading_sigma_rad is not None:
        lines = [lines[0] + " heading (ccw from east) |", lines[1] + "------------------------:|"] + [
            f"{line} {degrees(heading):23.1f} |" for line, heading in zip(lines[2:], answer.headings_rad, strict=True)
        ]
    if answer.errors_m is not None:
        lines = [lines[0] + " error m |", lines[1] + "--------:|"] + [
            f"{line} {error_m:7.1f} |" for line, error_m in zip(lines[2:], answer.errors_m, strict=True)
        ]
    return "\n".join(lines)


def verdict(answer: Answer) -> str:
    """Whether the best place can be relied upon, in one or two sentences."""
    best, threshold = answer.best, answer.threshold
    if best.confidence is None or threshold is None:
        said = "How far these weights can be relied upon has not been measured (cvlnet calibrate does)."
    elif answer.is_sure:
        said = f"Sure: place 1 is right to 10 m, with a confidence of {best.confidence:.3f} (at least {threshold:.3f})."
    else:
        said = (
            f"Not sure: place 1 has a confidence of {best.confidence:.3f}, below {threshold:.3f}. "
            "The clip may have been taken elsewhere, off this map."
        )
    if best.known_share is not None and best.known_share < _LITTLE_KNOWN:
        said += f" The map shows only {best.known_share:.0%} of what the clip sees there: a larger map tells more."
    if answer.truth_is_searched is False:
        said += " The true place is not among those that were searched."
    return said


def to_json(answer: Answer) -> dict[str, Any]:
    """Everything about the fixes in JSON's types. offset_m: (east, north) of the tile's centre; angles in degrees.

    yaw_deg, compass_deg: where the newest frame looks, counter-clockwise from east and clockwise from north.

    credit: the line that the imagery's licence asks for, if it is known. datum_accuracy_m: how far all places may be
    wrong because of the map's datum, null if that is not known.
    """
    return {
        "sure": answer.is_sure,
        "threshold": answer.threshold,
        "map": str(answer.image.source),
        "credit": answer.image.credit,
        "datum_accuracy_m": getattr(answer.image.raster, "accuracy_m", 0.0),
        "places": len(answer.region),
        "frames": len(answer.clip.images),
        **_heading(answer.headings_rad[0]),
        "true_position": _place(answer.truth) if answer.truth else None,
        "true_position_searched": answer.truth_is_searched,
        "fixes": [_properties(answer, index) for index in range(len(answer.fixes))],
    }


def to_geojson(answer: Answer) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946): a point for each fix, the best one's ellipse, and the true place if known."""
    features = [
        feature(point(fix.position), {"kind": "fix"} | _properties(answer, index))
        for index, fix in enumerate(answer.fixes)
    ]
    for fix in answer.fixes[:1]:
        about = {"kind": "ellipse", "confidence": CONFIDENCE, "rank": 1}
        features.append(feature(ellipse(fix.position, fix.covariance_m2), about))
    if answer.truth is not None:
        features.append(feature(point(answer.truth), {"kind": "truth"}))
    return collection(features)


def forward_xy(yaw_rad: float) -> Xy:
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
        "score": fix.score,
        "margin": fix.margin,
        "pitch_deg": degrees(fix.pitch_rad),
    }
    if fix.confidence is not None:
        properties["confidence"] = fix.confidence
    if fix.known_share is not None:
        properties["known_share"] = fix.known_share
    if fix.heading_sigma_rad is not None:
        properties |= _heading(answer.headings_rad[index])
        properties["sigma_yaw_deg"] = degrees(fix.heading_sigma_rad)
    return properties | ({"error_m": answer.errors_m[index]} if answer.errors_m is not None else {})


def _heading(yaw_rad: float) -> dict[str, float]:
    """A heading as both conventions have it, under the names of the files of tracks."""
    return {"yaw_deg": degrees(yaw_rad), "compass_deg": compass_deg(yaw_rad)}


def _place(place: LatLon) -> dict[str, float]:
    return {"latitude_deg": place.latitude_deg, "longitude_deg": place.longitude_deg}
