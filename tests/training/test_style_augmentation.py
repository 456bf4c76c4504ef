from dataclasses import replace

import pytest
import torch

from cvlnet.config import ModelConfig
from cvlnet.model.build import build_model
from cvlnet.training.style_augmentation import perturbed, random_styles

MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)


def features(n=6, seed=0):
    return torch.randn((n, 5, 8, 9), generator=torch.Generator().manual_seed(seed)) + 2


def test_every_channel_keeps_its_pattern():
    """Within a sample a channel is an affine function of what it was, and its mean and contrast change apart."""
    torch.manual_seed(1)
    x = features()
    y = perturbed(x, 0.5, 1)
    x_mean, y_mean = x.mean(dim=(2, 3), keepdim=True), y.mean(dim=(2, 3), keepdim=True)
    contrast = y.std(dim=(2, 3), keepdim=True) / x.std(dim=(2, 3), keepdim=True)
    torch.testing.assert_close((y - y_mean).abs(), contrast * (x - x_mean).abs(), rtol=1e-4, atol=1e-5)
    level = y_mean / x_mean
    assert (level - contrast).abs().max() > 0.1
    assert 0.02 < (level - 1).std() < 0.5
    assert abs(level.mean() - 1) < 0.15


def test_frames_of_a_clip_have_one_style():
    torch.manual_seed(2)
    x = torch.cat([features(1)] * 6)
    y = perturbed(x, 0.5, 3)
    assert torch.equal(y[0], y[2])
    assert torch.equal(y[3], y[5])
    assert (y[0] - y[3]).abs().max() > 0.1


def test_the_level_is_that_of_the_clip_and_not_of_its_frames():
    """A frame that is darker than the others stays so by the same factor of contrast."""
    torch.manual_seed(3)
    dark, bright = torch.full((1, 4, 8, 8), 1.0), torch.full((1, 4, 8, 8), 3.0)
    before = torch.cat([dark, bright])
    torch.manual_seed(3)
    after = perturbed(before, 0.5, 2)
    torch.manual_seed(3)
    sigma = 0.5 * torch.rand(1)
    contrast = 1 + sigma * torch.randn(4)
    torch.testing.assert_close((after[1] - after[0])[:, 0, 0], 2 * contrast)


def test_some_styles_hardly_change_and_none_more_than_stated():
    torch.manual_seed(4)
    levels = perturbed(torch.ones(2000, 8, 1, 1), 0.5, 1)[:, :, 0, 0]
    spread = levels.std(dim=1)
    assert spread.min() < 0.03
    assert 0.25 < (levels - 1).std() < 0.32  # of a strength that is uniform from 0 to 0.5: 0.29


def test_random_numbers_are_those_of_pytorch():
    torch.manual_seed(5)
    once = perturbed(features(), 0.5, 2)
    assert not torch.equal(perturbed(features(), 0.5, 2), once)
    torch.manual_seed(5)
    assert torch.equal(perturbed(features(), 0.5, 2), once)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "vgg16"])
def test_both_views_are_perturbed_while_it_lasts(backbone):
    config = MODEL if backbone != "vgg16" else replace(ModelConfig.paper_like(), image_width_px=64, image_height_px=32)
    model = build_model(config).eval().double()
    images = torch.rand((4, 3, 32, 64), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.cat([images[:1], images[:1], images[1:2], images[1:2]])
    with torch.no_grad():
        for encoder, together in ((model.ground_encoder, 2), (model.overhead_encoder, 1)):
            before = encoder(images)
            torch.manual_seed(6)
            with random_styles(model, 0.5, frames=2):
                within = encoder(images)
            assert not torch.allclose(within, before, rtol=1e-9)
            assert torch.allclose(within[0], within[1], rtol=1e-9) == (together == 2)
            assert torch.equal(encoder(images), before)


def test_no_strength_no_change():
    model = build_model(MODEL).eval()
    images = torch.rand((2, 3, 32, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), random_styles(model, 0.0, frames=2):
        within = model.ground_encoder(images)
    with torch.no_grad():
        assert torch.equal(model.ground_encoder(images), within)
