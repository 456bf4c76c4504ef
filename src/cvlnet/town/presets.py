"""Configuration of a town: its size, its drives, the differences between its two views; presets of towns."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

Role = Literal["train", "validation", "test"]
TRAINING_SEEDS = 100_000  # all below it
Preset = Literal["tiny", "demo", "bench", "streets", "routes", "drives"]


@dataclass(frozen=True)
class Nuisances:
    """Strengths of everything that makes the two views differ: 1 is usual, 0 switches an effect off, 2 doubles it.

    The last nine are off by default.

    Attributes:
        parked_changes: Share of the parked cars that differ between the two times.
        traffic: Density of moving cars, in both views.
        alterations: Sheds, containers and skips that come or go, felled trees.
        misregistration: Offset of the overhead image, about 1.5 m, constant within each flight strip.
        overhead_light: Sun, haze and colour cast of the overhead image.
        overhead_shadows: Shadows in the overhead image; full at 1.
        season: Seasonal colours of leaves and grass in the overhead image.
        overhead_blur: Blur of the overhead image.
        overhead_noise: Noise of the overhead image.
        overhead_jpeg: JPEG compression of the overhead image.
        camera_light: Sun, sky, colour and wetness of the road in the frames.
        camera_shadows: Shadows in the frames; full at 1.
        exposure: Over- and underexposure of the frames.
        motion_blur: Motion blur of the frames.
        camera_noise: Noise of the frames.
        shake: Pitch and roll of the body, about 0.4 degrees, and tilt of the cameras on it.
        unevenness: Height of the ground, decimetres over tens of metres.
        oxts_noise: Errors of position, heading, pitch and roll, as of a good GPS/IMU unit.
        rig: Height, focal length, tilt and aspect ratio of the cameras; at 0 they are KITTI's.
        contrast: Contrast of the frames, and how much their exposure follows the light.
        windscreen: Bonnet, wiper, dirt and reflections in the frames.
        leafless: Bare trees; at 1 in 30 % of the overhead images and 12 % of the drives.
        oblique: Oblique overhead images, in which high objects lean far; at 1 30 % of the images.
        coarse: Overhead images of about half the resolution; at 1 40 % of the images.
        seams: Strips of the overhead image that differ in light and colour.
        overhead_text: Watermarks across the overhead image; at 1 on 20 % of the images.
        autumn: Dry grass, bare soil, fallen leaves and trees that have turned; at 1 in 60 % of the drives and 25 % of
            the overhead images.

    """

    parked_changes: float = 1.0
    traffic: float = 1.0
    alterations: float = 1.0
    misregistration: float = 1.0
    overhead_light: float = 1.0
    overhead_shadows: float = 1.0
    season: float = 1.0
    overhead_blur: float = 1.0
    overhead_noise: float = 1.0
    overhead_jpeg: float = 1.0
    camera_light: float = 1.0
    camera_shadows: float = 1.0
    exposure: float = 1.0
    motion_blur: float = 1.0
    camera_noise: float = 1.0
    shake: float = 1.0
    unevenness: float = 1.0
    oxts_noise: float = 1.0
    rig: float = 0.0
    contrast: float = 0.0
    windscreen: float = 0.0
    leafless: float = 0.0
    oblique: float = 0.0
    coarse: float = 0.0
    seams: float = 0.0
    overhead_text: float = 0.0
    autumn: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 10:
                raise ValueError(f"the strength of {field.name} is 0 to 10, not {getattr(self, field.name)}")

    @staticmethod
    def none() -> Nuisances:
        """Everything off: the two views agree on the ground to the pixel."""
        return replace(Nuisances(), **{field.name: 0.0 for field in fields(Nuisances)})


@dataclass(frozen=True)
class TownConfig:
    """One town: a square of ``size_m`` metres with ``drives`` drives of ``frames_per_drive`` frames at 10 Hz.

    Only every ``frame_step``-th frame is drawn, by the cameras with the numbers ``cameras``, ``frame_width_px`` wide.
    Training needs neither all frames nor more pixels than the network's input.
    """

    seed: int
    size_m: float
    drives: int
    frames_per_drive: int
    albedo_cell_m: float = 0.1
    overhead_m_per_px: float = 0.2
    tile_size_m: float = 160.0
    tile_gap_m: float = 10.0
    frame_step: int = 1
    frame_width_px: int = 1242
    cameras: tuple[int, ...] = (2, 3)
    nuisances: Nuisances = Nuisances()


@dataclass(frozen=True)
class TrainingTown:
    """A town of which only what a training reads is drawn: all its drives, to train on.

    first_query: the first frame of a drive that is sought, so that a whole clip lies before it. labels: whether the
    label map is drawn, too.
    """

    config: TownConfig
    first_query: int
    labels: bool

    @property
    def clips(self) -> int:
        """Number of frames that are sought."""
        frames = range(0, self.config.frames_per_drive, self.config.frame_step)
        return self.config.drives * sum(frame >= self.first_query for frame in frames)


def role_of_seed(seed: int) -> Role:
    """Seeds below 100,000 are for training, 100,000 to 199,999 for validation, 200,000 and above for test."""
    if seed < 0:
        raise ValueError(f"a seed is not negative, got {seed}")
    return "train" if seed < TRAINING_SEEDS else "validation" if seed < 200_000 else "test"


def preset_towns(
    preset: Preset, seed: int, nuisances: Nuisances, *, count: int | None = None
) -> tuple[TownConfig, ...]:
    """The towns of a preset, or ``count`` towns like them; the i-th has the seed ``seed + i``.

    Raises ValueError if their roles differ.
    """
    streets = TownConfig(seed, 700.0, drives=8, frames_per_drive=240, frame_step=3, frame_width_px=621, cameras=(2,))
    usual_count, town = {
        "tiny": (1, TownConfig(seed, 220.0, drives=3, frames_per_drive=14)),
        "demo": (1, replace(streets, size_m=1000.0, drives=3, frames_per_drive=300)),
        "bench": (4, TownConfig(seed, 1000.0, drives=5, frames_per_drive=275)),
        "streets": (12, streets),
        "routes": (16, replace(streets, drives=16, frame_step=6)),
        "drives": (4, replace(streets, size_m=1000.0, drives=5, frames_per_drive=1000)),
    }[preset]
    count = usual_count if count is None else count
    if role_of_seed(seed) != role_of_seed(seed + count - 1):
        raise ValueError(f"the towns {seed} to {seed + count - 1} are partly for training, partly not")
    return tuple(replace(town, seed=seed + i, nuisances=nuisances) for i in range(count))
