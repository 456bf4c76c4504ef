"""GeoJSON: the tracked way as lines, a point for each fix, and where the vehicle is with 95 % probability."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from pathlib import Path
from typing import Any

from cvlnet.ellipse import CONFIDENCE
from cvlnet.geo import compass_deg
from cvlnet.geojson import collection, ellipse, feature, line, point
from cvlnet.io.outputs import write_json_list
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.fields import fields_of
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import TrackFix, Trajectory

_TOLD = ("index", "time_s", "state", "confidence", "yaw_deg")
_DOUBT = ("sigma_east_m", "sigma_north_m", "covariance_en_m2", "sigma_yaw_deg")


def write_geojson(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write a FeatureCollection: lines ("kind": "track"), points ("fix") and areas ("ellipse").

    Lines have the credit, the collection has name and credit. Fixes without a place are left out. An ellipse is that
    of the last tracked fix of a second.
    """
    tracked = stretches(trajectory)
    features = [
        feature(
            line([place for _, place in stretch]),
            {
                "kind": "track",
                "name": trajectory.name,
                "credit": trajectory.credit,
                **_times(stretch[0][0], clock, "begin"),
                **_times(stretch[-1][0], clock, "end"),
            },
        )
        for stretch in tracked
        if len(stretch) > 1
    ]
    features += [
        feature(point(fix.position), _properties(fix, clock)) for fix in trajectory.fixes if fix.position is not None
    ]
    for fix in _last_of_each_second(fix for stretch in tracked for fix, _ in stretch):
        if fix.position is not None and fix.covariance is not None:
            about = {"kind": "ellipse", "confidence": CONFIDENCE, "index": fix.index, **_times(fix, clock)}
            features.append(feature(ellipse(fix.position, fix.covariance[:2, :2]), about))
    whole = collection(features, name=trajectory.name, credit=trajectory.credit)
    write_json_list(whole, "features", whole.pop("features"), path)


def _properties(fix: TrackFix, clock: Clock) -> dict[str, Any]:
    fields = fields_of(fix)
    heading = {} if fix.yaw_rad is None else {"compass_deg": compass_deg(fix.yaw_rad)}
    doubt = {} if fix.covariance is None else {name: fields[name] for name in _DOUBT}
    return {"kind": "fix", **{name: fields[name] for name in _TOLD}, **heading, **doubt, **_times(fix, clock)}


def _times(fix: TrackFix, clock: Clock, prefix: str = "") -> dict[str, Any]:
    """The time of a fix as a date, and with a prefix also in seconds."""
    date = clock.moment(fix.time_s).isoformat(timespec="milliseconds")
    return {f"{prefix}_time_s": fix.time_s, f"{prefix}_time": date} if prefix else {"time": date}


def _last_of_each_second(fixes: Iterable[TrackFix]) -> list[TrackFix]:
    return list({floor(fix.time_s): fix for fix in fixes}.values())
