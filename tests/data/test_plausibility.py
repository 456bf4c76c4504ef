import numpy as np
import pytest
from kitti_tree import shared
from video_tree import bend

from cvlnet.data import plausibility
from cvlnet.data.plausibility import Plausibility, elapsed_s, plausible, spun, typical_speed_m_s
from cvlnet.geo import earth_centred_m

CLOCK_S = np.arange(40) * 0.1
WAY_M = bend(40)[:, :2]


def found(way_m=WAY_M, clock_s=CLOCK_S) -> Plausibility:
    return plausible(way_m, clock_s)


def moved(rows, by_m):
    way_m = WAY_M.copy()
    way_m[rows] += by_m
    return way_m


def test_a_drive_is_plausible():
    result = found()
    assert result.kept.all()
    assert not result.starts.any()


@pytest.mark.parametrize("row", [0, 1, 20, 38, 39])
@pytest.mark.parametrize("far_m", [5.0, 222.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0), (-0.6, 0.8)])
def test_a_position_that_jumps_away_and_back_strays(row, far_m, direction):
    result = found(moved(row, np.multiply(far_m, direction)))
    assert np.flatnonzero(result.stray).tolist() == [row]
    assert not result.starts.any()


def test_several_positions_that_jump_away_and_back_stray():
    result = found(moved([7, 8, 9, 30, 32], [0.0, 30.0]))
    assert np.flatnonzero(result.stray).tolist() == [7, 8, 9, 30, 32]
    assert not result.starts.any()


@pytest.mark.parametrize("row", [3, 20, 37])
def test_a_jump_that_lasts_begins_a_new_part(row):
    result = found(moved(slice(row, None), [0.0, 50.0]))
    assert result.kept.all()
    assert np.flatnonzero(result.starts).tolist() == [row]


def test_what_is_away_for_long_is_a_part_of_its_own():
    way_m, clock_s = bend(60, turn_deg=20)[:, :2], np.arange(60) * 0.1
    way_m[20:45] += [40.0, 0.0]
    result = plausible(way_m, clock_s)
    assert result.kept.all()
    assert np.flatnonzero(result.starts).tolist() == [20, 45]


def test_every_second_position_is_elsewhere():
    result = found(moved(slice(1, None, 2), [5000.0, 0.0]))
    assert np.flatnonzero(result.stray).tolist() == list(range(1, 40, 2))


def test_once_a_second_a_jump_of_thirty_metres_is_found():
    way_m = bend(12, step_m=10.0, turn_deg=90)[:, :2]
    way_m[6] += [-20.0, 25.0]
    assert np.flatnonzero(plausible(way_m, np.arange(12.0)).stray).tolist() == [6]


@pytest.mark.parametrize("sigma_m", [0.5, 1.0, 2.0])
def test_the_noise_of_a_receiver_is_no_fault(sigma_m):
    rng = np.random.default_rng(0)
    way_m, clock_s = bend(3000, turn_deg=700)[:, :2], np.arange(3000) * 0.1
    result = plausible(way_m + rng.normal(0, sigma_m, way_m.shape), clock_s)
    assert result.kept.all()
    assert not result.starts.any()
    assert sigma_m < result.noise_m < 2.5 * sigma_m


def test_hard_braking_and_standing_are_plausible():
    speed_m_s = np.clip(15.0 - 9.0 * np.arange(40) * 0.1, 0.0, None)
    way_m = np.stack([np.cumsum(speed_m_s * 0.1), np.zeros(40)], axis=1)
    assert found(way_m).kept.all()


def test_a_hole_leaves_room_to_drive_on():
    way_m, clock_s = np.delete(WAY_M, slice(10, 30), axis=0), np.delete(CLOCK_S, slice(10, 30))
    result = plausible(way_m, clock_s)
    assert result.kept.all()
    assert not result.starts.any()


def test_positions_once_a_second_for_frames_ten_times_a_second_are_stale_between():
    result = found(np.repeat(bend(4, step_m=10.0, turn_deg=0)[:, :2], 10, axis=0))
    assert not result.stray.any()
    assert not result.starts.any()
    assert result.kept[::10].all()
    assert result.stale.sum() > 25


def test_a_vehicle_that_stands_repeats_its_position_rightly():
    way_m = np.concatenate([np.zeros((20, 2)), np.stack([0.05 * np.arange(20) ** 2 / 2, np.zeros(20)], axis=1)])
    assert found(way_m).kept.all()
    assert found(way_m[::-1].copy()).kept.all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_positions(count):
    result = found(WAY_M[:count], CLOCK_S[:count])
    assert result.kept.tolist() == [True] * count
    assert not result.starts.any()


