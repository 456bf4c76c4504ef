import numpy as np
import pytest
from kitti_tree import shared
from video_tree import bend

from cvlnet.data.heading import Reading, contradiction, stretches, wrapped
from cvlnet.data.plausibility import plausible
from cvlnet.geo import LatLon, LocalFrame, earth_centred_m

CLOCK_S = np.arange(40) * 0.1


def reading(way, yaw_deg=None, how="as read"):
    return Reading(how, "", way[:, :2], np.radians(way[:, 2] if yaw_deg is None else yaw_deg))


def found(way, yaw_deg=None, others=(), clock_s=None, noise_m=0.0):
    clock_s = np.arange(len(way)) * 0.1 if clock_s is None else clock_s
    return contradiction(reading(way, yaw_deg), others, clock_s, [], noise_m)


def test_headings_that_agree_contradict_nothing():
    assert found(bend(40)) is None


@pytest.mark.parametrize("off_deg", [15.0, -15.0])
def test_a_misaligned_unit_contradicts_nothing(off_deg):
    way = bend(40)
    assert found(way, way[:, 2] + off_deg) is None


@pytest.mark.parametrize("off_deg", [40.0, -40.0, 90.0, -90.0, 180.0])
def test_a_constant_is_measured(off_deg):
    """10 m/s is too fast to drive backwards."""
    way = bend(40)
    result = found(way, way[:, 2] + off_deg)
    assert np.degrees(result.off_rad) == pytest.approx(abs(off_deg), abs=0.5)
    assert abs(np.degrees(wrapped(np.array([result.offset_rad + np.radians(off_deg)])))[0]) < 0.5
    assert result.explained_by == ()


def test_on_a_straight_way_only_a_quarter_turn_is_a_constant():
    way = bend(40, turn_deg=0)
    assert found(way, way[:, 2] + 40).offset_rad is None
    assert np.degrees(found(way, way[:, 2] + 93).offset_rad) == pytest.approx(-90)


def test_the_reading_that_agrees_explains():
    way = bend(40)
    others = [reading(way, way[:, 2] + 50, "beside"), reading(way, None, "right")]
    result = found(way, 90 - way[:, 2] + 70, others)
    assert [other.how for other in result.explained_by] == ["right"]
    assert result.offset_rad is None


def test_a_vehicle_that_reverses_slowly_contradicts_nothing():
    way = bend(40, step_m=0.4)
    assert found(way, way[:, 2] + 180) is None


@pytest.mark.parametrize(("reversed_share", "contradicts"), [(0.5, False), (1.0, True)])
def test_nobody_reverses_all_of_a_long_drive(reversed_share, contradicts):
    """120 m at 4 m/s."""
    way = bend(300, step_m=0.4)
    behind = np.arange(300) < 300 * reversed_share
    result = found(way, way[:, 2] + 180 * behind)
    assert (result is not None) == contradicts
    assert result is None or abs(np.degrees(result.offset_rad)) == pytest.approx(180)


def test_a_vehicle_that_stands_or_hardly_moves_contradicts_nothing():
    assert found(np.zeros((40, 3))) is None
    assert found(bend(4), [0, 0, 0, 0]) is None
    slow = bend(40, step_m=0.3)
    assert found(slow, slow[:, 2] + 90, clock_s=np.arange(40.0)) is None  # wanders at 0.3 m/s


def test_noise_contradicts_nothing():
    rng = np.random.default_rng(0)
    for _ in range(20):
        way = bend(200, turn_deg=rng.uniform(-200, 200))
        way[:, :2] += rng.normal(0, 1.0, (200, 2))
        noise_m = plausible(way[:, :2], np.arange(200) * 0.1).noise_m
        assert found(way, noise_m=noise_m) is None


def test_stretches_do_not_reach_over_a_jump():
    way = bend(40, turn_deg=0)
    way[20:, 1] += 50.0
    along = stretches(way[:, :2], CLOCK_S, [20], 0.0)
    assert np.degrees(along.direction_rad) == pytest.approx(np.full(len(along.first), 20.0))
    assert along.speed_m_s == pytest.approx(np.full(len(along.first), 10.0))


def test_headings_of_sparse_frames_in_a_bend_agree():
    way = bend(12, turn_deg=300, step_m=5.0)
    assert found(way, clock_s=np.arange(12) * 0.5) is None


def test_no_drive_of_kitti_contradicts_but_the_one_whose_receiver_failed():
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    contradicting = {}
    for drive in oxts.files:
        rows, clock_s = oxts[drive], np.arange(len(oxts[drive])) * 0.1
        screened = plausible(earth_centred_m(rows[:, :2]), clock_s)
        xy_m = LocalFrame(LatLon(*rows[0, :2].tolist())).xy_world_m(rows[:, :2])
        kept = screened.kept
        starts = np.flatnonzero(screened.starts[kept]).tolist()
        read = Reading("", "", xy_m[kept], rows[kept, 5])
        result = contradiction(read, (), clock_s[kept], starts, screened.noise_m)
        if result is not None:
            contradicting[drive] = round(np.degrees(result.off_rad))
    assert contradicting == {"2011_09_26_drive_0093": 33}
