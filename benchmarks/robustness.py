"""What wrong calibration, a wrong compass, shifted or coarse imagery and missing frames cost: recall@1 in Test-2.

Every disturbance acts alone, on the queries of a data set such as ``cvlnet synth OUT --seed 200000 --preset bench``
makes; its sign alternates from query to query. The network does not know of it. The folder gets the figures of every
level, and their curves; what is finished in it is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from math import radians
from pathlib import Path
from textwrap import fill
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from cvlnet.arrays import F64
from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.config import PITCH_ERROR_DEG
from cvlnet.data.clips import AS_DESCRIBED, ClipErrors, ClipSpec, misdescribed, turned
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples, Sample, TileCrops
from cvlnet.errors import InputError
from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.metrics import Interval, found, position_errors_m
from cvlnet.evaluation.predict import (
    PitchedClips,
    Ranking,
    best_of,
    convergences_rad,
    encode_pitched,
    encode_tiles,
    pitches_of,
    rank,
)
from cvlnet.evaluation.report.tables import percent
from cvlnet.evaluation.report.theme import DAY, save_png
from cvlnet.evaluation.summary import stretch_of_road
from cvlnet.geometry import Camera, Pose
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip, MapFeatures
from measure import evenly, kept, print_results, run, slug

RADII_M = (5.0, 10.0)
ClipChange = Callable[[Clip, float], Clip]


def odometry_percent(clip: Clip, error: float) -> Clip:
    """The wheels turn more than the car moves: earlier frames stand farther back than the odometry says."""
    pose = clip.ground_from_cam
    newest = pose.translation_m[:1]
    return replace(
        clip, ground_from_cam=Pose(pose.rotation, newest + (pose.translation_m - newest) * (1 + error / 100))
    )


def frames_left(clip: Clip, kept: Sequence[int]) -> Clip:
    """Only these frames of the clip came through, the newest among them."""
    rows = list(kept)
    camera, pose = clip.camera, clip.ground_from_cam
    cut = Camera(camera.focal_px[rows], camera.principal_point_px[rows], camera.width_px, camera.height_px)
    return Clip(clip.images[rows], cut, Pose(pose.rotation[rows], pose.translation_m[rows]))


CLIP_CHANGES: dict[str, tuple[ClipChange, tuple[float, ...]]] = {
    "heading error, degrees": (
        lambda clip, error: misdescribed(clip, ClipErrors(heading_rad=radians(error))),
        (0, 1, 2, 3, 5, 7.5, 10),
    ),
    "camera pitch error, degrees": (
        lambda clip, error: misdescribed(clip, ClipErrors(pitch_rad=radians(error))),
        (0, 0.5, 1, 2, 3),
    ),
    "camera height error, m": (
        lambda clip, error: misdescribed(clip, ClipErrors(height_m=error)),
        (0, 0.1, 0.2, 0.4, 0.8),
    ),
    "focal length error, percent": (
        lambda clip, error: misdescribed(clip, ClipErrors(focal_share=error / 100)),
        (0, 2, 5, 10, 20),
    ),
    "odometry scale error, percent": (odometry_percent, (0, 5, 10, 25, 50)),
}
SEARCHED = {  # the same errors where localization allows for them
    "pitch error, pitches to 3 degrees tried": ("camera pitch error, degrees", (0, 2, 3)),
    "heading error, headings to 10 degrees tried": ("heading error, degrees", (0, 5, 7.5, 10)),
}
TURNS_RAD = tuple(radians(turn) for turn in (-10, -5, 0, 5, 10))
LOST = {"none": (0, 1, 2, 3), "one": (0, 1, 3), "two": (0, 2), "three": (0,)}
SHIFTS_M = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0)
RESOLUTIONS_M = (0.2, 0.4, 0.6, 0.8, 1.2, 1.6)


@dataclass(frozen=True)
class Result:
    """recall: share of queries within each of RADII_M."""

    disturbance: str
    level: str
    recall: tuple[Interval, ...]


class Changed(Dataset[Sample]):
    """Samples whose clips are disturbed by ``change(clip, sign)``; the sign alternates."""

    def __init__(self, samples: ClipTileSamples, rows: Sequence[int], change: Callable[[Clip, float], Clip]) -> None:
        self.samples, self.rows, self.change = samples, rows, change

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[self.rows[index]]
        return replace(sample, clip=self.change(sample.clip, 1.0 if index % 2 else -1.0))


class Coarser(Dataset[Any]):
    """Overhead crops as if their pixels had been ``m_per_px`` wide."""

    def __init__(self, crops: TileCrops, m_per_px: float) -> None:
        self.crops, self.scale = crops, crops.grid.cell_m / m_per_px

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = self.crops[index]
        if self.scale >= 1:
            return image
        pixels = image.permute(1, 2, 0).numpy()
        small = cv2.resize(pixels, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(large).permute(2, 0, 1)


class Trial:
    """A model and a data set: what every disturbance is tried on."""

    def __init__(self, model: CVLNet, root: Path, queries: int, cache: ImageCache | None) -> None:
        split = read_split(root, "test2")
        self.model = model
        self.samples = ClipTileSamples(
            split, read_recordings(split), ClipSpec(model.image_spec), model.tile_grid, cache=cache
        )
        self.rows = evenly(len(self.samples), queries)
        self.crops = TileCrops(tuple(split.tiles.values()), model.tile_grid, cache)
        self.tile_xy_m = self.samples.frame.xy_world_m(np.array([t.center.degrees for t in split.tiles.values()]))
        self.tile_turn_rad = convergences_rad(self.samples.frame, self.tile_xy_m)
        self.true_xy_m = np.stack([self.samples.frame.xy_world_m(self.samples.positions[i].degrees) for i in self.rows])
        self.redraws = Redraws.of(stretch_of_road(self.true_xy_m))

    @cached_property
    def plain(self) -> MapFeatures:
        """The gallery as it is, encoded."""
        return encode_tiles(self.model, self.crops)

    def coarser(self, m_per_px: float) -> MapFeatures:
        """The gallery as coarser imagery shows it, encoded."""
        return encode_tiles(self.model, Coarser(self.crops, m_per_px))

    def recall(
        self, change: Callable[[Clip, float], Clip], shift_m: float = 0.0, m_per_px: float | None = None
    ) -> list[dict[str, float]]:
        """Recall@1 within each of RADII_M.

        shift_m: the imagery lies so far off, in a direction of each query's own. m_per_px: it is so coarse.
        """
        tiles = self.plain if m_per_px is None else self.coarser(m_per_px)
        clips = encode_pitched(self.model, Changed(self.samples, self.rows, change), (AS_DESCRIBED,))
        ranking = self._ranked(clips, tiles)
        angle_rad = np.random.default_rng(0).uniform(0, 2 * np.pi, len(self.rows))
        off_m = shift_m * np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=-1)
        return self._recall(ranking, off_m)

    def recall_over_pitches(self, change: Callable[[Clip, float], Clip]) -> list[dict[str, float]]:
        """Recall@1 where every clip is sought under several pitches."""
        to_try = pitches_of(self.model, radians(PITCH_ERROR_DEG))
        clips = encode_pitched(self.model, Changed(self.samples, self.rows, change), to_try)
        return self._recall(self._ranked(clips, self.plain))

    def recall_over_headings(self, change: Callable[[Clip, float], Clip]) -> list[dict[str, float]]:
        """Recall@1 where every clip is sought under several headings."""
        rankings = []
        for turn_rad in TURNS_RAD:
            samples = Changed(self.samples, self.rows, partial(_turned, change, turn_rad))
            rankings.append(self._ranked(encode_pitched(self.model, samples, (AS_DESCRIBED,)), self.plain))
        return self._recall(best_of(rankings))

    def _ranked(self, clips: Sequence[PitchedClips], tiles: MapFeatures) -> Ranking:
        queries, gallery = np.arange(len(self.rows)), np.arange(len(self.tile_xy_m))
        return rank(self.model, clips, queries, tiles, gallery, self.tile_xy_m, tile_turn_rad=self.tile_turn_rad)

    def _recall(self, ranking: Ranking, off_m: F64 | None = None) -> list[dict[str, float]]:
        off_m = np.zeros((len(self.rows), 2)) if off_m is None else off_m
        errors_m = position_errors_m(ranking.xy_m[:, :1] + off_m[:, None], self.true_xy_m)
        return [asdict(self.redraws.mean(found(errors_m, 1, radius_m))) for radius_m in RADII_M]


def main() -> None:
    options = parse_options()
    model, _ = load_model(options.weights or shipped_weights())
    trial = Trial(model, options.data, options.queries, ImageCache(options.cache) if options.cache else None)
    results = measure(trial, options.out, options.only)
    print_results(
        f"Robustness on {options.data.name}, {len(trial.rows)} queries among {len(trial.tile_xy_m)} tiles",
        ("disturbance", "level", *(f"within {radius_m:g} m" for radius_m in RADII_M)),
        [(r.disturbance, r.level, *(percent(share, 0) for share in r.recall)) for r in results],
    )
    draw(results, options.out / "robustness.png")


def measure(trial: Trial, out: Path, only: str = "") -> list[Result]:
    """Every disturbance with ``only`` in its name, at every level."""
    jobs: list[tuple[str, str, Callable[[], list[dict[str, float]]]]] = []
    for name, (change, levels) in CLIP_CHANGES.items():
        for level in levels:
            jobs.append((name, f"{level:g}", partial(trial.recall, partial(_signed, change, level))))
    for name, (of, levels) in SEARCHED.items():
        recall = trial.recall_over_pitches if "pitch" in of else trial.recall_over_headings
        for level in levels:
            jobs.append((name, f"{level:g}", partial(recall, partial(_signed, CLIP_CHANGES[of][0], level))))
    for level_name, left in LOST.items():
        jobs.append(("frames lost of four", level_name, partial(trial.recall, partial(_only, left))))
    for shift_m in SHIFTS_M:
        jobs.append(("imagery shifted, m", f"{shift_m:g}", partial(trial.recall, _unchanged, shift_m=shift_m)))
    for m_per_px in RESOLUTIONS_M:
        job = partial(trial.recall, _unchanged, m_per_px=m_per_px)
        jobs.append(("imagery's resolution, m/px", f"{m_per_px:g}", job))
    chosen = [job for job in jobs if only in job[0]]
    if not chosen:
        known = "; ".join(dict.fromkeys(name for name, *_ in jobs))
        raise InputError(f"no disturbance has {only!r} in its name", where="--only", remedy=f"choose among: {known}")
    results = []
    for name, level_name, job in tqdm(chosen, "robustness", unit="level"):
        shares = kept(out / slug(name) / f"{level_name}.json", job)
        results.append(Result(name, level_name, tuple(Interval(**share) for share in shares)))
    return results


def _signed(change: ClipChange, level: float, clip: Clip, sign: float) -> Clip:
    return change(clip, sign * level)


def _turned(change: Callable[[Clip, float], Clip], turn_rad: float, clip: Clip, sign: float) -> Clip:
    return turned(change(clip, sign), turn_rad)


def _only(kept: Sequence[int], clip: Clip, _sign: float) -> Clip:
    return frames_left(clip, kept)


def _unchanged(clip: Clip, _sign: float) -> Clip:
    return clip


def draw(results: Sequence[Result], path: Path) -> None:
    """A panel for each disturbance: recall over its level, with intervals."""
    names = list(dict.fromkeys(result.disturbance for result in results))
    figure = DAY.figure(15.0, 7.5)
    panels = np.asarray(figure.subplots(2, (len(names) + 1) // 2, sharey=True)).ravel()
    for axes, name in zip(panels, names, strict=False):
        own = [result for result in results if result.disturbance == name]
        for radius_m, mark, recall in zip(
            RADII_M, ("o-", "s--"), zip(*(r.recall for r in own), strict=True), strict=True
        ):
            low, high = ([100 * getattr(r, side) for r in recall] for side in ("low", "high"))
            axes.fill_between(range(len(own)), low, high, alpha=0.15)
            axes.plot([100 * r.value for r in recall], mark, label=f"within {radius_m:g} m")
        axes.set_xticks(range(len(own)), [result.level for result in own], fontsize=7)
        axes.set_ylim(0, 100)
        DAY.dress(axes, fill(name, 24), "", "recall@1, %" if axes.get_subplotspec().is_first_col() else "")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    DAY.legend(panels[0], "lower left")
    save_png(figure, path)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set in the layout of KITTI-CVL")
    parser.add_argument("out", type=Path, help="folder for the figures and their curves")
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument("--queries", type=int, default=200, help="so many, spread evenly")
    parser.add_argument("--only", default="", help="measure the disturbances with this in their names")
    parser.add_argument("--cache", type=Path, help="keep decoded pictures in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
