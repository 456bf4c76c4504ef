import pytest
import torch
from torch.nn import functional

from cvlnet.model.correlate import Correlation


def seeded(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def correlate(kernels, maps):
    channels, rows, cols = maps.shape[1:]
    correlation = Correlation(channels, rows, cols, steps=rows - kernels.shape[2] + 1)
    return correlation.correlate(correlation.of_kernels(kernels), correlation.of_maps(maps))


@pytest.mark.parametrize("channels", [1, 5, 20])  # cut into four, two and one parts each way, where they are whole
@pytest.mark.parametrize(("rows", "cols"), [(9, 9), (12, 12), (8, 12)])
@pytest.mark.parametrize("steps", [1, 2, 5, 7])
def test_correlation_is_what_the_sum_says(channels, rows, cols, steps):
    kernels = seeded(2, channels, rows - steps + 1, cols - steps + 1)
    maps = seeded(4, channels, rows, cols, seed=1)
    found = correlate(kernels, maps)
    assert found.shape == (steps, 2, 4, steps)
    expected = functional.conv2d(maps, kernels)  # [m, n, steps, steps]
    torch.testing.assert_close(found.permute(2, 1, 0, 3), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 20])
def test_correlation_can_be_learned_through(channels):
    maps, kernels = seeded(2, channels, 12, 12, seed=1).requires_grad_(), seeded(1, channels, 8, 8).requires_grad_()
    correlate(kernels, maps).square().sum().backward()
    found = kernels.grad.clone(), maps.grad.clone()
    kernels.grad, maps.grad = None, None
    functional.conv2d(maps, kernels).square().sum().backward()
    torch.testing.assert_close(found, (kernels.grad, maps.grad), atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 5, 20])
@pytest.mark.parametrize(("rows", "cols", "steps"), [(12, 12, 5), (9, 14, 2), (8, 8, 1)])
def test_it_says_how_many_numbers_the_transforms_of_a_map_hold(channels, rows, cols, steps):
    correlation = Correlation(channels, rows, cols, steps)
    assert correlation.of_maps(seeded(3, channels, rows, cols)).numel() == 3 * correlation.numbers_a_map


@pytest.mark.parametrize(("channels", "parts"), [(1, 4), (3, 4), (4, 2), (15, 2), (16, 1), (40, 1)])
def test_kernels_of_few_channels_are_cut_into_parts(channels, parts):
    """Kernels of 8 x 16: four parts each way are whole, of 10 x 15 one is."""
    maps = Correlation(channels, 12, 20, 5).of_maps(seeded(1, channels, 12, 20))
    assert maps.shape[2] == 2 * channels * parts**2
    assert Correlation(channels, 14, 19, 5).of_maps(seeded(1, channels, 14, 19)).shape[2] == 2 * channels
