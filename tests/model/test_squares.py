import pytest
import torch

from cvlnet.grid import Grid
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.squares import SquareMatcher
from cvlnet.types import ClipFeatures
from formulas import waves

CLIP, CHANNELS, SIDE = 8, 3, 6


def one_clip(seed=1):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(1, CLIP, CLIP, generator=generator)
    weight[:, :, :2] = 0  # some cells are not seen
    return ClipFeatures(torch.randn(1, CHANNELS, CLIP, CLIP, generator=generator), weight, Grid(CLIP, CLIP, 1.6))


def cut(values, places, side):
    return torch.stack([values[..., row : row + side, col : col + side] for row, col in places])


def test_unseen_shares_are_those_of_a_search_of_all_places():
    descriptor = torch.randn(CHANNELS, 40, 50, generator=torch.Generator().manual_seed(0)).half()
    descriptor[:, 20:, 20:] = 0
    places = [(0, 0), (7, 18), (15, 37), (27, 20)]
    every = torch.zeros(33, 43)
    for of_block, share in DenseMatcher(descriptor, CLIP, block_cells=16).unseen(one_clip()):
        every[of_block] = share[0]
    found = SquareMatcher(one_clip(), SIDE).unseen(cut(descriptor, places, CLIP + SIDE - 1))
    torch.testing.assert_close(found, cut(every, places, SIDE), atol=1e-5, rtol=0)
    assert [round(float(share), 3) for share in (found.min(), found.max())] == [0.0, 1.0]


def test_scores_are_those_of_a_search_of_all_places():
    descriptor = torch.randn(CHANNELS, 40, 50, generator=torch.Generator().manual_seed(0)).half()
    descriptor[:, 20:, 20:] = 0
    places = [(row, col) for row in (0, 7, 19, 27) for col in range(38)]  # more than are computed at once
    every = DenseMatcher(descriptor, CLIP).scores(one_clip())[0]
    found = SquareMatcher(one_clip(), SIDE).scores(cut(descriptor, places, CLIP + SIDE - 1))
    torch.testing.assert_close(found, cut(every, places, SIDE), atol=2e-3, rtol=0)  # whose transforms are rounded


def test_a_score_is_the_normalised_correlation_over_the_cells_that_are_seen():
    cells, clip = waves(CHANNELS, 13, 13), one_clip()
    found = SquareMatcher(clip, SIDE).scores(cells[None])
    weight, seen = clip.weight[0], cells[:, 2 : 2 + CLIP, 5 : 5 + CLIP]
    product = (weight * clip.descriptor[0] * seen).sum()
    energies = (weight * clip.descriptor[0].square()).sum() * (weight * seen.square()).sum()
    assert found.shape == (1, SIDE, SIDE)
    assert float(found[0, 2, 5]) == pytest.approx(float(product / energies.sqrt()), abs=1e-5)


def test_where_nothing_is_shown_or_seen_the_score_is_zero():
    clip = one_clip()
    cells = torch.zeros(1, CHANNELS, 13, 13)
    cells[..., 8:] = 1.0  # seen from the places further east alone
    assert (SquareMatcher(clip, SIDE).scores(cells)[0, :, 0] == 0).all()
    assert (SquareMatcher(clip, SIDE).scores(cells)[0, :, 1:] != 0).all()
    clip.weight[:] = 0
    assert (SquareMatcher(clip, SIDE).scores(cells) == 0).all()


def test_wrong_sizes_and_numbers_are_refused():
    with pytest.raises(ValueError, match=r"cells of \(12, 13\), not of 13 squared"):
        SquareMatcher(one_clip(), SIDE).scores(torch.zeros(1, CHANNELS, 12, 13))
    clip = one_clip()
    two = ClipFeatures(clip.descriptor.repeat(2, 1, 1, 1), clip.weight.repeat(2, 1, 1), clip.grid)
    with pytest.raises(ValueError, match="2 clips at once"):
        SquareMatcher(two, SIDE)
