import pytest
import torch

from cvlnet.model.sequences import (
    Conv2dSequence,
    Conv3dSequence,
    FuseConv2d,
    FuseConv3d,
    FuseLstm,
    FuseMax,
    FuseMean,
    FuseTransformer,
    LstmSequence,
    VisibilityWeighted,
    conv3d_lengths,
    frame_encoding,
)

CHANNELS, FRAMES = 6, 4
SEQUENCES = {"Conv2D": Conv2dSequence, "Conv3D": Conv3dSequence, "LSTM": LstmSequence}
FUSIONS = {
    "vis_Conv2D": lambda: VisibilityWeighted(Conv2dSequence(CHANNELS), CHANNELS),
    "vis_Conv3D": lambda: VisibilityWeighted(Conv3dSequence(CHANNELS), CHANNELS),
    "vis_LSTM": lambda: VisibilityWeighted(LstmSequence(CHANNELS), CHANNELS),
    "fuse_Conv2D": lambda: FuseConv2d(CHANNELS),
    "fuse_Conv3D": lambda: FuseConv3d(CHANNELS, conv3d_lengths(FRAMES)),
    "fuse_LSTM": lambda: FuseLstm(CHANNELS),
    "fuse_Transformer": lambda: FuseTransformer(CHANNELS),
    "mean": FuseMean,
    "max": FuseMax,
}


@pytest.fixture
def frames():
    torch.manual_seed(0)
    return torch.randn(2, FRAMES, CHANNELS, 5, 7)


@pytest.fixture
def visible():
    seen = torch.ones(2, FRAMES, 5, 7, dtype=torch.bool)
    seen[:, 1:, 0] = False  # the first row is seen by the newest frame only
    seen[:, :, 1] = False  # the second by none
    return seen


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_gives_one_map_and_learns(name, frames, visible):
    fusion = FUSIONS[name]()
    given = frames.clone().requires_grad_()
    fused = fusion(given, visible)
    assert fused.shape == (2, CHANNELS, 5, 7)
    fused.square().sum().backward()
    assert given.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in fusion.parameters())


@pytest.mark.parametrize("name", ["vis_Conv2D", "vis_Conv3D", "vis_LSTM", "mean", "max"])
def test_only_frames_that_see_a_cell_count_there(name, frames, visible):
    with torch.no_grad():
        fused = FUSIONS[name]().eval()(frames, visible)
    torch.testing.assert_close(fused[:, :, 0], frames[:, 0, :, 0])
    assert not fused[:, :, 1].any()


@pytest.mark.parametrize("name", ["vis_Conv2D", "fuse_Conv2D", "mean", "max"])
def test_order_does_not_matter_to_those_without_time(name, frames):
    fusion, everywhere = FUSIONS[name]().eval(), torch.ones(2, FRAMES, 5, 7, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(fusion(frames.flip(1), everywhere), fusion(frames, everywhere))


@pytest.mark.parametrize("name", ["vis_Conv3D", "vis_LSTM", "fuse_Conv3D", "fuse_LSTM", "fuse_Transformer"])
def test_order_matters_to_those_with_time(name, frames):
    fusion, everywhere = FUSIONS[name]().eval(), torch.ones(2, FRAMES, 5, 7, dtype=torch.bool)
    with torch.no_grad():
        assert (fusion(frames.flip(1), everywhere) - fusion(frames, everywhere)).abs().max() > 1e-4


@pytest.mark.parametrize("name", sorted(set(FUSIONS) - {"fuse_Conv3D"}))
@pytest.mark.parametrize("count", [1, 2, 16])
def test_sequences_of_other_lengths(name, count):
    with torch.no_grad():
        fused = FUSIONS[name]().eval()(torch.randn(1, count, CHANNELS, 4, 4), torch.ones(1, count, 4, 4).bool())
    assert fused.isfinite().all()


def test_published_lstm_changes_its_states_places(frames):
    torch.manual_seed(0)
    ours, published = LstmSequence(CHANNELS).eval(), LstmSequence(CHANNELS, as_published=True).eval()
    published.load_state_dict(ours.state_dict())
    with torch.no_grad():
        a, b = ours(frames), published(frames)
    torch.testing.assert_close(a[:, 0], b[:, 0])  # the first step starts from nothing
    assert (a[:, 1] - b[:, 1]).abs().max() > 1e-4


def test_frame_encoding_by_hand():
    encoding = frame_encoding(2, 4, torch.zeros(1, dtype=torch.float64))[:, :, 0, 0]
    expected = [[0, 1, 0, 1], [0.84147098, 0.54030231, 0.00999983, 0.99995]]
    torch.testing.assert_close(encoding, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)
