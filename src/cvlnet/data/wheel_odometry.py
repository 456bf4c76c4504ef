"""Odometry from what the wheels and a gyroscope measure: speed and yaw rate, integrated."""

from __future__ import annotations

from math import degrees, pi

import numpy as np

from cvlnet.arrays import F64, Series
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.plausibility import FASTEST_M_S, HARDEST_M_S2
from cvlnet.data.poses_csv import require_times, table_values
from cvlnet.errors import InputError, warn
from cvlnet.io.text import Table, ranges

SPEED = "speed_m_s"
_RATES = ("yaw_rate_rad_s", "yaw_rate_deg_s")
_FASTEST_TURN_RAD_S = 2 * pi
_OFTEN = 0.01  # share of the lines in which a vehicle would slide sideways
_BEGIN = f"begin with the line time_s,{SPEED},{_RATES[0]}"


def integrated(table: Table, yaw_rad: float = 0.0) -> tuple[OdometryPose, ...]:
    """The poses at the times of a table with time_s, speed_m_s and yaw_rate_rad_s or yaw_rate_deg_s.

    The speed is negative backwards; the yaw rate is positive to the left. yaw_rad: of the first pose. Between two lines
    the vehicle goes straight on, at their mean speed, in the direction halfway. Lines without a speed or a yaw rate are
    left out, with a warning.
    Raises InputError if a column is missing or doubled, if times do not rise, or for speeds and yaw rates beyond those
    of vehicles.
    """
    rates = [column for column in _RATES if column in table.columns]
    if "time_s" not in table.columns or len(rates) != 1:
        what = "has yaw_rate_rad_s and yaw_rate_deg_s" if len(rates) > 1 else "lacks time_s or the yaw rate"
        raise InputError(what, where=table.path, remedy=_BEGIN)
    if not table.rows:
        raise InputError("has no line below its header", where=table.path, remedy="give a line for each measurement")
    line = np.array([number for number, _ in table.rows])
    time_s, speed_m_s, rate = (table_values(table, column) for column in ("time_s", SPEED, rates[0]))
    require_times(time_s, line, table.path)
    rate_rad_s = np.radians(rate) if rates[0].endswith("deg_s") else rate
    measured = np.isfinite(speed_m_s) & np.isfinite(rate_rad_s)
    if not measured.any():
        raise InputError("no line holds a speed and a yaw rate", where=table.path, remedy="give both in every line")
    if not measured.all():
        what = f"lines {ranges(line[~measured].tolist())} lack a speed or a yaw rate, and are left out"
        warn(what, where=table.path, remedy="give both in every line")
    time_s, speed_m_s, rate_rad_s = time_s[measured], speed_m_s[measured], rate_rad_s[measured]
    _require_vehicle(table, line[measured].tolist(), speed_m_s, rate_rad_s)
    step_s = np.diff(time_s)
    yaw = yaw_rad + np.concatenate([[0.0], np.cumsum(step_s * _means(rate_rad_s))])
    step_m, course_rad = step_s * _means(speed_m_s), _means(yaw)
    x_m = np.concatenate([[0.0], np.cumsum(step_m * np.cos(course_rad))])
    y_m = np.concatenate([[0.0], np.cumsum(step_m * np.sin(course_rad))])
    return tuple(OdometryPose(*pose) for pose in np.stack([time_s, x_m, y_m, yaw], axis=1).tolist())


def _means(values: F64) -> F64:
    """Of neighbours."""
    return np.asarray((values[1:] + values[:-1]) / 2)


def _require_vehicle(table: Table, line: list[int], speed_m_s: Series, rate_rad_s: Series) -> None:
    for row in np.flatnonzero(np.abs(speed_m_s) > FASTEST_M_S)[:1]:
        what = f"speed_m_s {speed_m_s[row]:g} is faster than a road vehicle ({FASTEST_M_S:g} m/s)"
        raise InputError(what, where=table.where(line[row]), remedy="give metres per second")
    for row in np.flatnonzero(np.abs(rate_rad_s) > _FASTEST_TURN_RAD_S)[:1]:
        what = f"a yaw rate of {degrees(rate_rad_s[row]):.0f} degrees per second is beyond a vehicle's"
        remedy = f"name the column {_RATES[1]} if it is in degrees"
        raise InputError(what, where=table.where(line[row]), remedy=remedy)
    sideways_m_s2 = np.abs(speed_m_s * rate_rad_s)
    if np.mean(sideways_m_s2 > HARDEST_M_S2) > _OFTEN:
        what = f"speed and yaw rate imply a lateral acceleration of up to {sideways_m_s2.max():.0f} m/s2"
        raise InputError(what, where=table.path, remedy="give metres and radians per second, not km/h or degrees")
