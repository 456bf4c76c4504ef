"""How long a question to a map takes: one clip against every cell, beside matching tile by tile, and the memory."""

from __future__ import annotations

import torch

from cvlnet.grid import Grid
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.ssm import match
from cvlnet.types import ClipFeatures, MapFeatures
from measure import in_own_process, print_results, run, seconds_each

CHANNELS, CLIP_CELLS, TILE_CELLS, CELL_M = 16, 52, 64, 1.6  # of the default network
SIDES_KM = (0.25, 1.0, 3.0, 10.0)
STEPS = TILE_CELLS - CLIP_CELLS + 1


def random_clip() -> ClipFeatures:
    """A clip whose descriptors and weights are random."""
    cells = CLIP_CELLS, CLIP_CELLS
    return ClipFeatures(0.2 * torch.randn(1, CHANNELS, *cells), torch.rand(1, *cells), Grid(*cells, CELL_M))


def random_map(side_km: float) -> torch.Tensor:
    """A map in half precision that is searched over a square of this side."""
    cells = round(1000 * side_km / CELL_M) + CLIP_CELLS - 1
    return (0.2 * torch.randn(CHANNELS, cells, cells)).half()


def measure_dense(side_km: float) -> tuple[float, float, float]:
    """Seconds of the first question and of a further one, and MB of the transforms that are kept."""
    matcher, clip = DenseMatcher(random_map(side_km), CLIP_CELLS), random_clip()
    first = seconds_each(lambda: DenseMatcher(matcher.descriptor, CLIP_CELLS).scores(clip), for_s=1.0, at_least=1)
    return first, seconds_each(lambda: matcher.scores(clip)), matcher.kept_bytes / 1e6


def measure_tiles(side_km: float) -> float:
    """Seconds of a question, tile by tile, by a quarter of a square kilometre of tiles at most."""
    side = min(side_km, 0.25)
    descriptor, clip = random_map(side).float(), random_clip()
    firsts = range(0, descriptor.shape[1] - TILE_CELLS + 1, STEPS)
    cut = [descriptor[:, row : row + TILE_CELLS, col : col + TILE_CELLS] for row in firsts for col in firsts]
    tiles = MapFeatures(torch.stack(cut), torch.ones(len(cut), STEPS, STEPS), Grid(TILE_CELLS, TILE_CELLS, CELL_M))
    return seconds_each(lambda: match(clip, tiles)) * (side_km / side) ** 2


def main() -> None:
    rows = []
    for side_km in SIDES_KM:
        (first_s, further_s, kept_mb), peak_mib = in_own_process(measure_dense, side_km)
        tiles_s, _ = in_own_process(measure_tiles, side_km)
        times = (f"{1000 * first_s:.0f}", f"{1000 * further_s:.1f}", f"{1000 * tiles_s:.0f}")
        rows.append((f"{side_km**2:g}", *times, f"{tiles_s / further_s:.0f}", f"{kept_mb:.0f}", f"{peak_mib:.0f}"))
    header = ("km2", "first ms", "further ms", "tiles ms", "times faster", "kept MB", "peak MiB")
    print_results("One clip against a whole map, default network", header, rows)


if __name__ == "__main__":
    run(main)
