import pytest
import torch

from cvlnet.model.fuse import VisibilityFusion, photo_consistency, visible_softmax
from cvlnet.model.project import ProjectedFrames


def frames_of(features, visible=None):
    visible = torch.ones_like(features[:, :, 0], dtype=torch.bool) if visible is None else visible
    ray_m = torch.full((*features.shape[:2], 2, *features.shape[-2:]), 5.0)
    return ProjectedFrames(features * visible.unsqueeze(2), visible, ray_m)


def test_softmax_is_over_the_frames_that_see():
    visible = torch.tensor([[True, True, False], [True, False, False], [False, False, False]]).T.reshape(1, 3, 1, 3)
    weight = visible_softmax(torch.zeros(1, 3, 1, 3), visible)
    torch.testing.assert_close(weight[0, :, 0].T, torch.tensor([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]))


def test_consistency_tells_the_odd_frame():
    same = torch.ones(1, 4, 8, 2, 2)
    same[:, 2] = torch.tensor([1.0, -1] * 4)[:, None, None]
    agreement = photo_consistency(same, torch.ones(1, 4, 2, 2, dtype=torch.bool))
    torch.testing.assert_close(agreement[0, :, 0, 0], torch.tensor([2 / 3, 2 / 3, 0, 2 / 3]))


def test_consistency_of_one_frame_is_zero():
    agreement = photo_consistency(torch.rand(1, 1, 8, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.bool))
    torch.testing.assert_close(agreement, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("seed", range(5))
def test_an_occluder_in_one_of_four_frames_matters_less_than_in_one_of_one(seed):
    torch.manual_seed(seed)
    fusion = VisibilityFusion(8, 8)
    clean = torch.rand(1, 1, 8, 12, 12).expand(1, 4, -1, -1, -1)
    occluded = clean.clone()
    occluded[:, 0, :, 4:8, 4:8] = 3 * torch.randn(8, 1, 1)

    def change(count):
        return (fusion(frames_of(occluded[:, :count])) - fusion(frames_of(clean[:, :count]))).norm()

    with torch.no_grad():
        assert change(1) > 0
        assert change(4) < change(1)


def test_order_and_unseen_frames_do_not_matter():
    torch.manual_seed(0)
    fusion = VisibilityFusion(8, 8)
    features = torch.rand(2, 4, 8, 6, 6)
    visible = torch.rand(2, 4, 6, 6) > 0.3
    visible[:, 3] = False
    with torch.no_grad():
        fused = fusion(frames_of(features, visible))
        reordered = fusion(frames_of(features[:, [2, 0, 3, 1]], visible[:, [2, 0, 3, 1]]))
        fewer = fusion(frames_of(features[:, :3], visible[:, :3]))
    torch.testing.assert_close(fused, reordered)
    torch.testing.assert_close(fused, fewer)
    assert (fused[(~visible.any(1)).unsqueeze(1).expand_as(fused)] == 0).all()
