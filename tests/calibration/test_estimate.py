from dataclasses import replace
from functools import cache
from math import radians

import numpy as np
import pytest

from cvlnet.calibration import estimate
from cvlnet.calibration.doubt import mounting_doubt
from cvlnet.calibration.estimate import Estimate, calibrated
from cvlnet.calibration.stretches import Stretch, comparable_pairs, spread, stretch_of
from cvlnet.data.odometry import OdometryPose
from cvlnet.errors import InputError
from road_pictures import CAMERA, TRUE, off, picture, way


@cache
def stretches(count: int = 3) -> tuple[Stretch, ...]:
    """Of a vehicle that nods."""
    poses = way(8 * count, step_m=2.2)
    nods = np.radians(0.3) * np.sin(2.0 * np.arange(len(poses)))
    pictures = [picture(pose, nod_rad=nod) for pose, nod in zip(poses, nods.tolist(), strict=True)]
    return tuple(stretch_of(pictures[i : i + 8], poses[i : i + 8]) for i in range(0, 8 * count, 8))


@pytest.mark.parametrize(("pitch_deg", "height_m"), [(4.0, 0.4), (-4.0, -0.4)])
def test_mounting_is_found_from_a_false_start(pitch_deg: float, height_m: float) -> None:
    found = calibrated(CAMERA, off(TRUE, radians(pitch_deg), height_m), stretches(), "drive")
    assert abs(found.mounting.pitch_rad - TRUE.pitch_rad) < radians(0.1)
    assert abs(found.mounting.height_m - TRUE.height_m) < 0.01
    assert abs(found.mounting.yaw_rad - TRUE.yaw_rad) < radians(0.1)
    assert abs(found.mounting.roll_rad - TRUE.roll_rad) < radians(0.1)
    assert found.mounting.forward_m == TRUE.forward_m
    assert found.stretches == 3
    assert found.tracks > 1000
    assert found.sigma[0] >= radians(1.0)
    assert radians(0.15) <= found.sigma[1] < radians(0.5)
    assert 0.02 * TRUE.height_m <= found.sigma[3] < 0.06


def test_too_little_motion_is_refused() -> None:
    with pytest.raises(InputError, match="only 2 stretches"):
        calibrated(CAMERA, TRUE, stretches()[:2], "drive")


def test_a_drive_without_road_is_refused() -> None:
    blank = [replace(one, pictures=tuple(np.full_like(p, 90) for p in one.pictures)) for one in stretches()]
    with pytest.raises(InputError, match="recognised in 0 of 3 stretches"):
        calibrated(CAMERA, TRUE, blank, "drive")


def test_stretches_that_disagree_make_the_estimate_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = [
        replace(one, odometry=tuple(replace(p, x_m=p.x_m * share, y_m=p.y_m * share) for p in one.odometry))
        for one, share in zip(stretches(), (0.95, 1.0, 1.06), strict=True)
    ]
    found = calibrated(CAMERA, TRUE, scaled, "drive")
    floor_m = 0.02 * found.mounting.height_m
    assert 1.5 * floor_m < found.sigma[3] < 4 * floor_m
    monkeypatch.setattr(estimate, "MOST_SIGMA", (1.0, 0.03))
    with pytest.raises(InputError, match="disagree"):
        calibrated(CAMERA, TRUE, scaled, "drive")


def test_roll_and_yaw_stay_unless_they_differ_clearly() -> None:
    stated = replace(TRUE, roll_rad=0.0, yaw_rad=0.0)
    found = replace(TRUE, roll_rad=0.03, yaw_rad=0.03, pitch_rad=0.0301)
    adopted = Estimate(stated, found, (0.014, 0.01, 0.016, 0.03), 3, 500).adopted
    assert adopted == replace(found, yaw_rad=0.0)
    adopted = Estimate(stated, found, (0.016, 0.01, 0.014, 0.03), 3, 500).adopted
    assert adopted == replace(found, roll_rad=0.0)


def test_a_right_mounting_is_not_doubted_and_a_wrong_one_is() -> None:
    stretch = stretches()[0]
    right = mounting_doubt(CAMERA, TRUE, stretch)
    assert right is not None
    assert not right.doubtful
    assert abs(right.pitch_off_rad) < radians(0.6)
    pitched = mounting_doubt(CAMERA, off(TRUE, radians(-4)), stretch)
    assert pitched is not None
    assert pitched.doubtful
    assert abs(pitched.pitch_off_rad - radians(4)) < radians(0.6)
    assert "pitched +" in str(pitched)
    low = mounting_doubt(CAMERA, off(TRUE, 0.0, -0.45), stretch)
    assert low is not None
    assert low.doubtful
    assert abs(low.height_off_m - 0.45) < 0.08
    assert not mounting_doubt(CAMERA, off(TRUE, radians(-4)), stretch, pitch_rad=radians(6)).doubtful


def test_nothing_is_said_where_nothing_is_seen() -> None:
    stretch = stretches()[0]
    assert mounting_doubt(CAMERA, TRUE, replace(stretch, pairs=stretch.pairs[:4])) is None
    blank = replace(stretch, pictures=tuple(np.full_like(p, 90) for p in stretch.pictures))
    assert mounting_doubt(CAMERA, TRUE, blank) is None


def test_pairs_are_a_few_metres_apart() -> None:
    def pose(x_m: float, yaw_rad: float = 0.0) -> OdometryPose:
        return OdometryPose(x_m, x_m, 0.0, yaw_rad)

    assert comparable_pairs([pose(x) for x in (0.0, 1.0, 2.0, 3.0)]) == [(0, 2), (1, 3)]
    assert comparable_pairs([pose(0.0), pose(7.0), pose(9.0)]) == [(1, 2)]
    assert comparable_pairs([pose(0.0), pose(2.0, 0.3), pose(4.0, 0.4)]) == [(1, 2)]
    assert comparable_pairs([pose(0.0)] * 5) == []


def test_stretches_hang_together_and_share_no_pair() -> None:
    pairs = [(i, i + 1) for i in range(20)] + [(i, i + 1) for i in range(30, 36)]
    groups = spread(pairs)
    assert groups == [pairs[:8], pairs[8:16], pairs[20:]]  # four pairs are too few
    assert spread(pairs, most=2) == [pairs[:8], pairs[20:]]
    assert spread([]) == []
