import numpy as np
import pytest

from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.report.maps import _round_length, _tracks, from_corner, mark
from cvlnet.grid import Grid
from predictions import driven


def test_places_count_right_and_down_from_the_outer_corner():
    grid = Grid(10, 20, 2.0, (100.0, 50.0))
    np.testing.assert_allclose(
        from_corner(grid, np.array([[100.0, 50.0], [80.0, 60.0], [120.0, 40.0]])), [[20, 10], [0, 0], [40, 20]]
    )


def test_a_mark_says_what_the_fix_says():
    fixes = best_fixes(driven(), "test2")
    grid = Grid(300, 300, 1.0)
    said = mark(fixes, 4, "date/drive/4", grid, {"date/drive/4": "frames/4.jpg"})
    assert said["picture"] == "frames/4.jpg"
    assert np.hypot(said["x"] - said["true_x"], said["y"] - said["true_y"]) == pytest.approx(fixes.error_m[4], abs=0.02)
    assert np.hypot(said["ahead_m"], said["left_m"]) == pytest.approx(fixes.error_m[4], abs=0.1)
    assert mark(fixes, 5, "date/drive/5", grid, {})["picture"] is None


def test_tracks_break_at_gaps_and_between_drives():
    xy_m = np.array([[0.0, 0], [1, 0], [50, 0], [51, 0], [52, 0]])
    ids = ["d/a/1", "d/a/2", "d/a/3", "d/b/1", "d/b/2"]
    assert _tracks(xy_m, ids) == ("0.0,0.0 1.0,0.0", "50.0,0.0", "51.0,0.0 52.0,0.0")


@pytest.mark.parametrize(("length_m", "expected"), [(104.0, 100.0), (99.0, 50.0), (23.0, 20.0), (1.0, 1.0)])
def test_round_lengths(length_m, expected):
    assert _round_length(length_m) == expected
