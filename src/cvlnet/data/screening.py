"""Which of a drive's measured positions are used; the others are left out, with a warning of one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cvlnet.arrays import Indices, Positions, Series
from cvlnet.data.plausibility import FASTEST_M_S, plausible, spun, typical_speed_m_s
from cvlnet.errors import InputError, warn
from cvlnet.io.text import ranges

_ZERO_DEG = 1e-4  # receivers differ in how exactly they write zero
# what is wrong with a position: in a warning about several rows, and as the reason why a frame is not used
_NOT_MEASURED = ("no position or heading", "it has no position (0, 0 or no number), or no heading")
_STRAY = ("no vehicle can have driven there", "no vehicle can have driven from the frames around it to its position")
_SPUN = ("a heading that stands out from those around it", "its heading stands out from those around it")
_STALE = (
    "an earlier position repeated while the vehicle drives on",
    "its position repeats an earlier one while the vehicle drives on",
)


@dataclass(frozen=True)
class Rows:
    """Where the positions of a drive stand: in lines of a file, or in a file for each frame. number: of each row."""

    where: Path
    unit: str  # "line" or "frame"
    number: Int64[np.ndarray, " n"]

    def named(self, rows: Indices) -> str:
        """Some of the rows in words, such as "lines 5 to 8"."""
        return f"{self.unit}{'s' if len(rows) > 1 else ''} {ranges(self.number[rows].tolist())}"


def without_fix(latlon_deg: Float64[np.ndarray, "*batch 2"]) -> Bool[np.ndarray, "*batch"]:
    """Whether a place is what receivers write without a fix: no number, or 0, 0 (which lies in the sea)."""
    return np.asarray(~np.isfinite(latlon_deg).all(axis=-1) | (np.abs(latlon_deg) < _ZERO_DEG).all(axis=-1))


@dataclass(frozen=True)
class Screened:
    """Which rows are used, and what to say of the others.

    kept: the rows. jumps_m: how far the position jumps to a row from which on it goes on there. reasons: why a row is
    left out. noise_m: as in `cvlnet.data.plausibility.Plausibility`.
    """

    kept: Indices
    jumps_m: Mapping[int, float]
    reasons: Mapping[int, str]
    noise_m: float


def screen(rows: Rows, xyz_m: Positions, yaw_rad: Series, elapsed_s: Series) -> Screened:
    """Leave out, with a warning, what was not measured, and where no vehicle can have driven or turned to.

    xyz_m: positions as `cvlnet.data.plausibility.plausible` takes them, NaN where there is none or no heading.
    elapsed_s: rising.
    Raises InputError if nothing is left, or if hardly two positions fit together.
    """
    fixed = np.flatnonzero(np.isfinite(xyz_m).all(axis=1))
    if len(fixed) == 0:
        remedy = "give the positions and headings of the frames"
        raise InputError(f"no {rows.unit} holds a position and a heading", where=rows.where, remedy=remedy)
    found = plausible(xyz_m[fixed], elapsed_s[fixed])
    kept, starts = fixed[found.kept], fixed[found.starts]
    if len(kept) > 2 and len(starts) + 1 > len(kept) / 2:
        speed_m_s = typical_speed_m_s(xyz_m[fixed], elapsed_s[fixed])
        raise InputError(
            f"the positions are not those of a vehicle: they move at {speed_m_s:.0f} m/s, more than {FASTEST_M_S:.0f} "
            "m/s, or jump to and fro",
            where=rows.where,
            remedy="give positions in metres or degrees, and times in seconds",
        )
    previous = kept[np.searchsorted(kept, starts) - 1]
    distances_m = np.linalg.norm(xyz_m[starts] - xyz_m[previous], axis=1)
    jumps_m = dict(zip(starts.tolist(), distances_m.tolist(), strict=True))
    is_spun = spun(yaw_rad[kept], elapsed_s[kept])
    faults = [
        (_NOT_MEASURED, np.setdiff1d(np.arange(len(xyz_m)), fixed)),
        (_STRAY, fixed[found.stray]),
        (_STALE, fixed[found.stale]),
        (_SPUN, kept[is_spun]),
    ]
    _warn_of(rows, [(text, at) for (text, _), at in faults if len(at)], jumps_m)
    reasons = {row: why for (_, why), at in faults for row in at.tolist()}
    used = kept[~is_spun]
    behind = np.searchsorted(used, starts)  # a jump counts at the first row behind it that is used
    within = behind < len(used)
    jumps_m = dict(zip(used[behind[within]].tolist(), distances_m[within].tolist(), strict=True))
    return Screened(used, jumps_m, reasons, found.noise_m)


def _warn_of(rows: Rows, faults: Sequence[tuple[str, Indices]], jumps_m: Mapping[int, float]) -> None:
    """Warn of the rows that are left out, in one line, and of each jump."""
    if faults:
        count = sum(len(at) for _, at in faults)
        reasons = "; ".join(f"{text} ({rows.named(at)})" for text, at in faults)
        what = f"{count} of {len(rows.number)} {rows.unit}s are left out: {reasons}"
        warn(what, where=rows.where, remedy="correct their positions, or delete them")
    if jumps_m:
        far = f"by {'up to ' if len(jumps_m) > 1 else ''}{max(jumps_m.values()):.0f} m"
        what = f"the position jumps {far} at {rows.named(np.array(list(jumps_m)))} and continues from there"
        warn(what, where=rows.where, remedy="correct the positions; until then no clip reaches back over the jump")
