"""What the network sees: the labels that it reads in a clip and in the map of the true place, and where they disagree.

    python benchmarks/readout.py DATA...
    python benchmarks/readout.py DATA... --queries QUERIES.json --pictures FOLDER

DATA are synthetic towns. Beside them: the clips of KITTI of `real_kitti.py`, or those of QUERIES.json, where they are
present. For every label the correlation, over all cells that some frame sees, of what is read in the clip with what is
read in the map; for towns also of what is read in the clip with the ground truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from matplotlib.colors import to_rgb
from torch import Tensor
from tqdm import tqdm

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.data.clips import ClipSpec
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples
from cvlnet.errors import InputError
from cvlnet.evaluation.report.theme import DAY, save_png
from cvlnet.imagery.crop import crop, holds
from cvlnet.imagery.georef import open_overhead
from cvlnet.labels import Label
from cvlnet.localize.clip_files import files_of, read_clip
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip
from measure import evenly, print_results, run
from real_kitti import SHARED, Query, kitti_queries, read_queries

COLOURS = {
    Label.GREEN: "#96c85a",
    Label.PAVED: "#beb4a5",
    Label.ROAD: "#5a5a5f",
    Label.MARKING: "#ffffff",
    Label.BUILDING: "#c8463c",
    Label.BARRIER: "#3c50ff",
    Label.HEDGE: "#c0ff40",
    Label.TREE: "#146e28",
}  # painted over each other in this order


@dataclass(frozen=True)
class Readout:
    """What is read in a clip and in the map around its true place, on the same cells.

    of_clip, of_map: probability of each label. truth: share of each label, where it is known. seen: by some frame.
    agreement: each cell's part of the score of the true place.
    """

    name: str
    frame: UInt8[Tensor, "3 height width"]
    overhead: UInt8[Tensor, "3 rows cols"]
    of_clip: Float[Tensor, "labels cells cells"]
    of_map: Float[Tensor, "labels cells cells"]
    truth: Float[Tensor, "labels cells cells"] | None
    seen: Bool[Tensor, "cells cells"]
    agreement: Float[Tensor, "cells cells"]

    @property
    def both(self) -> tuple[Tensor, Tensor]:
        """Both readings of the cells that are seen, [labels, cells]."""
        return self.of_clip[:, self.seen], self.of_map[:, self.seen]


@torch.inference_mode()
def readout(
    model: CVLNet, name: str, clip: Clip, tile: Tensor, offset_cells: tuple[int, int], truth: Tensor | None = None
) -> Readout:
    """Read a clip, and the part of a tile that lies (east, north) of its middle by whole cells."""
    ground, seen = model.clip_features(Clip.stack([clip]))
    overhead = model.overhead_features(tile[None])
    clips, maps = model.describe_clips(ground, seen), model.describe_tiles(overhead)
    east, north = offset_cells
    row, col = model.window_cells - north, model.window_cells + east
    rows, cols = slice(row, row + model.clip_grid.rows), slice(col, col + model.clip_grid.cols)
    stride = model.overhead_encoder.stride
    pixels = [slice(part.start * stride, part.stop * stride) for part in (rows, cols)]
    products = (clips.descriptor[0] * maps.descriptor[0, :, rows, cols]).sum(dim=0)
    return Readout(
        name,
        clip.images[0],
        tile[:, pixels[0], pixels[1]],
        model.ground_labels(ground)[0].sigmoid(),
        model.overhead_labels(overhead)[0, :, rows, cols].sigmoid(),
        truth,
        seen[0],
        products * clips.weight[0],
    )


def of_town(model: CVLNet, root: Path, count: int) -> Iterator[Readout]:
    """Test queries of a town, evenly spaced, at their true places to the cell."""
    split = read_split(root, "test1")
    grids = (model.map_grid, model.clip_grid)
    spec = ClipSpec(model.image_spec)
    samples = ClipTileSamples(split, read_recordings(split), spec, model.tile_grid, label_grids=grids)
    for number in evenly(len(samples), count):
        sample = samples[number]
        east, north = (sample.offset_m / model.map_grid.cell_m).round().long().tolist()
        if max(abs(east), abs(north)) <= model.window_cells:
            truth = None if sample.labels is None else sample.labels.clip / 255
            yield readout(model, sample.query_id, sample.clip, sample.tile, (east, north), truth)


def of_queries(model: CVLNet, queries: Sequence[Query]) -> Iterator[Readout]:
    """Real clips whose whole surroundings are on their image; others are left out, and said."""
    for query in queries:
        image = open_overhead(query.overhead)
        files = replace(files_of(query.drive), frame=query.frame, frames=query.frames)
        clip, place = read_clip(files, model.image_spec)
        name = f"{query.name} / {query.frame}"
        if place is None or not holds(image, place, model.tile_grid):
            print(f"left out: around {name} the image shows less than {model.tile_grid.size_m[0]:.0f} m")
            continue
        yield readout(model, name, clip, crop(image, place, model.tile_grid), (0, 0))


def correlations(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[float]:
    """For each label the correlation of two readings, [labels, cells] each, over the cells of all pairs."""
    one, other = (torch.cat(readings, dim=1) for readings in zip(*pairs, strict=True))
    return [float(torch.corrcoef(torch.stack([one[label], other[label]]))[0, 1]) for label in Label]


def painted(shares: Float[Tensor, "labels rows cols"]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A picture of the labels."""
    picture = torch.zeros((*shares.shape[1:], 3))
    for label, colour in COLOURS.items():
        rgb = torch.tensor(to_rgb(colour))
        share = shares[label].unsqueeze(-1)
        picture = picture * (1 - share) + rgb * share
    return picture.numpy()


