"""How long it takes to match queries with tiles: as the package does it, and by the published grouped convolution."""

from __future__ import annotations

from dataclasses import replace

import torch

from cvlnet.config import ModelConfig
from cvlnet.model.build import build_model
from cvlnet.model.match import match
from cvlnet.types import ClipFeatures, MapFeatures
from measure import in_own_process, print_results, seconds_each
from published import match_by_convolution
from samples import CONFIGURATIONS

QUERIES, TILES = (1, 500), 300
BY_CONVOLUTION = 8  # queries at once, and no more of them are timed: each takes as long as another


def features(config: ModelConfig, clips: int) -> tuple[ClipFeatures, MapFeatures]:
    """Random ones; each clip is cut from a tile, with noise, so that the best scores are high."""
    model = build_model(config)
    generator = torch.Generator().manual_seed(0)
    first, side, channels = model.window_cells, model.map_grid.rows, config.descriptor_channels
    descriptor = torch.randn(TILES, channels, side, side, generator=generator)
    uncertainty = torch.rand(TILES, model.steps, model.steps, generator=generator) + 0.5
    inside = slice(first, first + model.clip_grid.rows)
    cut = descriptor[torch.arange(clips) % TILES, :, inside, inside]
    weight = torch.rand(clips, *cut.shape[-2:], generator=generator)
    clip = ClipFeatures(cut + 0.3 * torch.randn(cut.shape, generator=generator), weight, model.clip_grid)
    return clip, MapFeatures(descriptor, uncertainty, model.map_grid)


def in_bfloat16(clip: ClipFeatures, tiles: MapFeatures) -> tuple[ClipFeatures, MapFeatures]:
    """Features of half the size, as a large map would be kept."""
    return replace(clip, descriptor=clip.descriptor.bfloat16()), replace(tiles, descriptor=tiles.descriptor.bfloat16())


def measure(network: str, clips: int, way: str) -> float:
    """Seconds a pair."""
    by_convolution = way == "grouped convolution"
    clips = min(clips, BY_CONVOLUTION) if by_convolution else clips
    asked, tiles = features(CONFIGURATIONS[network], clips)
    if way == "package, bfloat16":
        asked, tiles = in_bfloat16(asked, tiles)
    run = match_by_convolution if by_convolution else match
    with torch.inference_mode():
        return seconds_each(lambda: run(asked, tiles)) / (clips * TILES)


def differences(network: str) -> tuple[float, float]:
    """Largest difference of the scores from those by convolution, in float32 and with features in bfloat16."""
    asked, tiles = features(CONFIGURATIONS[network], BY_CONVOLUTION)
    with torch.inference_mode():
        expected = match_by_convolution(asked, tiles)
        found = (match(asked, tiles).scores, match(*in_bfloat16(asked, tiles)).scores)
    return tuple(float((scores - expected).abs().max() / expected.abs().max()) for scores in found)  # type: ignore[return-value]


def main() -> None:
    rows = []
    for network in CONFIGURATIONS:
        for clips in QUERIES:
            slowest: float | None = None
            for way in ("grouped convolution", "package", "package, bfloat16"):
                seconds, peak_mib = in_own_process(measure, network, clips, way)
                slowest = slowest or seconds
                rows.append(
                    (network, str(clips), way, f"{1e6 * seconds:.1f}", f"{slowest / seconds:.1f}", f"{peak_mib:.0f}")
                )
    print_results(
        f"Matching with {TILES} tiles", ("network", "queries", "way", "us a pair", "times faster", "peak MiB"), rows
    )
    for network in CONFIGURATIONS:
        exact, rounded = differences(network)
        print(f"{network}: scores differ by at most {exact:.1e} of the best, in bfloat16 by {rounded:.1e}")


if __name__ == "__main__":
    main()
