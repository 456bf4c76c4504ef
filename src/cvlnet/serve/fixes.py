"""The wire form of a fix, and of what lies beside it: the truth, and odometry alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import degrees, pi, radians

import numpy as np
from scipy.stats import chi2

from cvlnet.arrays import F64
from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose, turned_m, wrapped_rad
from cvlnet.ellipse import CONFIDENCE
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, compass_deg
from cvlnet.localize.turned import Heading
from cvlnet.model.confidence import sigma_m
from cvlnet.serve import wire
from cvlnet.track.evaluate import errors_of
from cvlnet.track.types import TrackFix, Trajectory

_DECIMALS = 9  # of a latitude or longitude
_ANGLE_DECIMALS, _METRE_DECIMALS = 6, 4
_SHORTEST_S = 1e-3  # over which a speed is taken


def heading_of(text: str | None) -> Heading | None:
    """What is known of a heading, with its middle clockwise from true north; None if nothing is said of it.

    Raises InputError for other words.
    """
    if text is None:
        return None
    try:
        heading = Heading.parse(text)
    except ValueError as error:
        raise InputError(str(error), where="heading", remedy='say "unknown", "±20" or "90±20"') from error
    if heading.middle_rad is None:
        return heading
    return Heading(wrapped_rad(pi / 2 - heading.middle_rad), heading.width_rad)


def heading_deg(yaw_rad: float) -> float:
    """Degrees clockwise from true north, from 0 to 360, of a yaw counter-clockwise from true east."""
    return compass_deg(yaw_rad, _ANGLE_DECIMALS)


def fix_of(
    fix: TrackFix,
    moment: int,
    *,
    truth: Sequence[KnownPlace] = (),
    before: OdometryPose | None = None,
    now: OdometryPose | None = None,
) -> wire.Fix:
    """A fix as it is sent. before, now: the odometry of the last moment and of this one, for the speed."""
    latitude_deg, longitude_deg = (None, None) if fix.position is None else _rounded(fix.position)
    covariance = fix.covariance
    smooth = None
    if fix.smooth_position is not None and fix.smooth_yaw_rad is not None:
        smooth = wire.Pose(**_place(fix.smooth_position), heading_deg=heading_deg(fix.smooth_yaw_rad))
    return wire.Fix(
        moment=moment,
        index=fix.index,
        time_s=fix.time_s,
        state=fix.state,
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        heading_deg=None if fix.yaw_rad is None else heading_deg(fix.yaw_rad),
        sigma_m=None if covariance is None else round(float(sigma_m(covariance[:2, :2])), _METRE_DECIMALS),
        ellipse=None if covariance is None else ellipse_of(covariance[:2, :2]),
        heading_sigma_deg=None if covariance is None else _rounded_deg(float(covariance[2, 2]) ** 0.5),
        confidence=fix.confidence,
        hypotheses=[
            wire.Hypothesis(
                **_place(guess.position), heading_deg=heading_deg(guess.yaw_rad), probability=guess.probability
            )
            for guess in fix.hypotheses
        ],
        smooth=smooth,
        score=fix.score,
        error_m=error_m(fix, truth),
        speed_mps=_speed(fix, before, now),
        pitch_offset_deg=None if fix.pitch_offset_rad is None else _rounded_deg(fix.pitch_offset_rad),
        camera_yaw_offset_deg=None if fix.camera_yaw_offset_rad is None else _rounded_deg(fix.camera_yaw_offset_rad),
    )


def ellipse_of(covariance_m2: F64) -> wire.Ellipse:
    """The ellipse of 95 % of a covariance of (east, north)."""
    variances_m2, axes = np.linalg.eigh(covariance_m2)
    radii_m = np.sqrt(np.maximum(variances_m2, 0) * chi2.ppf(CONFIDENCE, 2))
    minor_m, major_m = radii_m.round(_METRE_DECIMALS).tolist()
    east, north = axes[:, 1].tolist()
    bearing_deg = _rounded_deg(float(np.arctan2(east, north))) % 180.0
    return wire.Ellipse(major_m=major_m, minor_m=minor_m, bearing_deg=bearing_deg)


def error_m(fix: TrackFix, truth: Sequence[KnownPlace]) -> float | None:
    """The distance of a fix from the truth, which is interpolated; None where either is not known."""
    after = bisect_left(truth, fix.time_s, key=lambda place: place.time_s)
    around = truth[max(after - 1, 0) : after + 1]
    if fix.position is None or not around:
        return None
    try:
        return round(float(errors_of(Trajectory("", (fix,)), around).distance_m[0]), _METRE_DECIMALS)
    except InputError:  # the fix does not lie between known places
        return None


def truth_of(places: Sequence[KnownPlace]) -> list[wire.TruePlace]:
    """Known places as they are sent."""
    return [
        wire.TruePlace(
            time_s=place.time_s,
            **_place(place.position),
            heading_deg=None if place.yaw_rad is None else heading_deg(place.yaw_rad),
        )
        for place in places
    ]


def places_of(truth: Sequence[wire.TruePlace]) -> tuple[KnownPlace, ...]:
    """Known places, of what was sent."""
    return tuple(
        KnownPlace(
            place.time_s,
            LatLon(place.latitude_deg, place.longitude_deg),
            None if place.heading_deg is None else wrapped_rad(pi / 2 - radians(place.heading_deg)),
        )
        for place in truth
    )


def odometry_places(fixes: Sequence[TrackFix], odometry: Sequence[OdometryPose]) -> list[wire.OdometryPlace]:
    """Odometry alone, laid at the first fix that was tracked; empty before there is one."""
    poses = {pose.time_s: pose for pose in odometry}
    fix = next((fix for fix in fixes if fix.state == "tracking" and fix.time_s in poses), None)
    if fix is None or fix.position is None or fix.yaw_rad is None:
        return []
    start = poses[fix.time_s]
    turn_rad = fix.yaw_rad - start.yaw_rad
    steps_m = np.array([turned_m((pose.x_m - start.x_m, pose.y_m - start.y_m), turn_rad) for pose in odometry])
    places = LocalFrame(fix.position).latlon_deg(steps_m).round(_DECIMALS).tolist()
    return [
        wire.OdometryPlace(time_s=pose.time_s, latitude_deg=latitude, longitude_deg=longitude)
        for pose, (latitude, longitude) in zip(odometry, places, strict=True)
    ]


def _speed(fix: TrackFix, before: OdometryPose | None, now: OdometryPose | None) -> float | None:
    if before is None or now is None or now.time_s - before.time_s < _SHORTEST_S:
        return None
    return round(fix.scale * before.way_m(now) / (now.time_s - before.time_s), _METRE_DECIMALS)


def _rounded_deg(angle_rad: float) -> float:
    return round(degrees(angle_rad), _ANGLE_DECIMALS)


def _place(place: LatLon) -> dict[str, float]:
    latitude_deg, longitude_deg = _rounded(place)
    return {"latitude_deg": latitude_deg, "longitude_deg": longitude_deg}


def _rounded(place: LatLon) -> tuple[float, float]:
    return round(place.latitude_deg, _DECIMALS), round(place.longitude_deg, _DECIMALS)
