"""What is left out of a drive's positions, and where jumps count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cvlnet.data.screening import Rows, Screened, screen

ROWS = Rows(Path("poses.csv"), "line", np.arange(60))


def screened(jump_at: int, spun: list[int]) -> Screened:
    """10 m/s to the east, and 500 m to the north from a row on; headings that stand out at some rows."""
    xyz_m = np.stack([np.arange(60.0), np.where(np.arange(60) >= jump_at, 500.0, 0.0), np.zeros(60)], axis=1)
    yaw_rad = np.zeros(60)
    yaw_rad[spun] = np.pi
    return screen(ROWS, xyz_m, yaw_rad, np.arange(60) * 0.1)


@pytest.mark.parametrize(("spun", "counted_at"), [([], 30), ([30], 31), ([30, 31], 32), ([12], 30)])
def test_a_jump_counts_at_the_first_row_that_is_used_behind_it(spun: list[int], counted_at: int) -> None:
    found = screened(30, spun)
    assert found.jumps_m == {counted_at: pytest.approx(np.hypot(500.0, 1.0))}
    assert counted_at in found.kept
    assert not set(spun) & set(found.kept.tolist())