def test_one_jump_of_two_positions_makes_two_parts():
    result = plausible(np.array([[0.0, 0.0], [300.0, 0.0]]), np.array([0.0, 0.1]))
    assert result.kept.all()
    assert result.starts.tolist() == [False, True]


def test_all_of_kitti_is_plausible_but_one_fault_of_its_receiver():
    """Drive 0093 of 2011_09_26 slides 40 m sideways in a second, from frame 151 on, at up to 90 m/s."""
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    faults = {}
    for drive in oxts.files:
        result = plausible(earth_centred_m(oxts[drive][:, :2]), np.arange(len(oxts[drive])) * 0.1)
        if not result.kept.all() or result.starts.any():
            faults[drive] = (np.flatnonzero(~result.kept).tolist(), np.flatnonzero(result.starts).tolist())
    assert len(oxts.files) == 151
    assert faults == {"2011_09_26_drive_0093": ([152], [153])}


def test_missing_and_repeated_times_are_counted_by_frames():
    number, nan = np.array([0, 1, 2, 4, 5]), np.nan
    assert elapsed_s(np.array([7.0, 7.1, 7.2, 7.4, 7.5]), number, 1.0) == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert elapsed_s(np.array([7.0, nan, 7.2, 7.4, 7.5]), number, 1.0) == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert elapsed_s(np.array([7.0, 7.1, 7.1, 7.4, 7.5]), number, 1.0) == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert elapsed_s(np.array([7.0, 7.1, 9.0, 7.4, 7.5]), number, 1.0) == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert elapsed_s(np.array([nan, 7.1, 7.2, 7.4, 7.0]), number, 1.0) == pytest.approx([0, 0.1, 0.2, 0.4, 0.5])
    assert elapsed_s(np.zeros(5), number, 0.5) == pytest.approx([0, 0.5, 1.0, 2.0, 2.5])
    assert elapsed_s(np.full(5, nan), number, 0.5) == pytest.approx([0, 0.5, 1.0, 2.0, 2.5])


def test_times_in_whole_seconds_keep_the_drives_length():
    number = np.arange(600)
    exact_s = number * 0.1
    assert elapsed_s(np.floor(exact_s + 1e-9), number, 1.0) == pytest.approx(exact_s, abs=1e-9)
    assert elapsed_s(np.floor(exact_s + 0.55), number, 1.0)[[0, -1]] == pytest.approx([0.0, 59.9], abs=1.0)


def test_a_clock_that_is_set_back_counts_on_the_longer_side():
    number = np.arange(10)
    set_back_s = np.where(number < 4, number, number - 100.0)
    assert elapsed_s(set_back_s, number, 1.0).tolist() == number.tolist()
    assert elapsed_s(np.zeros(0), np.zeros(0, np.int64), 1.0).tolist() == []


def test_positions_without_order_are_not_compared_with_all_others(monkeypatch):
    """All times lie within two seconds, so that every position could come back to any other."""
    compared, goes_on = [], plausibility._Track._goes_on
    monkeypatch.setattr(plausibility._Track, "_goes_on", lambda *args: compared.append(None) or goes_on(*args))
    rng = np.random.default_rng(0)
    plausible(rng.uniform(-1e6, 1e6, (500, 2)), np.linspace(0, 1, 500))
    assert len(compared) <= 500 * 20


def test_typical_speed():
    assert typical_speed_m_s(moved(7, [500.0, 0.0]), CLOCK_S) == pytest.approx(10.0, abs=0.1)
    assert typical_speed_m_s(WAY_M[:1], CLOCK_S[:1]) == 0.0


@pytest.mark.parametrize("rows", [[0], [20], [39], [17, 18], [38, 39]])
@pytest.mark.parametrize("off_deg", [60.0, -100.0, 180.0])
def test_headings_that_stand_out_are_found(rows, off_deg):
    yaw_rad = np.radians(bend(40)[:, 2])
    assert not spun(yaw_rad, CLOCK_S).any()
    yaw_rad[rows] += np.radians(off_deg)
    assert np.flatnonzero(spun(yaw_rad, CLOCK_S)).tolist() == rows


def test_a_turn_on_the_spot_and_over_the_seam_of_the_circle_is_none():
    assert not spun(np.radians(np.clip(np.arange(40) * 30.0 - 300, 0, 400)), CLOCK_S).any()
    assert not spun(np.radians(np.remainder(np.arange(40) * 2.0 + 330, 360)), CLOCK_S).any()
    assert not spun(np.radians(bend(4)[:, 2]), CLOCK_S[:4]).any()  # 230 degrees a second
    assert spun(np.zeros(0), np.zeros(0)).tolist() == []


def test_no_heading_of_kitti_stands_out():
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    assert not any(spun(oxts[drive][:, 5], np.arange(len(oxts[drive])) * 0.1).any() for drive in oxts.files)
