import math

import pytest
import torch

from cvlnet.grid import Grid
from cvlnet.training import losses


def own(clips, *steps):
    """Right is everything on a clip's own tile."""
    steps = steps or (1, 1)
    return torch.eye(clips, dtype=torch.bool)[:, :, None, None].repeat(1, 1, *steps)


def test_info_nce_by_hand():
    log_scores = torch.zeros(2, 2, 1, 1)
    log_scores[0, 0] = log_scores[1, 1] = math.log(3)
    assert float(losses.info_nce(log_scores, own(2))) == pytest.approx(math.log(4 / 3))


def test_info_nce_counts_every_right_place():
    log_scores, right = torch.zeros(2, 2, 1, 1), own(2)
    assert float(losses.info_nce(log_scores, right)) == pytest.approx(math.log(2))
    right[0, 1] = True  # the first clip's place lies on the second tile, too
    assert float(losses.info_nce(log_scores, right)) == pytest.approx(math.log(2) / 2)


def test_soft_margin_by_hand():
    scores = torch.zeros(2, 2, 1, 1)
    scores[0, 0] = scores[1, 1] = 0.5  # distances: 1 of the pairs, 2 of the others
    assert float(losses.soft_margin(scores, own(2), 3.0)) == pytest.approx(math.log1p(math.exp(-3)))
    scores = scores.repeat(2, 2, 1, 1)
    right = own(4)
    right[0, 2] = right[1, 3] = right[2, 0] = right[3, 1] = True  # as good as the clip's own
    assert float(losses.soft_margin(scores, right, 3.0)) == pytest.approx(math.log1p(math.exp(-3)))


def test_right_places_by_hand():
    """Two clips on tiles centred at (0, 0) and (4, 0), with displacements of 0 and +-2 m."""
    xy_m = torch.tensor([[1.0, 0.0], [4.0, 0.0]])
    offset_m = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    right = losses.right_places(offset_m, xy_m, Grid(3, 3, 2.0), radius_m=2.0)
    assert right.int().tolist() == [
        [[[0, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 0]]],
        [[[0, 0, 0], [0, 0, 1], [0, 0, 0]], [[0, 1, 0], [1, 1, 1], [0, 1, 0]]],
    ]


def test_a_clip_off_its_tile_s_window_is_right_at_the_edge():
    right = losses.right_places(torch.tensor([[9.0, 0.0]]), torch.zeros(1, 2), Grid(3, 3, 1.0), 5.0)
    assert right[0, 0].int().tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_displacement_by_hand():
    uniform = torch.zeros(1, 3, 3)
    assert float(losses.displacement(uniform, torch.tensor([[0.0, 0.0]]), Grid(3, 3, 1.0))) == pytest.approx(
        math.log(9)
    )
    sure = uniform.clone()
    sure[0, 0, 2] = 50  # one step north, one east
    assert float(losses.displacement(sure, torch.tensor([[2.0, 2.0]]), Grid(3, 3, 2.0))) == pytest.approx(0, abs=1e-6)


def test_target_has_the_offset_as_its_mean():
    grid = Grid(5, 5, 2.0)
    offset_m = torch.tensor([[1.3, -2.2], [0.0, 0.0], [-3.9, 3.1]])
    target = losses.bilinear_target(offset_m, grid)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(target @ grid.cell_centers_xy_m(torch.float32).reshape(-1, 2), offset_m)


def test_target_outside_the_window_is_its_edge():
    target = losses.bilinear_target(torch.tensor([[99.0, 0.0]]), Grid(3, 3, 1.0)).reshape(3, 3)
    assert float(target[1, 2]) == 1.0


@pytest.mark.parametrize("loss", [losses.info_nce, lambda scores, right: losses.soft_margin(scores, right, 10.0)])
def test_better_pairs_lose_less(loss):
    torch.manual_seed(0)
    scores = torch.randn(4, 4, 3, 3)
    better = scores + 0.5 * torch.eye(4)[:, :, None, None]
    assert float(loss(better, own(4, 3, 3))) < float(loss(scores, own(4, 3, 3)))


