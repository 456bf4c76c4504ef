import pytest
import torch

from cvlnet.grid import Grid
from cvlnet.model import dense
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.ssm import energy_shares, match
from cvlnet.types import ClipFeatures, MapFeatures
from formulas import waves

CLIP, STEPS, CHANNELS = 8, 5, 3
CELL_M = 1.6


@pytest.fixture(params=["single", "half"], autouse=True)
def storage(request, monkeypatch):
    """The transforms are kept in this precision."""
    if request.param == "half":
        monkeypatch.setattr(dense, "_SINGLE_BYTES", 0)
    return request.param


def descriptors(*shape, seed=0):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values / (1 + values.square().sum(dim=-3, keepdim=True)).sqrt()


def clips(count, seed=1):
    weight = torch.rand(count, CLIP, CLIP, generator=torch.Generator().manual_seed(seed))
    weight[:, :, :2] = 0  # some cells are not seen
    return ClipFeatures(descriptors(count, CHANNELS, CLIP, CLIP, seed=seed), weight, Grid(CLIP, CLIP, CELL_M))


def tile_scores(clip, descriptor, row, col):
    """Scores within the tile whose first place is this one."""
    side = CLIP + STEPS - 1
    tile = descriptor[None, :, row : row + side, col : col + side]
    return match(clip, MapFeatures(tile, torch.ones(1, STEPS, STEPS), Grid(side, side, CELL_M))).scores[:, 0]


@pytest.mark.parametrize("block_cells", [16, 21, 40])
def test_scores_are_those_of_the_tiles_wherever_blocks_end(block_cells):
    descriptor, clip = descriptors(CHANNELS, 33, 41), clips(2)
    found = DenseMatcher(descriptor, CLIP, block_cells=block_cells).scores(clip)
    assert found.shape == (2, 26, 34)
    for row in (0, 7, 21):
        for col in (0, 8, 13, 29):
            expected = tile_scores(clip, descriptor, row, col)
            torch.testing.assert_close(found[:, row : row + STEPS, col : col + STEPS], expected, atol=1e-4, rtol=0)


def test_a_part_of_the_map_is_found_where_it_was_cut_out():
    descriptor = descriptors(CHANNELS, 40, 50)
    part = descriptor[None, :, 11 : 11 + CLIP, 23 : 23 + CLIP]
    clip = ClipFeatures(part, torch.ones(1, CLIP, CLIP), Grid(CLIP, CLIP, CELL_M))
    found = DenseMatcher(descriptor, CLIP, block_cells=16).scores(clip)[0]
    assert divmod(int(found.argmax()), found.shape[1]) == (11, 23)
    assert float(found.max()) == pytest.approx(1, abs=1e-4)


def test_a_score_is_the_normalised_correlation_over_the_cells_that_are_seen():
    descriptor, clip = waves(CHANNELS, 12, 12), clips(1)
    found = DenseMatcher(descriptor, CLIP).scores(clip)[0]
    weight, seen = clip.weight[0], descriptor[:, 2 : 2 + CLIP, 3 : 3 + CLIP]
    product = float((weight * clip.descriptor[0] * seen).sum())
    energies = (weight * clip.descriptor[0].square()).sum() * (weight * seen.square()).sum()
    assert float(found[2, 3]) == pytest.approx(product / float(energies) ** 0.5, abs=1e-4)


def test_where_the_map_shows_nothing_the_score_is_zero():
    descriptor = descriptors(CHANNELS, 40, 40)
    descriptor[:, 10:30, 10:30] = 0
    found = DenseMatcher(descriptor, CLIP, block_cells=16).scores(clips(2))
    assert (found[:, 10 : 30 - CLIP + 1, 10 : 30 - CLIP + 1] == 0).all()
    assert (found[:, :9, :9] != 0).all()
    assert found.isfinite().all()


@pytest.mark.parametrize("block_cells", [16, 21, 40])
def test_the_unseen_share_is_that_of_the_energy_where_the_map_shows_nothing(block_cells):
    descriptor, clip = descriptors(CHANNELS, 33, 41).half(), clips(2)
    descriptor[:, 10:20, 12:30] = 0
    descriptor[:, :, 39:] = 0
    found = torch.zeros(2, 26, 34)
    for places, share in DenseMatcher(descriptor, CLIP, block_cells=block_cells).unseen(clip):
        assert (found[:, *places] == 0).all()
        found[:, *places] = share
    hidden, energy = (descriptor == 0).all(dim=0), energy_shares(clip)
    windows = hidden.float().unfold(0, CLIP, 1).unfold(1, CLIP, 1)
    torch.testing.assert_close(found, torch.einsum("rcij,nij->nrc", windows, energy), atol=1e-5, rtol=0)
    assert 0.9 < float(found.max()) <= 1


def test_blocks_that_are_shown_whole_have_no_unseen_share():
    descriptor, clip = descriptors(CHANNELS, 33, 41), clips(1)
    assert list(DenseMatcher(descriptor, CLIP, block_cells=16).unseen(clip)) == []
    descriptor[:, 32, 40] = 0
    (((rows, cols), share),) = DenseMatcher(descriptor, CLIP, block_cells=16).unseen(clip)
    assert (rows.stop, cols.stop) == (26, 34)
    assert float(share[0, -1, -1]) == pytest.approx(float(energy_shares(clip)[0, -1, -1]), abs=1e-6)


def test_a_clip_that_sees_nothing_scores_zero_everywhere():
    clip = clips(2)
    clip.weight[1] = 0
    found = DenseMatcher(descriptors(CHANNELS, 20, 20), CLIP).scores(clip)
    assert (found[1] == 0).all()
    assert (found[0] != 0).any()


def test_what_is_not_kept_is_computed_anew_with_the_same_result():
    descriptor = descriptors(CHANNELS, 150, 150)
    kept = DenseMatcher(descriptor, CLIP, block_cells=16)
    none_kept = DenseMatcher(descriptor, CLIP, block_cells=16, kept_bytes=0)
    some_kept = DenseMatcher(descriptor, CLIP, block_cells=16, kept_bytes=600_000)
    expected = kept.scores(clips(1))
    for matcher in (kept, none_kept, some_kept):
        matcher.scores(clips(1, seed=5))
        torch.testing.assert_close(matcher.scores(clips(1)), expected, atol=0, rtol=0)
    assert none_kept.kept_bytes == 0
    assert 0 < some_kept.kept_bytes <= 600_000 < kept.kept_bytes


def test_maps_in_half_precision_are_matched_in_single():
    descriptor, clip = descriptors(CHANNELS, 20, 20).half(), clips(1)
    found = DenseMatcher(descriptor, CLIP).scores(clip)
    torch.testing.assert_close(found, DenseMatcher(descriptor.float(), CLIP).scores(clip), atol=0, rtol=0)


def test_maps_and_clips_of_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="7 x 20 cells holds no clip"):
        DenseMatcher(descriptors(CHANNELS, 7, 20), CLIP)
    clip = ClipFeatures(descriptors(1, CHANNELS, 9, 9), torch.ones(1, 9, 9), Grid(9, 9, CELL_M))
    with pytest.raises(ValueError, match=r"\(9, 9\) cells, not 8 squared"):
        DenseMatcher(descriptors(CHANNELS, 20, 20), CLIP).scores(clip)


def test_transforms_of_small_maps_are_kept_in_single_precision(storage):
    matcher = DenseMatcher(descriptors(CHANNELS, 33, 41), CLIP, block_cells=16)
    matcher.scores(clips(1))
    spectra, _ = matcher._kept[0]
    assert spectra.dtype == (torch.float32 if storage == "single" else torch.float16)
