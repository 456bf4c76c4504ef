"""True motion of the car's body, and its measurement by the GPS/IMU unit, written as KITTI's oxts files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from cvlnet.geo import LocalFrame
from cvlnet.geometry import Pose
from cvlnet.io.outputs import write_text
from cvlnet.town.drive.rig import BODY_HEIGHT_M
from cvlnet.town.presets import Nuisances
from cvlnet.town.scene import Drive

SHAKE_DEG = (0.25, 0.4)  # standard deviation of roll and pitch
POSITION_NOISE_M = 0.06
ANGLE_NOISE_DEG = (0.03, 0.03, 0.08)  # roll, pitch, yaw
NOISE_SECONDS = 20.0  # correlation time of the measurement errors
GRAVITY_M_S2 = 9.81
ALTITUDE_M = 116.0  # of height zero in the world frame


@dataclass(frozen=True)
class Motion:
    """Trajectory of the unit in the world frame; angles are roll, pitch and yaw with KITTI's signs."""

    time_s: Float64[np.ndarray, " frames"]
    xyz_m: Float64[np.ndarray, "frames 3"]
    angles_rad: Float64[np.ndarray, "frames 3"]

    def world_from_body(self, frame: int) -> Pose:
        """Pose of the unit at a frame."""
        roll, pitch, yaw = torch.tensor(self.angles_rad[frame]).unbind()
        return Pose.from_euler(roll, pitch, yaw, torch.tensor(self.xyz_m[frame]))

    def speed_m_s(self) -> Float64[np.ndarray, " frames"]:
        """Speed at every frame."""
        return np.asarray(np.linalg.norm(_rate(self.xyz_m, self.time_s), axis=1))

    def yaw_rate_rad_s(self) -> Float64[np.ndarray, " frames"]:
        """Yaw rate at every frame, positive to the left."""
        return _rate(np.unwrap(self.angles_rad[:, 2]), self.time_s)


def drive_motion(drive: Drive, rng: np.random.Generator, nuisances: Nuisances) -> Motion:
    """Motion of the unit above the road, with the body's pitch and roll on its suspension."""
    shake_rad = np.radians(SHAKE_DEG) * nuisances.shake
    roll = drive.roll_rad + shake_rad[0] * _waves(rng, drive.time_s)
    pitch = drive.pitch_rad + shake_rad[1] * _waves(rng, drive.time_s)
    on_road = Motion(drive.time_s, drive.xyz_m, np.stack([roll, pitch, drive.yaw_rad], axis=1))
    up = np.stack([on_road.world_from_body(i).rotation[:, 2].numpy() for i in range(len(roll))])
    return Motion(drive.time_s, drive.xyz_m + BODY_HEIGHT_M * up, on_road.angles_rad)


def measured(motion: Motion, rng: np.random.Generator, nuisances: Nuisances) -> Motion:
    """The motion as measured by a good GPS/IMU unit: drifting errors of centimetres and hundredths of a degree."""
    position = POSITION_NOISE_M * nuisances.oxts_noise * _drift(rng, motion.time_s, 3)
    angles = np.radians(ANGLE_NOISE_DEG) * nuisances.oxts_noise * _drift(rng, motion.time_s, 3)
    return Motion(motion.time_s, motion.xyz_m + position, motion.angles_rad + angles)


def write_oxts(drive_dir: Path, motion: Motion, frame: LocalFrame, start: datetime) -> None:
    """Write oxts/ of a drive and the timestamps of both cameras; existing measurements are kept."""
    stamps = "".join(f"{start + timedelta(seconds=float(t)):%Y-%m-%d %H:%M:%S.%f}000\n" for t in motion.time_s)
    for folder in ("oxts", "image_02", "image_03"):
        write_text(drive_dir / folder / "timestamps.txt", stamps)
    for number, row in enumerate(oxts_rows(motion, frame)):
        path = drive_dir / "oxts" / "data" / f"{number:010d}.txt"
        if not path.exists():
            write_text(path, row + "\n")


