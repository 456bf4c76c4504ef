"""Trajectories made by hand, which every format has to write."""

from __future__ import annotations

from datetime import UTC, datetime
from math import radians

import numpy as np

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.types import Hypothesis, State, TrackFix, Trajectory

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
NOON_S = 1714564800
KARLSRUHE = LatLon(49.0, 8.4)
CREDIT = 'Bilder: © "LGL" & <Ämter>,\n2023\x07'  # what a stranger may write into a picture
COVARIANCE = np.array([[1.0, 0.2, 0.01], [0.2, 2.25, 0.02], [0.01, 0.02, 0.0025]])
STATES: tuple[State, ...] = (
    "searching", "searching", "searching", "tracking", "tracking", "tracking", "tracking",
    "lost", "lost", "tracking", "tracking", "lost", "tracking",
)  # fmt: skip
NOWHERE = (0, 1, 7)  # fixes for which nothing stands out


def drive(origin: LatLon = KARLSRUHE, *, name: str = "drive & <9>", credit: str | None = CREDIT) -> Trajectory:
    """Half a second and 5 m to the north-east between fixes: the first two have no place, 2 and 8 only a guess."""
    frame = LocalFrame(origin)
    fixes = []
    for number, state in enumerate(STATES):
        smooth = LatLon(*frame.latlon_deg((3.0 * number, 4.0 * number + 0.5)).tolist())
        known = number not in NOWHERE
        place = LatLon(*frame.latlon_deg((3.0 * number, 4.0 * number)).tolist())
        fixes.append(
            TrackFix(
                10 + number,
                0.5 * number,
                state,
                place if known else None,
                radians(50 + number) if known else None,
                COVARIANCE * (1 + number) if known else None,
                round(0.4 + 0.05 * number, 2),
                (Hypothesis(place, radians(7.0), 0.3), Hypothesis(origin, radians(-170.0), 0.1)) if number < 9 else (),
                smooth if number > 3 else None,
                radians(49 + number) if number > 3 else None,
                1.0 + number / 1000,
                radians(0.001 * number),
                0.7 if number % 2 else None,
                radians(0.3 * number) if state == "tracking" else None,
                radians(-0.1 * number) if state == "tracking" else None,
            )
        )
    return Trajectory(name, tuple(fixes), credit)


TRACKED = tuple(number for number, state in enumerate(STATES) if state == "tracking")
EMPTY = Trajectory("nothing", ())
NEVER = Trajectory("never", tuple(fix for fix in drive().fixes if fix.state != "tracking"), CREDIT)


def same(first: Trajectory, second: Trajectory) -> bool:
    """Whether two trajectories say the same, to the last digits of degrees."""
    return len(first.fixes) == len(second.fixes) and all(
        _same(_numbers(a), _numbers(b)) for a, b in zip(first.fixes, second.fixes, strict=True)
    )


def _same(a: list[object], b: list[object]) -> bool:
    return len(a) == len(b) and all(
        np.allclose(x, y, rtol=1e-13, atol=1e-15) if isinstance(x, float) and isinstance(y, float) else x == y
        for x, y in zip(a, b, strict=True)
    )


def _numbers(value: object) -> list[object]:
    """Everything that a value holds, in order."""
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    if isinstance(value, tuple):
        return [len(value), *(number for part in value for number in _numbers(part))]
    if hasattr(value, "__dataclass_fields__"):
        return [number for name in value.__dataclass_fields__ for number in _numbers(getattr(value, name))]
    return [value]
