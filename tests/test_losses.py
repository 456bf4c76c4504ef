import math

import pytest
import torch

from cvlnet import losses
from cvlnet.grid import Grid


def others(clips, tiles):
    return ~torch.eye(clips, tiles, dtype=torch.bool)


def test_info_nce_by_hand():
    log_scores = torch.zeros(2, 2, 1, 1)
    log_scores[0, 0] = log_scores[1, 1] = math.log(3)
    assert float(losses.info_nce(log_scores, others(2, 2))) == pytest.approx(math.log(4 / 3))


def test_info_nce_with_a_tile_of_no_clip_by_hand():
    log_scores = torch.zeros(2, 3, 1, 1)
    log_scores[0, 0] = log_scores[1, 1] = math.log(3)
    among_tiles, among_clips = math.log(5 / 3), math.log(4 / 3)
    assert float(losses.info_nce(log_scores, others(2, 3))) == pytest.approx((among_tiles + among_clips) / 2)


def test_soft_margin_by_hand():
    scores = torch.zeros(2, 2, 1, 1)
    scores[0, 0] = scores[1, 1] = 0.5  # distances: 1 of the pairs, 2 of the others
    assert float(losses.soft_margin(scores, others(2, 2), 3.0)) == pytest.approx(math.log1p(math.exp(-3)))


def test_soft_margin_with_a_tile_of_no_clip_by_hand():
    scores = torch.zeros(2, 3, 1, 1)
    scores[0, 0] = scores[1, 1] = 0.5
    scores[:, 2] = 0.5  # as near as the right ones
    among_tiles, among_clips = (math.log1p(math.exp(-3)) + math.log(2)) / 2, math.log1p(math.exp(-3))
    assert float(losses.soft_margin(scores, others(2, 3), 3.0)) == pytest.approx((among_tiles + among_clips) / 2)


@pytest.mark.parametrize("loss", [losses.info_nce, lambda s, n: losses.soft_margin(s, n, 10.0)])
def test_pairs_that_are_no_negatives_do_not_count(loss):
    torch.manual_seed(0)
    scores, negative = torch.randn(3, 5, 1, 1), others(3, 5)
    negative[0, 1] = negative[2, 4] = False
    changed = scores.clone()
    changed[0, 1] = changed[2, 4] = 9.0
    assert float(loss(changed, negative)) == float(loss(scores, negative))


def test_displacement_by_hand():
    uniform = torch.zeros(1, 3, 3)
    assert float(losses.displacement(uniform, torch.tensor([[0.0, 0.0]]), 1.0)) == pytest.approx(math.log(9))
    sure = uniform.clone()
    sure[0, 0, 2] = 50  # one step north, one east
    assert float(losses.displacement(sure, torch.tensor([[2.0, 2.0]]), 2.0)) == pytest.approx(0, abs=1e-6)


def test_target_has_the_offset_as_its_mean():
    grid = Grid(5, 5, 2.0)
    offset_m = torch.tensor([[1.3, -2.2], [0.0, 0.0], [-3.9, 3.1]])
    target = losses.bilinear_target(offset_m, grid)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(target @ grid.cell_centers_xy_m(torch.float32).reshape(-1, 2), offset_m)


def test_target_outside_the_window_is_its_edge():
    target = losses.bilinear_target(torch.tensor([[99.0, 0.0]]), Grid(3, 3, 1.0)).reshape(3, 3)
    assert float(target[1, 2]) == 1.0


@pytest.mark.parametrize("loss", [losses.info_nce, lambda s, n: losses.soft_margin(s, n, 10.0)])
def test_better_pairs_lose_less(loss):
    torch.manual_seed(0)
    scores = torch.randn(4, 4, 3, 3)
    better = scores + 0.5 * torch.eye(4)[:, :, None, None]
    assert float(loss(better, others(4, 4))) < float(loss(scores, others(4, 4)))
