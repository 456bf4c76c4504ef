import math

import pytest
import torch

from cvlnet.model.gvp import ProjectedFrames
from cvlnet.model.pcsf import SequenceFusion, VisibilityFusion, photo_consistency, view_encoding, visible_softmax


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


def test_consistency_is_the_mean_cosine_with_the_frames_that_see_the_cell():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 5, 2, 4)
    visible = torch.rand(2, 3, 2, 4) > 0.4
    agreement = photo_consistency(features * visible.unsqueeze(2), visible)
    for clip, frame, row, col in torch.cartesian_prod(*map(torch.arange, agreement.shape)).tolist():
        others = [i for i in range(3) if i != frame and visible[clip, i, row, col]]
        cosines = [
            torch.nn.functional.cosine_similarity(features[clip, frame, :, row, col], features[clip, i, :, row, col], 0)
            for i in others
        ]
        seen = bool(visible[clip, frame, row, col]) and bool(others)
        expected = torch.stack(cosines).mean() if seen else torch.tensor(0.0)
        torch.testing.assert_close(agreement[clip, frame, row, col], expected, atol=1e-5, rtol=1e-5)


def test_view_encoding_by_hand():
    ray_m = torch.zeros(1, 1, 2, 1, 4)
    ray_m[0, 0, :, 0] = torch.tensor([[20.0, 0.0, -3.0, 0.0], [0.0, -40.0, 4.0, 0.0]])
    expected = torch.tensor(
        [[1.0, 0.0, -0.6, 0.0], [0.0, -1.0, 0.8, 0.0], [0.0, math.log(2), math.log(0.25), -3.0]]  # no nearer than 1 m
    )
    torch.testing.assert_close(view_encoding(ray_m)[0, 0, :, 0], expected)


def only(conv, out, channel, value=1.0):
    """A convolution all of whose weights are zero but that of one input channel, in the middle, to one output."""
    for parameter in conv.parameters():
        torch.nn.init.zeros_(parameter)
    middle = conv.kernel_size[0] // 2
    with torch.no_grad():
        conv.weight[out, channel, middle, middle] = value


def test_frames_that_agree_outweigh_the_odd_one():
    """A visibility that looks at the photo-consistency alone: of four frames the odd one counts for nothing."""
    fusion = VisibilityFusion(8, 1)
    only(fusion.mix, 0, 0)  # the fused map is the features' first channel
    first, _, last = fusion.visibility
    only(first, 0, 4)  # after the mixed channel and the view's three
    only(last, 0, 0, 100.0)
    features = torch.ones(1, 4, 8, 2, 2)
    features[:, 2] = 5 * torch.tensor([1.0, -1] * 4)[:, None, None]
    with torch.no_grad():
        fused = fusion(frames_of(features))
    torch.testing.assert_close(fused, torch.ones(1, 1, 2, 2))


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_view_reaches_the_fused_map_and_the_visibility(channel):
    """Direction (east, north) and distance: as what is fused, and as what decides between two frames."""
    ray_m = torch.tensor([[24.0, 7.0], [-3.0, 4.0]])[None, :, :, None, None]
    frames = ProjectedFrames(torch.zeros(1, 2, 8, 1, 1), torch.ones(1, 2, 1, 1, dtype=torch.bool), ray_m)
    view = view_encoding(ray_m)[0, :, channel, 0, 0]
    fusion = VisibilityFusion(8, 1)
    only(fusion.mix, 0, 8 + channel)
    for conv in (fusion.visibility[0], fusion.visibility[2]):
        only(conv, 0, 0, 0.0)
    with torch.no_grad():
        assert float(fusion(frames)) == pytest.approx(float(view.mean()))
        only(fusion.visibility[0], 0, 1 + channel, 3.0)
        only(fusion.visibility[2], 0, 0, 1.0)
        weight = (3 * view.relu()).softmax(dim=0)
        assert float(fusion(frames)) == pytest.approx(float(weight @ view), rel=1e-5)
    assert abs(float(weight[0]) - 0.5) > 0.05


@pytest.mark.parametrize("consistency", [False, True])
def test_the_paper_s_fusions_are_given_the_consistency_if_they_are_to_be(consistency):
    """Each frame's own after its features, and then the mean of all frames."""
    given = []
    features = torch.randn(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    visible = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)) > 0.3
    frames = frames_of(features, visible)

    class Look(torch.nn.Module):
        def forward(self, inputs, seen):
            given.append((inputs, seen))
            return inputs[:, 0]

    SequenceFusion(Look(), consistency=consistency)(frames)
    ((inputs, seen),) = given
    assert torch.equal(seen, visible)
    assert torch.equal(inputs[:, :, :5], frames.features)
    assert inputs.shape[2] == (7 if consistency else 5)
    if consistency:
        agreement = photo_consistency(frames.features, visible)
        assert torch.equal(inputs[:, :, 5], agreement)
        torch.testing.assert_close(inputs[:, :, 6], agreement.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1))
