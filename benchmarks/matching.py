"""How long it takes to match a query with a tile: in the frequency domain, as the package does, and by convolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cvlnet.config import ModelConfig
from cvlnet.model.build import build_model
from cvlnet.model.match import match
from cvlnet.types import ClipFeatures, MapFeatures
from measure import in_own_process, print_results, seconds_each

CLIPS, TILES = 8, 64
LEAST_ENERGY = 1e-6


def match_by_convolution(clip: ClipFeatures, tiles: MapFeatures) -> Tensor:
    """The same scores, [clips, tiles, steps, steps], by convolutions grouped by tile, as papers write it."""
    clips, count = len(clip.descriptor), len(tiles.descriptor)
    weighted = clip.descriptor * clip.weight.unsqueeze(1)
    side_by_side = tiles.descriptor.flatten(0, 1).unsqueeze(0)
    correlation = functional.conv2d(side_by_side, weighted.repeat(count, 1, 1, 1), groups=count)
    energy_of_cells = tiles.descriptor.square().sum(dim=1).unsqueeze(0)
    energy = functional.conv2d(energy_of_cells, clip.weight.unsqueeze(1).repeat(count, 1, 1, 1), groups=count)
    clip_energy = (weighted * clip.descriptor).sum(dim=(1, 2, 3))
    norm = (energy.reshape(count, clips, *energy.shape[-2:]) * clip_energy[:, None, None]).sqrt()
    similarity = correlation.reshape(norm.shape) / norm.clamp(min=LEAST_ENERGY)
    return (similarity / tiles.uncertainty.unsqueeze(1)).transpose(0, 1)


def random_features() -> tuple[ClipFeatures, MapFeatures]:
    config = ModelConfig()
    model = build_model(config)
    torch.manual_seed(0)
    steps, channels = model.steps, config.descriptor_channels
    clip_size, tile_size = (model.clip_grid.rows,) * 2, (model.map_grid.rows,) * 2
    clip = ClipFeatures(torch.randn(CLIPS, channels, *clip_size), torch.rand(CLIPS, *clip_size), model.clip_grid)
    uncertainty = torch.rand(TILES, steps, steps) + 0.5
    return clip, MapFeatures(torch.randn(TILES, channels, *tile_size), uncertainty, model.map_grid)


def measure(way: str) -> float:
    """Seconds a pair."""
    clip, tiles = random_features()
    run = match if way == "frequencies" else match_by_convolution
    with torch.inference_mode():
        return seconds_each(lambda: run(clip, tiles)) / (CLIPS * TILES)


def check() -> float:
    """Largest difference of the two."""
    clip, tiles = random_features()
    with torch.inference_mode():
        return float((match(clip, tiles).scores - match_by_convolution(clip, tiles)).abs().max())


def main() -> None:
    rows = []
    for way in ("frequencies", "grouped convolution"):
        seconds, peak_mib = in_own_process(measure, way)
        rows.append((way, f"{1e6 * seconds:.0f}", f"{1 / seconds:.0f}", f"{peak_mib:.0f}"))
    title = f"Matching {CLIPS} clips with {TILES} tiles (scores differ by at most {check():.1e})"
    print_results(title, ("way", "us a pair", "pairs/s", "peak MiB"), rows)


if __name__ == "__main__":
    main()
