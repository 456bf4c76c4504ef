"""The camera's faults change brightness and sharpness, and never move the picture."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from handmade import camera

from cvlnet.town.presets import Nuisances
from cvlnet.town.render.photo import DrivePhoto, drive_photo, photograph, tone_curve

TIME_S = np.arange(30) / 10


def blotches(seed: int = 1) -> npt.NDArray[np.float32]:
    noise = np.random.default_rng(seed).random((160, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 0.4
    return np.repeat(smooth[..., None], 3, axis=2)


def taken(photo: DrivePhoto, seed: int = 3, speed_m_s: float = 0.0, yaw_rate: float = 0.0) -> npt.NDArray[np.uint8]:
    depth_m = np.full((160, 320), 8.0, np.float32)
    return photograph(blotches(), depth_m, camera(), photo, 1.0, seed, speed_m_s, yaw_rate)


def plain() -> DrivePhoto:
    return drive_photo(np.random.default_rng(0), Nuisances.none(), camera(), TIME_S)


@pytest.mark.parametrize(("speed_m_s", "yaw_rate"), [(0.0, 0.0), (14.0, 0.0), (5.0, 0.6)])
def test_nothing_moves(speed_m_s: float, yaw_rate: float) -> None:
    spoilt = drive_photo(np.random.default_rng(2), Nuisances(), camera(), TIME_S)
    grey = [np.asarray(p[..., 1], np.float32) for p in (taken(plain()), taken(spoilt, 3, speed_m_s, yaw_rate))]
    (right, down), _ = cv2.phaseCorrelate(grey[0], grey[1], cv2.createHanningWindow((320, 160), cv2.CV_32F))
    assert np.hypot(right, down) < 0.1


def test_motion_blurs() -> None:
    still, fast = (taken(replace(plain(), shutter_s=0.02), speed_m_s=v) for v in (0.0, 14.0))
    sharpness = [float(np.abs(np.diff(p[..., 1].astype(float), axis=1))[:, 240:].mean()) for p in (still, fast)]
    assert sharpness[1] < 0.9 * sharpness[0]


def test_the_same_seed_gives_the_same_noise_and_another_another() -> None:
    noisy = replace(plain(), noise=0.02)
    np.testing.assert_array_equal(taken(noisy, 4), taken(noisy, 4))
    difference = taken(noisy, 4).astype(float) - taken(noisy, 5)
    assert 1.0 < difference.std() < 12.0
    assert abs(difference.mean()) < 0.2


def test_without_nuisances_every_frame_is_exposed_alike() -> None:
    np.testing.assert_array_equal(plain().exposure, 1.0)
    np.testing.assert_array_equal(plain().cast, 1.0)
    assert (plain().noise, plain().vignetting, plain().shutter_s) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("contrast", [0.0, 0.5, 1.0])
def test_the_tone_curve_rises_from_black_to_white(contrast: float) -> None:
    curve = tone_curve(contrast)
    assert (np.diff(curve) >= 0).all()
    assert curve[0] == 0
    assert curve[-1] == pytest.approx(255)
