"""The unit's measurements hang together: place, speed, turn, gravity."""

from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.town.drive.oxts import Motion, drive_motion, measured, oxts_rows, write_oxts
from cvlnet.town.presets import Nuisances
from cvlnet.town.scene import Drive

FRAME = LocalFrame(LatLon(49.0, 8.4))
RADIUS_M, SPEED_M_S = 20.0, 8.0


def circle(frames: int = 40) -> Drive:
    """A left turn at constant speed on level ground."""
    time_s = np.arange(frames) / 10
    angle = time_s * SPEED_M_S / RADIUS_M
    xyz = np.stack([RADIUS_M * np.sin(angle), RADIUS_M * (1 - np.cos(angle)), np.zeros(frames)], axis=1)
    return Drive(time_s, xyz, angle, np.zeros(frames), np.zeros(frames), ())


def values(motion: Motion) -> npt.NDArray[np.float64]:
    return np.array([[float(v) for v in row.split()] for row in oxts_rows(motion, FRAME)])


def exact() -> Motion:
    return drive_motion(circle(), np.random.default_rng(1), Nuisances.none())


def test_every_line_has_thirty_values_that_say_where_the_unit_is() -> None:
    rows = values(exact())
    assert rows.shape == (40, 30)
    np.testing.assert_allclose(FRAME.xy_world_m(rows[:, :2]), circle().xyz_m[:, :2], atol=1e-5)
    np.testing.assert_allclose(rows[:, 5], np.arctan2(np.sin(circle().yaw_rad), np.cos(circle().yaw_rad)), atol=1e-9)


def test_velocity_acceleration_and_turn_belong_to_the_motion() -> None:
    rows = values(exact())[3:-3]
    np.testing.assert_allclose(np.hypot(rows[:, 6], rows[:, 7]), SPEED_M_S, rtol=1e-2)  # north, east
    np.testing.assert_allclose(rows[:, 8], SPEED_M_S, rtol=1e-2)  # forward
    np.testing.assert_allclose(rows[:, 9:11], 0.0, atol=0.05)  # leftward, upward
    np.testing.assert_allclose(rows[:, 12], SPEED_M_S**2 / RADIUS_M, rtol=2e-2)  # to the left
    np.testing.assert_allclose(rows[:, [13, 16]], 9.81, rtol=1e-6)
    np.testing.assert_allclose(rows[:, [19, 22]], SPEED_M_S / RADIUS_M, rtol=1e-2)  # about the upward axis
    np.testing.assert_allclose(rows[:, [17, 18]], 0.0, atol=1e-6)


def test_the_unit_stands_above_the_road_and_shakes_as_told() -> None:
    shaken = drive_motion(circle(400), np.random.default_rng(1), Nuisances())
    np.testing.assert_allclose(exact().xyz_m - circle().xyz_m, [[0, 0, 0.93]] * 40, atol=1e-12)
    assert np.degrees(shaken.angles_rad[:, 1].std()) == pytest.approx(0.4, rel=0.5)
    assert np.degrees(np.abs(np.diff(shaken.angles_rad[:, 1])).max()) < 0.8  # smooth in time
    np.testing.assert_array_equal(shaken.angles_rad[:, 2], circle(400).yaw_rad)


def test_measurements_are_off_by_centimetres_and_exact_without_noise() -> None:
    errors = [measured(exact(), np.random.default_rng(seed), Nuisances()).xyz_m - exact().xyz_m for seed in range(100)]
    assert np.std(errors) == pytest.approx(0.06, rel=0.3)
    same = measured(exact(), np.random.default_rng(1), Nuisances.none())
    np.testing.assert_array_equal(same.xyz_m, exact().xyz_m)


def test_files_are_kitti_s(tmp_path: Path) -> None:
    write_oxts(tmp_path, exact(), FRAME, datetime(2011, 9, 26, 10))
    assert len(list((tmp_path / "oxts" / "data").glob("??????????.txt"))) == 40
    stamps = (tmp_path / "image_03" / "timestamps.txt").read_text().splitlines()
    assert stamps[11] == "2011-09-26 10:00:01.100000000"