def draw(one: Readout, path: Path) -> None:
    """The frame, the map, both readings and the agreement."""
    figure = DAY.figure(22.0, 4.6)
    frame, overhead, of_clip, of_map, agreement = figure.subplots(1, 5)
    frame.imshow(one.frame.permute(1, 2, 0).numpy())
    overhead.imshow(one.overhead.permute(1, 2, 0).numpy())
    of_clip.imshow(painted(one.of_clip) * one.seen.unsqueeze(-1).numpy())
    of_map.imshow(painted(one.of_map))
    most = float(one.agreement.abs().max())
    agreement.imshow(one.agreement.numpy(), cmap="RdBu", vmin=-most, vmax=most)
    titles = (one.name, "map", "read in the clip", "read in the map", "agreement (blue) and disagreement")
    for axes, title in zip((frame, overhead, of_clip, of_map, agreement), titles, strict=True):
        axes.set_title(title)
        axes.set(xticks=[], yticks=[])
    save_png(figure, path)


def main() -> None:
    options = parse_options()
    model, _ = load_model(options.weights or shipped_weights())
    queries = kitti_queries(options.shared) if options.queries is None else read_queries(options.queries)
    columns: dict[str, list[float]] = {}
    towns: list[Readout] = []
    for root in options.data:
        towns += tqdm(of_town(model, root, options.count), root.name, options.count)
    real = list(of_queries(model, queries))
    if not towns and not real:
        remedy = "give a synthetic town, or --queries or --shared with real clips"
        raise InputError("there is nothing to read", where="DATA", remedy=remedy)
    of_truth = [(one.of_clip[:, one.seen], one.truth[:, one.seen]) for one in towns if one.truth is not None]
    for name, pairs in (
        ("towns, with the map", [one.both for one in towns]),
        ("towns, with the truth", of_truth),
        ("real clips, with the map", [one.both for one in real]),
    ):
        if pairs:
            columns[name] = correlations(pairs)
    rows = [(label.name.lower(), *(f"{column[label]:.2f}" for column in columns.values())) for label in Label]
    print_results("Correlation of the labels read in clips", ("label", *columns), rows)
    if options.pictures is not None:
        for number, one in enumerate((*real, *towns[: options.most_pictures]), 1):
            draw(one, options.pictures / f"{number:03d}.png")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*", help="synthetic towns in the layout of KITTI-CVL")
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument(
        "--queries", type=Path, help="list of real clips, as of real_kitti.py; by default those of KITTI"
    )
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of KITTI's frames and images")
    parser.add_argument("--count", type=int, default=100, help="test queries of each town")
    parser.add_argument("--pictures", type=Path, help="draw the real clips and some of the towns' into this folder")
    parser.add_argument("--most-pictures", type=int, default=12, help="of towns")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