def test_label_shares_by_hand():
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 0] = 50
    shares = torch.zeros(1, 2, 1, 3, dtype=torch.uint8)
    shares[0, 0, 0, 0] = shares[0, 1, 0, 0] = 255
    assert float(losses.label_shares(logits, shares)) == pytest.approx(2 * math.log(2) * 2 / 3)
    seen = torch.tensor([[[True, False, False]]])
    assert float(losses.label_shares(logits, shares, seen)) == pytest.approx(0, abs=1e-6)


def test_both_directions_count_by_half():
    """Clip 0 is sure of its place; clip 1 is not; of the tiles it is the other way round."""
    log_scores = torch.tensor([[3.0, 1.0], [2.0, 2.0]])[:, :, None, None]
    of_clips = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    of_tiles = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-1))) / 2
    assert float(losses.info_nce(log_scores, own(2))) == pytest.approx((of_clips + of_tiles) / 2)


def test_soft_margin_compares_with_the_tiles_of_a_clip_and_the_clips_of_a_tile():
    """The best score of a pair counts; rows are clips, columns tiles."""
    scores = torch.full((2, 2, 2, 2), -1.0)
    scores[..., 1, 0] = torch.tensor([[0.9, 0.4], [0.7, 0.6]])
    margins = {"tiles of 0": 0.4 - 0.9, "tiles of 1": 0.7 - 0.6, "clips of 0": 0.7 - 0.9, "clips of 1": 0.4 - 0.6}
    expected = sum(math.log1p(math.exp(2 * 5.0 * margin)) for margin in margins.values()) / 4
    assert float(losses.soft_margin(scores, own(2, 2, 2), 5.0)) == pytest.approx(expected)


def test_a_batch_without_negatives_loses_nothing():
    everywhere = torch.ones(2, 2, 1, 1, dtype=torch.bool)
    assert float(losses.soft_margin(torch.zeros(2, 2, 1, 1), everywhere, 10.0)) == 0


def test_right_is_within_five_metres():
    xy_m, offset_m = torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    right = losses.right_places(offset_m, xy_m, Grid(7, 7, 2.0), 5.0)
    assert right[0, 1, 3].tolist() == [False, True, True, True, True, True, False]  # -6 to 6 m
    assert right[0, 1, :, 3].tolist() == right[0, 1, 3].tolist()
    assert not right[0, 1, 1, 1]  # 4 m west and 4 m north


def test_displacement_is_the_mean_over_clips():
    log_scores = torch.zeros(2, 3, 3)
    log_scores[1, 1, 1] = 50
    offsets_m = torch.zeros(2, 2)
    assert float(losses.displacement(log_scores, offsets_m, Grid(3, 3, 1.0))) == pytest.approx(math.log(9) / 2)
    between = torch.tensor([[0.5, 0.0]])
    halves = torch.zeros(1, 3, 3)
    halves[0, 1, 2] = 1.0
    expected = math.log(8 + math.e) - 0.5
    assert float(losses.displacement(halves, between, Grid(3, 3, 1.0))) == pytest.approx(expected)


def test_targets_of_many_clips_are_those_of_each():
    grid, offsets_m = Grid(5, 5, 2.0), torch.tensor([[1.3, -2.2], [-0.4, 3.9], [9.0, -9.0]])
    each = torch.cat([losses.bilinear_target(offset_m[None], grid) for offset_m in offsets_m])
    torch.testing.assert_close(losses.bilinear_target(offsets_m, grid), each)
    double = losses.bilinear_target(offsets_m.double(), grid)
    assert double.dtype == torch.float64
    assert float(each.sum()) == pytest.approx(3)


def test_labels_are_learned_in_single_precision():
    logits, shares = torch.full((1, 1, 2, 2), 9.3), torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    rounded = losses.label_shares(logits.bfloat16(), shares)
    assert rounded.dtype == torch.float32
    assert float(rounded) == pytest.approx(math.log1p(math.exp(-float(logits.bfloat16()[0, 0, 0, 0]))), rel=1e-5)
