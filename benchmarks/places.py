"""How many candidates an index has to give so that the best place of a map is among them; and fits the projection.

    python benchmarks/places.py CACHE DATA...               measure the package's projection on towns
    python benchmarks/places.py CACHE DATA... --fit FILE    fit a projection to towns; none of them may be for tests

DATA are data sets of `cvlnet synth`. Their maps and clips are encoded by the package's weights once, into CACHE. The
places of all towns are candidates for every clip. The best place is that of a search of every place of its own town.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Subset
from tqdm import tqdm

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.data.clips import AS_DESCRIBED, ClipSpec
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples
from cvlnet.errors import InputError
from cvlnet.evaluation.predict import encode_pitched
from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.imagery.georef import open_overhead
from cvlnet.io.listing import files_in
from cvlnet.io.tensor_file import read_tensors, write_tensors
from cvlnet.io.text import read_json
from cvlnet.localize.indexed import FIRST, LARGEST, IndexedPlaces, Places, index_places
from cvlnet.localize.search import distinct
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.header import weights_of
from cvlnet.map.region import Region, encode_region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.place import STEP, PlaceProjection, fit_projection, shipped_projection
from cvlnet.types import ClipFeatures
from measure import evenly, print_results, run

Passes = Literal["4 queries", "1 query", "2 passes"]

DIMS = (64, 128, 256)
RANKS = (1, 5, 10, 20, 50, 100, 200)
MOST_CLIPS = 308  # of a town, evenly spaced
CANDIDATES = (20, 100, 300)
_KEY, _REMEDY, _LARGEST_BYTES = "cvlnet-places-benchmark", "delete it", 2**33
_REGION = ("descriptor", "known", "uncertainty", "searched")


class EncodedClip(TurnedClip):
    """A clip whose features under its recorded heading, the only ones that are asked for, were computed before."""

    def __init__(self, model: CVLNet, features: ClipFeatures) -> None:
        self.model, self._known, self._nearly = model, {(0.0,): features}, {}


@dataclass(frozen=True)
class TownFeatures:
    """An encoded town: its map, and some clips."""

    region: Region
    clips: ClipFeatures

    def clip(self, number: int) -> ClipFeatures:
        """A batch of one clip."""
        one = slice(number, number + 1)
        return ClipFeatures(self.clips.descriptor[one].float(), self.clips.weight[one].float(), self.clips.grid)

    @torch.inference_mode()
    def scores(self, number: int) -> Tensor:
        """The score of a clip at every place."""
        correlation = self.region.matcher(torch.device("cpu")).scores(self.clip(number))[0]
        return (correlation / self.region.uncertainty).masked_fill(~self.region.searched, -torch.inf)

    @cached_property
    def best(self) -> Tensor:
        """Row and column of the best place of every clip."""
        numbers = tqdm(range(len(self.clips.weight)), "searching all places")
        return torch.tensor([divmod(int(self.scores(i).argmax()), self.region.places.cols) for i in numbers])


def encoded_towns(cache: Path, data: Sequence[Path], model: CVLNet) -> list[TownFeatures]:
    towns = []
    for root in data:
        names = [path.stem for path in files_in(root / "labels", (".png",))]
        if not names:
            raise InputError("is no data set of cvlnet synth", where=root, remedy="name one that has labels")
        for date in names:
            path = cache / f"{root.name}-{date}.safetensors"
            if not path.exists():
                _encode(root, date, path, model)
            towns.append(_read(path))
    return towns


def _encode(root: Path, date: str, path: Path, model: CVLNet) -> None:
    region = encode_region(model, open_overhead(root / "overhead" / f"{date}.tif"), progress=True)
    split = read_split(root, "test1")
    samples = ClipTileSamples(split, read_recordings(split), ClipSpec(model.image_spec), model.tile_grid)
    own = [i for i, query in enumerate(samples.queries) if query.date == date]
    chosen = [own[i] for i in evenly(len(own), MOST_CLIPS)]
    (described,) = encode_pitched(model, Subset(samples, chosen), (AS_DESCRIBED,), progress=True)
    clips = described.features
    tensors = {name: getattr(region, name) for name in _REGION}
    tensors |= {"clips": clips.descriptor, "weights": clips.weight}
    header = {
        "cells": asdict(region.cells),
        "places": asdict(region.places),
        "steps": region.steps,
        "anchor": region.anchor.degrees,
        "clip": asdict(clips.grid),
    }
    write_tensors(path, tensors, _KEY, header)


def _read(path: Path) -> TownFeatures:
    tensors, header = read_tensors(path, _KEY, largest_bytes=_LARGEST_BYTES, remedy=_REMEDY)
    cells, places, grid = (
        Grid(**(header[name] | {"center_xy_m": tuple(header[name]["center_xy_m"])}))
        for name in ("cells", "places", "clip")
    )
    parts = {name: tensors[name] for name in _REGION}
    region = Region(**parts, cells=cells, places=places, steps=header["steps"], anchor=LatLon(*header["anchor"]))
    return TownFeatures(region, ClipFeatures(tensors["clips"], tensors["weights"], grid))


def ranks(towns: Sequence[TownFeatures], projection: PlaceProjection, *, int8: bool, passes: Passes) -> Tensor:
    """How many squares of all towns come before that of the best place, for every clip.

    In two passes, the mean of a clip's queries takes `FIRST` times as many squares as are wanted, among which the
    queries choose: the square comes after as many as is the larger of its rank by the queries and of this share of its
    rank by the mean.
    """
    described, queries, wanted, count = [], [], [], 0
    for town in towns:
        held = functional.max_pool2d(town.region.searched[None].float(), STEP, ceil_mode=True)[0] > 0
        described.append(projection.of_map(town.region.descriptor, town.region.uncertainty)[held])
        number = torch.full(held.shape, -1).masked_scatter(held, torch.arange(count, count + int(held.sum())))
        wanted.append(number[tuple((town.best // STEP).T)])
        queries.append(projection.of_clips(town.clips))
        count += int(held.sum())
    numbers, asked = torch.cat(described), torch.cat(queries)
    if int8:  # as FAISS cuts and rounds them
        step = 2 * LARGEST / 255
        numbers = ((numbers + LARGEST) / step).floor().clamp(0, 255) * step + (step / 2 - LARGEST)

    def before(queries: Tensor) -> Tensor:
        products = torch.stack([queries[:, i] @ numbers.T for i in range(queries.shape[1])]).amax(dim=0)
        return (products > products.gather(1, torch.cat(wanted)[:, None])).sum(dim=1)

    mean = asked.mean(dim=1, keepdim=True)
    if passes == "2 passes":
        return torch.maximum(before(asked), before(mean) // FIRST)
    return before(asked if passes == "4 queries" else mean)


def row_of(name: str, rank: Tensor) -> tuple[str, ...]:
    shares = (f"{100 * float((rank < k).float().mean()):.1f}" for k in RANKS)
    return name, *shares, f"{float(rank.float().quantile(0.99)) + 1:.0f}", str(int(rank.max()) + 1)


def same_fixes(town: TownFeatures, projection: PlaceProjection, model: CVLNet) -> list[tuple[float, ...]]:
    """For some clips, by number of candidates: whether the best fix and its margin are those of all places; ms."""
    places, sharpness = Places.of_region(town.region, "town"), model.sharpness.item()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        found = IndexedPlaces(index_places(Path(folder) / "index", places, projection), places, projection)
        for i in range(0, len(town.clips.descriptor), 4):
            (expected,) = distinct(town.region, town.scores(i), sharpness, most=1)
            row: list[float] = []
            for candidates in CANDIDATES:
                start = perf_counter()
                fixes = found.find(EncodedClip(model, town.clip(i)), candidates=candidates)
                away_m = np.subtract(
                    *(town.region.frame.xy_world_m(fix.position.degrees) for fix in (fixes[0], expected))
                )
                same = np.abs(away_m).max() < 0.1 and abs(fixes[0].margin - expected.margin) < 1e-3
                row += [float(np.abs(away_m).max() < 0.1), float(same), 1e3 * (perf_counter() - start)]
            rows.append(tuple(row))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--fit", type=Path)
    options = parser.parse_args()
    model, _ = load_model(shipped_weights())
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.fit is not None:
        for root in options.data:
            if read_json(root / "dataset.json", _REMEDY)["role"] == "test":
                raise InputError("is for tests", where=root, remedy="fit to towns for training or validation")
    towns = encoded_towns(options.cache, options.data, model)
    if options.fit is not None:
        seeds = [town["seed"] for root in options.data for town in read_json(root / "dataset.json", _REMEDY)["towns"]]
        maps = ((town.region.descriptor, town.region.uncertainty) for town in towns)
        fit_projection(maps, [town.clips for town in towns], max(DIMS), weights_of(model), {"seeds": seeds}).save(
            options.fit
        )
        return
    projection = PlaceProjection.load(shipped_projection())
    projection.require_network(weights_of(model), shipped_projection())
    rows = []
    for dims in DIMS:
        kinds: tuple[tuple[bool, Passes], ...] = (
            (False, "4 queries"),
            (True, "4 queries"),
            (True, "1 query"),
            (True, "2 passes"),
        )
        for int8, passes in kinds:
            name = f"{dims}, {'int8' if int8 else 'float32'}, {passes}"
            rows.append(row_of(name, ranks(towns, projection.first(dims), int8=int8, passes=passes)))
    squares = sum(int((functional.max_pool2d(t.region.searched[None].float(), STEP) > 0).sum()) for t in towns)
    clips = sum(len(town.clips.weight) for town in towns)
    header = ("descriptor", *(f"first {k}" for k in RANKS), "99 % in first", "all in first")
    print_results(f"The best place among the candidates, % of {clips} clips, {squares} squares of places", header, rows)
    results = np.array([row for town in towns for row in same_fixes(town, projection, model)])
    columns = results.reshape(len(results), len(CANDIDATES), 3)
    rows = [
        (
            str(k),
            f"{100 * columns[:, i, 0].mean():.1f}",
            f"{100 * columns[:, i, 1].mean():.1f}",
            f"{np.median(columns[:, i, 2]):.0f}",
        )
        for i, k in enumerate(CANDIDATES)
    ]
    header = ("candidates", "same best fix %", "and same margin %", "ms")
    print_results(f"Fixes by an index beside those of all places of a town, {len(results)} clips", header, rows)


if __name__ == "__main__":
    run(main)