def oxts_rows(motion: Motion, frame: LocalFrame) -> list[str]:
    """The 30 values of every frame, in the order of KITTI's dataformat.txt."""
    latlon = frame.latlon_deg(motion.xyz_m[:, :2])
    velocity = _rate(motion.xyz_m, motion.time_s)
    acceleration = _rate(velocity, motion.time_s) + np.array([0.0, 0.0, GRAVITY_M_S2])
    axes = np.stack([motion.world_from_body(i).rotation.numpy() for i in range(len(latlon))])
    yaw = motion.angles_rad[:, 2]
    turning = _turn_rates(axes, motion.time_s)
    values = np.concatenate(
        [
            latlon,
            motion.xyz_m[:, 2:] + ALTITUDE_M,
            motion.angles_rad[:, :2],
            np.arctan2(np.sin(yaw), np.cos(yaw))[:, None],
            velocity[:, [1, 0]],
            _into(_level_axes(yaw), velocity),
            _into(axes, acceleration),
            _into(_level_axes(yaw), acceleration),
            _into(axes, turning),
            _into(_level_axes(yaw), turning),
        ],
        axis=1,
    )
    quality = "0.05 0.02 4 10 6 6 6"  # accuracies, status, satellites and modes of a unit with a full fix
    return [" ".join([f"{v:.14g}" for v in row] + [quality]) for row in values]


def _level_axes(yaw_rad: Float64[np.ndarray, " frames"]) -> Float64[np.ndarray, "frames 3 3"]:
    """Forward, left and up axes of the level frame, as columns."""
    cos, sin, zero, one = np.cos(yaw_rad), np.sin(yaw_rad), np.zeros_like(yaw_rad), np.ones_like(yaw_rad)
    return np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=1).reshape(-1, 3, 3)


def _rate(
    values: Float64[np.ndarray, frames * axes], time_s: Float64[np.ndarray, " frames"]
) -> Float64[np.ndarray, frames * axes]:
    """Time derivative along the first axis; zero for a single frame."""
    return np.zeros_like(values) if len(time_s) < 2 else np.asarray(np.gradient(values, time_s, axis=0))


def _turn_rates(
    axes: Float64[np.ndarray, "frames 3 3"], time_s: Float64[np.ndarray, " frames"]
) -> Float64[np.ndarray, "frames 3"]:
    """Angular velocity in the world frame, from rotation matrices."""
    skew = np.einsum("nij,nkj->nik", _rate(axes, time_s), axes)
    return np.stack([skew[:, i, j] - skew[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=1) / 2


def _into(
    axes: Float64[np.ndarray, "frames 3 3"], vectors: Float64[np.ndarray, "frames 3"]
) -> Float64[np.ndarray, "frames 3"]:
    """Express world vectors in frames whose axes are the columns of ``axes``."""
    return np.asarray(np.einsum("nij,ni->nj", axes, vectors))


def _waves(rng: np.random.Generator, time_s: Float64[np.ndarray, " frames"]) -> Float64[np.ndarray, " frames"]:
    """Smooth random motion of unit standard deviation: suspension at one to two hertz over slower swells."""
    frequency_hz = np.concatenate([rng.uniform(0.9, 2.0, 3), rng.uniform(0.05, 0.4, 3)])
    amplitude = np.array([0.6, 0.5, 0.4, 0.7, 0.6, 0.5])
    waves = amplitude * np.sin(2 * np.pi * frequency_hz * time_s[:, None] + rng.uniform(0, 2 * np.pi, 6))
    return np.asarray(waves.sum(1) / np.sqrt((amplitude**2).sum() / 2))


def _drift(
    rng: np.random.Generator, time_s: Float64[np.ndarray, " frames"], count: int
) -> Float64[np.ndarray, "frames _"]:
    """First-order Gauss-Markov noise of unit standard deviation, ``count`` independent columns."""
    noise = rng.standard_normal((len(time_s), count))
    for i in range(1, len(time_s)):
        keep = np.exp(-(time_s[i] - time_s[i - 1]) / NOISE_SECONDS)
        noise[i] = keep * noise[i - 1] + np.sqrt(1 - keep * keep) * noise[i]
    return noise
