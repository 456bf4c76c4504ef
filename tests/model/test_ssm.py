import math

import pytest
import torch

from cvlnet.grid import Grid
from cvlnet.model.correlate import Correlation
from cvlnet.model.ssm import ClipSpectra, energy_shares, match, with_unseen
from cvlnet.types import ClipFeatures, MapFeatures, ScoreVolume

CLIP, TILE = Grid(10, 10, 1.5, (0.3, -0.3)), Grid(16, 16, 1.5, (0.3, -0.3))


def features(clips=2, tiles=3, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    clip = ClipFeatures(rand(clips, 4, 10, 10) - 0.5, rand(clips, 10, 10), CLIP)
    return clip, MapFeatures(rand(tiles, 4, 16, 16) - 0.5, 0.5 + rand(tiles, 7, 7), TILE)


def test_scores_are_what_the_formula_says():
    clip, tiles = features()
    scores = match(clip, tiles).scores
    assert scores.shape == (2, 3, 7, 7)
    for q, m, row, col in [(0, 0, 0, 0), (1, 2, 6, 3), (0, 1, 3, 6), (1, 1, 3, 3)]:
        window = tiles.descriptor[m, :, row : row + 10, col : col + 10]
        weight, own = clip.weight[q], clip.descriptor[q]
        norm = ((weight * own * own).sum() * (weight * window * window).sum()).sqrt()
        expected = (weight * own * window).sum() / norm / tiles.uncertainty[m, row, col]
        torch.testing.assert_close(scores[q, m, row, col], expected, atol=1e-5, rtol=1e-4)


def test_a_clip_cut_from_the_tile_is_found_where_it_was_cut():
    _, tiles = features()
    even = MapFeatures(tiles.descriptor, torch.ones(3, 7, 7), TILE)
    row, col = 5, 1
    clip = ClipFeatures(tiles.descriptor[1:2, :, row : row + 10, col : col + 10], torch.ones(1, 10, 10), CLIP)
    scores = match(clip, even).scores
    assert scores[0].flatten().argmax() == 49 + row * 7 + col
    assert float(scores.max()) == pytest.approx(1, abs=1e-5)
    decoded = ScoreVolume(scores[0, 1], 1.5).decode(1000.0)
    torch.testing.assert_close(decoded.offset_m, torch.tensor([(col - 3) * 1.5, -(row - 3) * 1.5]), atol=1e-3, rtol=0)


def test_a_clip_moved_by_a_cell_moves_the_offset_by_a_cell():
    _, tiles = features()
    even = MapFeatures(tiles.descriptor[:1], torch.ones(1, 7, 7), TILE)

    def offset_m(row, col):
        clip = ClipFeatures(even.descriptor[:, :, row : row + 10, col : col + 10], torch.ones(1, 10, 10), CLIP)
        return match(clip, even).decode(1000.0).offset_m[0, 0]

    torch.testing.assert_close(offset_m(3, 4) - offset_m(3, 3), torch.tensor([1.5, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(offset_m(4, 3) - offset_m(3, 3), torch.tensor([0.0, -1.5]), atol=1e-3, rtol=0)


def test_cells_that_nobody_sees_do_not_count():
    clip, tiles = features()
    blind = torch.ones(10, 10)
    blind[:, 6:] = 0
    masked = ClipFeatures(clip.descriptor, clip.weight * blind, CLIP)
    other = clip.descriptor.clone()
    other[..., 6:] = 100.0
    torch.testing.assert_close(
        match(masked, tiles).scores, match(ClipFeatures(other, masked.weight, CLIP), tiles).scores
    )


def test_a_clip_that_sees_nothing_scores_zero():
    clip, tiles = features()
    scores = match(ClipFeatures(clip.descriptor, torch.zeros(2, 10, 10), CLIP), tiles).scores
    assert (scores == 0).all()


def test_pairs_of_many_blocks_score_as_each_alone():
    clip, tiles = features(clips=300, tiles=40)  # several blocks both ways
    scores = match(clip, tiles).scores
    for q, m in [(0, 0), (255, 33), (256, 32), (299, 39)]:
        alone = match(
            ClipFeatures(clip.descriptor[q : q + 1], clip.weight[q : q + 1], CLIP),
            MapFeatures(tiles.descriptor[m : m + 1], tiles.uncertainty[m : m + 1], TILE),
        )
        torch.testing.assert_close(scores[q, m], alone.scores[0, 0], atol=1e-5, rtol=1e-5)


def test_features_in_bfloat16_score_nearly_the_same():
    _, tiles = features()
    window = tiles.descriptor[:, :, 2:12, 4:14]
    clip = ClipFeatures(window, torch.ones(3, 10, 10), CLIP)  # scores from 0 to 1, where rounding counts most
    halved = ClipFeatures(window.bfloat16(), clip.weight, CLIP)
    scores = match(halved, MapFeatures(tiles.descriptor.bfloat16(), tiles.uncertainty, TILE)).scores
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, match(clip, tiles).scores, atol=1e-3, rtol=0)


def test_autocast_rounds_no_score():
    clip, tiles = features()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = match(clip, tiles).scores
    assert torch.equal(rounded, match(clip, tiles).scores)


def test_scores_are_the_same_on_every_device(device):
    clip, tiles = features()
    there = ClipFeatures(clip.descriptor.to(device), clip.weight.to(device), CLIP)
    scores = match(there, tiles.to(torch.device(device))).scores.cpu()
    torch.testing.assert_close(scores, match(clip, tiles).scores, atol=1e-4, rtol=0)


def test_uncertainty_divides():
    clip, tiles = features()
    doubled = MapFeatures(tiles.descriptor, 2 * tiles.uncertainty, TILE)
    torch.testing.assert_close(match(clip, doubled).scores * 2, match(clip, tiles).scores)


def test_no_displacement_decodes_to_no_metres():
    scores = torch.zeros(7, 7)
    scores[3, 3] = 1.0
    torch.testing.assert_close(ScoreVolume(scores, 1.6).decode(10.0).offset_m, torch.zeros(2), atol=1e-6, rtol=0)


def test_decoding_by_hand():
    scores = torch.zeros(7, 7)
    scores[2, 5] = 1.0  # one row north, two columns east
    sure = ScoreVolume(scores, 2.0).decode(1000.0)
    torch.testing.assert_close(sure.offset_m, torch.tensor([4.0, 2.0]))
    assert float(sure.score) == 1.0
    torch.testing.assert_close(sure.covariance_m2, torch.eye(2) * 4 / 12)
    scores[2, 6] = 1.0  # between two columns
    torch.testing.assert_close(ScoreVolume(scores, 2.0).decode(1000.0).offset_m, torch.tensor([5.0, 2.0]))


def test_covariance_grows_with_doubt_and_points_along_it():
    scores = torch.zeros(7, 7)
    scores[3, :] = 1.0  # anywhere along the row
    covariance = ScoreVolume(scores, 1.0).decode(50.0).covariance_m2
    torch.testing.assert_close(covariance, covariance.mT)
    assert float(covariance[0, 0]) > 10 * float(covariance[1, 1])


def test_grids_that_do_not_fit_are_refused():
    clip, tiles = features()
    with pytest.raises(ValueError, match="share the size"):
        match(ClipFeatures(clip.descriptor, clip.weight, Grid(10, 10, 2.0)), tiles)
    with pytest.raises(ValueError, match="no window"):
        match(clip, MapFeatures(tiles.descriptor, tiles.uncertainty, Grid(15, 15, 1.5, (0.3, -0.3))))


def test_what_inference_has_matched_can_be_learned_from():
    grid = Grid(9, 9, 1.5)  # of a size that no other test has: nothing is kept of it yet
    tiles = MapFeatures(torch.rand(1, 4, 13, 13), torch.ones(1, 5, 5), Grid(13, 13, 1.5))
    with torch.inference_mode():
        match(ClipFeatures(torch.rand(1, 4, 9, 9), torch.ones(1, 9, 9), grid), tiles)
    learned = torch.rand(1, 4, 9, 9, requires_grad=True)
    match(ClipFeatures(learned, torch.ones(1, 9, 9), grid), tiles).scores.sum().backward()
    assert learned.grad is not None
    assert learned.grad.abs().sum() > 0


def test_many_volumes_are_decoded_each_by_itself():
    scores = torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    whole = ScoreVolume(scores, 1.5, (0.4, -0.2)).decode(3.0)
    for clip in range(2):
        for tile in range(3):
            alone = ScoreVolume(scores[clip, tile], 1.5, (0.4, -0.2)).decode(3.0)
            for name in ("score", "offset_m", "covariance_m2"):
                torch.testing.assert_close(getattr(whole, name)[clip, tile], getattr(alone, name))


def test_the_offset_is_the_mean_of_the_cells_around_the_best():
    """Weighted by exp(sharpness score); cells two away, however good, do not count, and neither do rows and columns."""
    scores = torch.zeros(7, 7)
    scores[3, 3], scores[2, 4], scores[3, 5], scores[1, 3], scores[4, 2] = 1.0, 0.8, 0.95, 0.9, 0.5
    near = {(3, 3): 1.0, (2, 4): 0.8, (4, 2): 0.5}
    weight = {(row, col): math.exp(4 * near.get((row, col), 0.0)) for row in (2, 3, 4) for col in (2, 3, 4)}
    total = sum(weight.values())
    east_m = sum(w * (col - 3) * 2.0 for (_, col), w in weight.items()) / total
    north_m = sum(w * (3 - row) * 2.0 for (row, _), w in weight.items()) / total
    found = ScoreVolume(scores, 2.0, (0.5, 0.25)).decode(4.0)
    torch.testing.assert_close(found.offset_m, torch.tensor([east_m + 0.5, north_m + 0.25]))


def test_the_covariance_is_that_of_the_whole_volume_about_the_offset():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    found = ScoreVolume(scores, 2.0).decode(1.5)
    weight = (1.5 * scores).flatten().softmax(dim=0)
    spread_m = Grid(5, 5, 2.0).cell_centers_xy_m(torch.float32).reshape(-1, 2) - found.offset_m
    expected_m2 = sum(w * torch.outer(d, d) for w, d in zip(weight, spread_m, strict=True)) + torch.eye(2) * 4 / 12
    torch.testing.assert_close(found.covariance_m2, expected_m2)


def test_cells_of_clip_and_tile_beside_each_other_shift_all_displacements():
    """The offset is that of the vehicle in the tile: the tile's cells lie 1 m east of the clip's."""
    clip, tiles = features()
    east = MapFeatures(tiles.descriptor, tiles.uncertainty, Grid(16, 16, 1.5, (1.3, -0.8)))
    volume = match(clip, east)
    assert volume.center_xy_m == pytest.approx((1.0, -0.5))
    torch.testing.assert_close(volume.scores, match(clip, tiles).scores)
    moved_m = volume.decode(5.0).offset_m - match(clip, tiles).decode(5.0).offset_m
    torch.testing.assert_close(moved_m, torch.tensor([1.0, -0.5]).expand(2, 3, 2))


@pytest.mark.parametrize(("rows", "cols"), [(15, 15), (16, 18), (16, 14), (9, 9), (8, 8)])
def test_a_window_is_square_odd_and_not_negative(rows, cols):
    clip, tiles = features()
    with pytest.raises(ValueError, match="no window"):
        match(clip, MapFeatures(tiles.descriptor, tiles.uncertainty, Grid(rows, cols, 1.5, (0.3, -0.3))))


def test_a_window_of_one_displacement():
    clip, tiles = features()
    whole = MapFeatures(
        tiles.descriptor[..., 3:13, 3:13], tiles.uncertainty[:, 3:4, 3:4], Grid(10, 10, 1.5, (0.3, -0.3))
    )
    torch.testing.assert_close(match(clip, whole).scores, match(clip, tiles).scores[..., 3:4, 3:4])


def test_blocks_hold_no_more_than_they_may(monkeypatch):
    """Of pairs, and of the numbers that the transforms of a block's tiles take."""
    clip, tiles = features(clips=5, tiles=7)
    blocks = []
    plain = ClipSpectra.correlation
    monkeypatch.setattr(
        ClipSpectra, "correlation", lambda own, tile: blocks.append((len(own.energy), len(tile))) or plain(own, tile)
    )
    expected = match(clip, tiles).scores
    assert blocks == [(5, 7)]
    numbers_a_map = Correlation(4, 16, 16, 7).numbers_a_map
    for name, most, sizes in (
        ("_CLIPS", 2, [(2, 7), (2, 7), (1, 7)]),
        ("_PAIRS", 10, [(5, 2)] * 3 + [(5, 1)]),
        ("_NUMBERS", 3 * numbers_a_map, [(5, 3), (5, 3), (5, 1)]),
        ("_NUMBERS", 1, [(5, 1)] * 7),
    ):
        blocks.clear()
        with monkeypatch.context() as patch:
            patch.setattr(f"cvlnet.model.ssm.{name}", most)
            torch.testing.assert_close(match(clip, tiles).scores, expected)
        assert blocks == sizes


def test_weights_in_half_precision_are_multiplied_in_single():
    clip, tiles = features()
    half = ClipFeatures(clip.descriptor.half(), clip.weight.half(), CLIP)
    scores = match(half, tiles).scores
    again = match(ClipFeatures(half.descriptor.float(), half.weight.float(), CLIP), tiles).scores
    assert scores.dtype == torch.float32
    assert torch.equal(scores, again)


def test_where_nothing_is_seen_nothing_is_learned_and_no_gradient_breaks():
    clip, tiles = features()
    descriptor = clip.descriptor.clone().requires_grad_()
    weight = clip.weight.clone()
    weight[0] = 0
    match(ClipFeatures(descriptor, weight, CLIP), tiles).scores.sum().backward()
    assert descriptor.grad.isfinite().all()
    assert not descriptor.grad[0].any()
    assert descriptor.grad[1].any()


def test_what_the_map_does_not_show_neither_speaks_for_a_place_nor_against_it():
    """The clip is seen whole, cut to what the map shows, and not at all."""
    clip, tiles = features(clips=1, tiles=1)
    even = MapFeatures(tiles.descriptor.clone(), torch.ones(1, 7, 7), TILE)
    even.descriptor[..., 5:] = 0
    shown = ClipFeatures(clip.descriptor, clip.weight.clone(), CLIP)
    shown.weight[..., 5:] = 0
    unseen = energy_shares(clip)[..., 5:].sum(dim=(1, 2))
    assert 0.2 < float(unseen) < 0.8
    found = with_unseen(match(clip, even).scores[0, 0, 3, :1], unseen, 0.7)
    expected = (1 - unseen) * match(shown, even).scores[0, 0, 3, :1] + unseen * 0.7
    torch.testing.assert_close(found, expected)
    assert with_unseen(torch.tensor([0.9, 0.0]), torch.tensor([0.0, 1.0]), 0.7).tolist() == pytest.approx([0.9, 0.7])


def test_the_shares_of_a_clip_s_cells_are_those_of_its_energy():
    clip, _ = features(clips=2)
    clip.weight[1] = 0
    shares = energy_shares(clip)
    ratio = clip.weight[0, 2, 3] * clip.descriptor[0, :, 2, 3].square().sum()
    ratio = ratio / (clip.weight[0, 7, 1] * clip.descriptor[0, :, 7, 1].square().sum())
    torch.testing.assert_close(shares[0, 2, 3] / shares[0, 7, 1], ratio)
    torch.testing.assert_close(shares.sum(dim=(1, 2)), torch.tensor([1.0, 0.0]))
