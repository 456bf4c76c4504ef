import torch

from cvlnet.training.color_augmentation import vary


def images(seed=0):
    return torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_no_strength_no_change():
    x = images()
    assert torch.equal(vary(x, 0.0, torch.Generator()), x)


def test_the_generator_decides():
    x = images()
    once, again, other = (vary(x, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_it_computes_where_the_images_lie(device):
    x = images().to(device)
    varied = vary(x, 1.0, torch.Generator(device).manual_seed(1))
    assert varied.device == x.device
    assert not torch.equal(varied, x)


def test_samples_vary_apart_and_frames_together():
    flat = torch.full((2, 3, 3, 16, 16), 128, dtype=torch.uint8)
    varied = vary(flat, 1.0, torch.Generator().manual_seed(3)).float().mean(dim=(-1, -2))
    assert (varied[0] - varied[1]).abs().max() > 5
    assert (varied[:, 0] - varied[:, 1]).abs().max() < 2  # noise only


def test_detail_and_contrast_are_lost_in_some_samples_and_raised_in_others():
    generator = torch.Generator().manual_seed(0)
    soft = 128 + 20 * torch.randn(64, 1, 3, 32, 32, generator=generator)
    soft = torch.nn.functional.avg_pool2d(soft.flatten(0, 1), 3, 1, 1).unflatten(0, (64, 1))
    x = soft.clamp(0, 255).round().to(torch.uint8)

    def detail(y):
        return (y[..., 1:].float() - y[..., :-1].float()).square().mean(dim=(1, 2, 3, 4)).sqrt()

    ratio = detail(vary(x, 1.0, generator)) / detail(x)
    assert (ratio < 0.7).sum() > 5
    assert (ratio > 1.8).sum() > 5
