"""Time to match queries with tiles: by the package, by torch.fft, and by grouped convolution as published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from cvlnet.config import ModelConfig
from cvlnet.model.build import build_model
from cvlnet.model.ssm import match
from cvlnet.types import ClipFeatures, MapFeatures
from measure import in_own_process, print_results, seconds_each
from published import LEAST_ENERGY, match_by_convolution
from samples import CONFIGURATIONS

QUERIES, TILES = (1, 500), 300
BY_CONVOLUTION = 8  # queries at a time, and in all: each takes as long as another
BY_FFT = 128, 8  # queries and tiles at a time


def features(config: ModelConfig, clips: int) -> tuple[ClipFeatures, MapFeatures]:
    """Random features; each clip is cut from a tile, with noise, so that the best scores are high."""
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
    """Features in half the memory, as for a large map."""
    return replace(clip, descriptor=clip.descriptor.bfloat16()), replace(tiles, descriptor=tiles.descriptor.bfloat16())


def match_by_fft(clip: ClipFeatures, tiles: MapFeatures) -> Tensor:
    """The scores of `cvlnet.model.ssm`, [clips, tiles, steps, steps], by torch.fft and complex products."""
    steps = tiles.grid.rows - clip.grid.rows + 1
    weighted = clip.descriptor * clip.weight.unsqueeze(1)
    clip_energy = (weighted * clip.descriptor).sum(dim=(1, 2, 3))[:, None, None, None]
    scores = torch.empty(len(weighted), len(tiles.descriptor), steps, steps)
    for some in torch.split(torch.arange(len(weighted)), BY_FFT[0]):
        kernels, weights = _spectra(weighted[some], tiles), _spectra(clip.weight[some].unsqueeze(1), tiles)
        for block in torch.split(torch.arange(len(tiles.descriptor)), BY_FFT[1]):
            descriptor = tiles.descriptor[block]
            correlation = _correlated(kernels, descriptor, steps)
            energy = _correlated(weights, descriptor.square().sum(dim=1, keepdim=True), steps) * clip_energy[some]
            similarity = correlation / energy.clamp(min=LEAST_ENERGY).sqrt()
            scores[some[:, None], block] = similarity / tiles.uncertainty[block]
    return scores


def _spectra(kernels: Tensor, tiles: MapFeatures) -> Tensor:
    """[frequencies, n, channels]."""
    transformed: Tensor = torch.fft.rfft2(kernels, s=(tiles.grid.rows, tiles.grid.cols)).conj()
    return transformed.flatten(2).permute(2, 0, 1)


def _correlated(kernels: Tensor, maps: Tensor, steps: int) -> Tensor:
    """[n, m, steps, steps], of spectra of kernels and maps."""
    transformed: Tensor = torch.fft.rfft2(maps)
    products = (kernels @ transformed.flatten(2).permute(2, 1, 0)).permute(1, 2, 0)
    spectra = products.reshape(*products.shape[:2], *transformed.shape[-2:])
    correlation: Tensor = torch.fft.irfft2(spectra, s=(maps.shape[-2], maps.shape[-1]))
    return correlation[..., :steps, :steps]


WAYS: dict[str, Callable[[ClipFeatures, MapFeatures], object]] = {
    "grouped convolution": match_by_convolution,
    "torch.fft": match_by_fft,
    "package": match,
    "package, bfloat16": match,
}


def measure(network: str, clips: int, way: str, threads: int) -> float:
    """Seconds for a pair."""
    torch.set_num_threads(threads)
    by_convolution = way == "grouped convolution"
    clips = min(clips, BY_CONVOLUTION) if by_convolution else clips
    given, tiles = features(CONFIGURATIONS[network], clips)
    if way == "package, bfloat16":
        given, tiles = in_bfloat16(given, tiles)
    with torch.inference_mode():
        return seconds_each(lambda: WAYS[way](given, tiles)) / (clips * TILES)


def differences(network: str) -> list[float]:
    """Largest relative differences from the scores by convolution: torch.fft, the package, and that in bfloat16."""
    clips, tiles = features(CONFIGURATIONS[network], BY_CONVOLUTION)
    with torch.inference_mode():
        expected = match_by_convolution(clips, tiles)
        found = (match_by_fft(clips, tiles), match(clips, tiles).scores, match(*in_bfloat16(clips, tiles)).scores)
    return [float((scores - expected).abs().max() / expected.abs().max()) for scores in found]


def main() -> None:
    rows = []
    for network in CONFIGURATIONS:
        for clips in QUERIES:
            for threads in sorted({1, torch.get_num_threads()}):
                slowest: float | None = None
                for way in WAYS:
                    seconds, peak_mib = in_own_process(measure, network, clips, way, threads)
                    slowest = slowest or seconds
                    times = f"{1e6 * seconds:.1f}", f"{slowest / seconds:.1f}"
                    rows.append((network, str(clips), str(threads), way, *times, f"{peak_mib:.0f}"))
    header = ("network", "queries", "threads", "way", "us a pair", "times faster", "peak MiB")
    print_results(f"Matching with {TILES} tiles", header, rows)
    for network in CONFIGURATIONS:
        fft, exact, rounded = differences(network)
        print(
            f"{network}: largest difference {exact:.1e} of the best score, torch.fft {fft:.1e}, bfloat16 {rounded:.1e}"
        )


if __name__ == "__main__":
    main()
