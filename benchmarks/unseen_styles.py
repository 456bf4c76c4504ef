"""Pictures as no training had them: what is still found in Test-2, and whether the confidence still holds.

    python benchmarks/unseen_styles.py DATA --out FOLDER

DATA is a data set such as ``cvlnet synth OUT --seed 200000 --preset bench`` makes. Every style changes all frames or
all tiles in the same way. "Answered": from the weights' threshold on, which is to keep 99 % of the answers right if
half of the queries are on the map. What is finished in FOLDER is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import radians
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from tqdm import tqdm

from cvlnet.checkpoint import load_network, shipped_weights
from cvlnet.config import PITCH_ERROR_DEG, TestSplit
from cvlnet.data.clips import ClipSpec
from cvlnet.data.kitti_cvl import read_split
from cvlnet.data.samples import Sample, TileCrops
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.predict import Encoded, encode, encode_pitched, encode_tiles
from cvlnet.evaluation.report.tables import percent
from cvlnet.evaluation.summary import figures_of
from cvlnet.model.confidence import Confidence
from cvlnet.model.network import MatchingNetwork
from measure import kept, print_results, run, slug

SPLIT: TestSplit = "test2"
FOUND_M = 10
Change = Callable[[Tensor], Tensor]  # of pictures [..., 3, rows, cols], bytes


def reordered(pictures: Tensor) -> Tensor:
    """Green, blue and red for red, green and blue."""
    return pictures.roll(-1, dims=-3)


def swapped(pictures: Tensor) -> Tensor:
    """Blue for red, as programs that mistake one order of the bands for another show them."""
    return pictures.flip(-3)


def gray(pictures: Tensor) -> Tensor:
    """Without colour."""
    mean = pictures.float().mean(dim=-3, keepdim=True).round().to(torch.uint8)
    return mean.expand_as(pictures).contiguous()


def dark(pictures: Tensor) -> Tensor:
    """Gamma 2.5: shadows sink into black."""
    return _bytes((pictures / 255.0) ** 2.5)


def hazy(pictures: Tensor) -> Tensor:
    """A third of the contrast, bright."""
    return _bytes(pictures / 255.0 / 3 + 0.55)


def overexposed(pictures: Tensor) -> Tensor:
    """Two and a half times as bright, whatever is too bright cut off."""
    return _bytes(pictures / 255.0 * 2.5)


def blurred(pictures: Tensor) -> Tensor:
    """The mean of 7 x 7 pixels."""
    flat = pictures.reshape(-1, *pictures.shape[-3:]) / 255.0
    return _bytes(functional.avg_pool2d(flat, 7, stride=1, padding=3, count_include_pad=False)).reshape(pictures.shape)


def negative(pictures: Tensor) -> Tensor:
    """Dark for bright."""
    return 255 - pictures


def as_it_is(pictures: Tensor) -> Tensor:
    """No change."""
    return pictures


STYLES: dict[str, tuple[Change, Change]] = {  # of the frames, of the map
    "as they are": (as_it_is, as_it_is),
    "map: bands in another order": (as_it_is, reordered),
    "map: red and blue swapped": (as_it_is, swapped),
    "map: gray": (as_it_is, gray),
    "map: dark": (as_it_is, dark),
    "map: hazy": (as_it_is, hazy),
    "map: negative": (as_it_is, negative),
    "frames: bands in another order": (reordered, as_it_is),
    "frames: red and blue swapped": (swapped, as_it_is),
    "frames: gray": (gray, as_it_is),
    "frames: dark": (dark, as_it_is),
    "frames: hazy": (hazy, as_it_is),
    "frames: overexposed": (overexposed, as_it_is),
    "frames: blurred": (blurred, as_it_is),
}


@dataclass(frozen=True)
class ChangedTiles(Dataset[Tensor]):
    """The crops of a gallery in another style."""

    crops: TileCrops
    change: Change

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> Tensor:
        return self.change(self.crops[index])


@dataclass(frozen=True)
class ChangedClips(Dataset[Sample]):
    """Samples whose frames have another style."""

    samples: Dataset[Sample]
    change: Change

    def __len__(self) -> int:
        return len(self.samples)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        return replace(sample, clip=replace(sample.clip, images=self.change(sample.clip.images)))


@dataclass(frozen=True)
class Trial:
    """A data set, encoded as it is by a network with this confidence."""

    model: MatchingNetwork
    confidence: Confidence | None
    crops: TileCrops
    encoded: Encoded

    def figures(self, of_frames: Change, of_map: Change) -> dict[str, Any]:
        """What is found and answered in a style."""
        encoded = self.encoded
        if of_map is not as_it_is:
            encoded = replace(encoded, tiles=encode_tiles(self.model, ChangedTiles(self.crops, of_map)))
        if of_frames is not as_it_is:
            changed = ChangedClips(encoded.samples, of_frames)
            encoded = replace(encoded, clips=encode_pitched(self.model, changed, encoded.pitches))
        predictions = replace(encoded.predictions(self.model), confidence=self.confidence)
        split = figures_of(predictions).splits[SPLIT]
        trusted = None if split.trusted is None else asdict(split.trusted)
        return {"found": asdict(split.recall_at(1, FOUND_M)), "trusted": trusted}


def main() -> None:
    options = parse_options()
    model, provenance = load_network(options.weights or shipped_weights())
    tiles = tuple(read_split(options.data, SPLIT).tiles.values())
    spec = ClipSpec(model.image_spec, options.frames)
    error_rad = radians(PITCH_ERROR_DEG)
    encoded = encode(
        model, options.data, spec, splits=(SPLIT,), most_queries=options.queries, pitch_error_rad=error_rad
    )
    trial = Trial(model, provenance.confidence, TileCrops(tiles, model.tile_grid), encoded)
    found = {
        name: kept(options.out / f"{slug(name)}.json", partial(trial.figures, *changes))
        for name, changes in tqdm(STYLES.items(), "styles")
    }
    header = (
        f"found within {FOUND_M} m",
        "answered",
        "of these right",
        "answered off the map",
        "right, of all answers",
    )
    title = f"Unseen styles on {options.data.name}, {len(encoded.queries)} queries among {len(tiles)} tiles"
    print_results(title, ("style", *header), [(name, *columns(figures)) for name, figures in found.items()])


def columns(figures: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a style's row."""
    trusted = figures["trusted"] or {}
    shares = [trusted.get(name) for name in ("coverage", "precision", "unmapped", "overall")]
    return tuple("-" if share is None else percent(Interval(**share)) for share in (figures["found"], *shares))


def _bytes(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set in the layout of KITTI-CVL")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument("--frames", type=int, default=4, help="of a clip")
    parser.add_argument("--queries", type=int, default=200, help="so many, spread evenly")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
