"""When a fix was taken: times since the start of a drive as dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cvlnet.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S = 2**31  # of ROS's clock, 2038
_DATES_FROM_S = 1e8  # 1973: no drive takes so long


def are_dates(time_s: float) -> bool:
    """Whether the times of a drive count from 1970, as those of bags do, rather than from its beginning."""
    return time_s >= _DATES_FROM_S


def time_zero_of(text: str, where: str) -> datetime:
    """The date and time, with its zone, of a text in ISO 8601. Raises InputError for another text."""
    remedy = "give the date, the time and the time zone, such as 2024-05-01T12:00:00Z or 2024-05-01T14:00:00+02:00"
    try:
        found = datetime.fromisoformat(text)
        Clock(found).moment(0.0)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no date and time with its zone", where=where, remedy=remedy) from error
    return found


@dataclass(frozen=True)
class Clock:
    """The date at which a trajectory's time is 0: 1970-01-01 unless it is known, which is right for times since 1970.

    Raises ValueError if the start has no time zone.
    """

    start: datetime = EPOCH

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError(f"{self.start} has no time zone")

    def has(self, time_s: float) -> bool:
        """Whether a time lies between 1970 and 2038, so that every format has it."""
        return 0 <= (self.start - EPOCH).total_seconds() + time_s < _LAST_S

    def knows(self, time_s: float) -> bool:
        """Whether a time is that of a date from the year 1 to 9999."""
        try:
            self.moment(time_s)
        except OverflowError:
            return False
        return True

    def moment(self, time_s: float) -> datetime:
        """The date and time in UTC, to a microsecond."""
        return self.start.astimezone(UTC) + timedelta(seconds=time_s)

    def stamp_ns(self, time_s: float) -> int:
        """Nanoseconds since 1970."""
        return (self.start - EPOCH) // timedelta(microseconds=1) * 1000 + round(time_s * 1e9)
