import torch

from cvlnet.photometric import vary


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


def test_samples_vary_apart_and_frames_together():
    flat = torch.full((2, 3, 3, 16, 16), 128, dtype=torch.uint8)
    varied = vary(flat, 1.0, torch.Generator().manual_seed(3)).float().mean(dim=(-1, -2))
    assert (varied[0] - varied[1]).abs().max() > 5
    assert (varied[:, 0] - varied[:, 1]).abs().max() < 2  # noise only
