"""A town, its car, and what the car measured on its drives; all of it follows from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.town.dataset.build import build_town
from cvlnet.town.drive.oxts import Motion, drive_motion, measured
from cvlnet.town.drive.rig import Rig, make_rig
from cvlnet.town.layout.blueprint import Blueprint, draw_blueprint
from cvlnet.town.presets import TownConfig
from cvlnet.town.scene import Drive, Scene
from cvlnet.town.streams import stream

FIRST_DATE = datetime(2011, 9, 26, 10)
ANCHOR_DEG = (48.0, 7.5)  # towns lie to its north and east
ANCHOR_ROWS, ROW_DEG = 16, 0.2  # the towns of a data set lie in different rows


@dataclass(frozen=True)
class Town:
    """A town, where it lies on earth, its car, and the drives: the true motion and the measured one."""

    blueprint: Blueprint
    date: str
    start: datetime
    frame: LocalFrame
    rig: Rig
    scene: Scene
    drives: tuple[Drive, ...]
    true_motions: tuple[Motion, ...]
    measured_motions: tuple[Motion, ...]

    @property
    def config(self) -> TownConfig:
        """The configuration that the town was made from."""
        return self.blueprint.config

    def drive_name(self, number: int) -> str:
        """Name of a drive's folder, as in KITTI."""
        return drive_name(self.date, number)


def drive_name(date: str, number: int) -> str:
    """Name of the folder of the drive ``number`` (from 0), as in KITTI."""
    return f"{date}_drive_{number + 1:04d}_sync"


def survey(config: TownConfig, index: int) -> Town:
    """Build the ``index``-th town of a data set, and drive through it."""
    blueprint = draw_blueprint(config)
    scene, drives = build_town(blueprint)
    seed, nuisances = config.seed, config.nuisances
    start = FIRST_DATE + timedelta(days=index)
    rng = stream(seed, "anchor")
    anchor = LatLon(
        ANCHOR_DEG[0] + ROW_DEG * (index % ANCHOR_ROWS + rng.uniform(0.0, 0.7)), ANCHOR_DEG[1] + rng.uniform(0.0, 4.0)
    )
    motions = tuple(drive_motion(d, stream(seed, "shake", i), nuisances) for i, d in enumerate(drives))
    return Town(
        blueprint=blueprint,
        date=f"{start:%Y_%m_%d}",
        start=start,
        frame=LocalFrame(anchor),
        rig=make_rig(stream(seed, "rig"), nuisances.shake, nuisances.rig, config.frame_width_px),
        scene=scene,
        drives=drives,
        true_motions=motions,
        measured_motions=tuple(measured(m, stream(seed, "oxts", i), nuisances) for i, m in enumerate(motions)),
    )
