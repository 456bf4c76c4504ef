import math

import pytest
import torch

from cvlnet.model.variants.sequences import (
    Conv2dSequence,
    Conv3dSequence,
    FuseConv2d,
    FuseConv3d,
    FuseLstm,
    FuseMax,
    FuseMean,
    FuseTransformer,
    LstmCell,
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


def test_a_cell_of_the_lstm_by_hand():
    """Gates in the order entry, forget, exit, candidate; one pixel, all gates from the biases."""
    cell = LstmCell(CHANNELS).eval()
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    norms = [layer for layer in cell.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.ones_(norm.weight)
        norm.eps = 0.0
    entry, forget, leave, candidate = 0.3, -0.4, 0.9, 1.2
    with torch.no_grad():
        cell.gates[0].bias.copy_(torch.tensor([entry, forget, leave, candidate]).repeat_interleave(8))
        cell.out[0].weight[:, :, 1, 1] = 2 * torch.eye(8)
        out, hidden, memory = cell(
            torch.zeros(1, CHANNELS, 1, 1), torch.zeros(1, 8, 1, 1), torch.full((1, 8, 1, 1), 0.7)
        )

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    kept = sigmoid(forget) * 0.7 + sigmoid(entry) * math.tanh(candidate)
    said = sigmoid(leave) * math.tanh(kept)
    torch.testing.assert_close(memory, torch.full((1, 8, 1, 1), kept))
    torch.testing.assert_close(hidden, torch.full((1, 8, 1, 1), said))
    torch.testing.assert_close(out, torch.full((1, 8, 1, 1), 2 * said))


@pytest.mark.parametrize(
    ("frames", "lengths"), [(1, (1, 1, 1)), (2, (1, 1, 2)), (4, (1, 2, 2)), (8, (2, 4, 2)), (16, (4, 8, 2))]
)
def test_how_far_fuse_conv3d_reaches(frames, lengths):
    assert conv3d_lengths(frames) == lengths
    fusion = FuseConv3d(CHANNELS, lengths).eval()
    assert fusion.least_pictures == sum(length - 1 for length in lengths) + 1
    shortest = torch.randn(1, fusion.least_pictures, CHANNELS, 4, 4)
    with torch.no_grad():
        assert fusion(shortest, torch.ones(1, fusion.least_pictures, 4, 4).bool()).shape == (1, CHANNELS, 4, 4)
        with pytest.raises(RuntimeError):
            fusion(shortest[:, 1:], torch.ones(1, fusion.least_pictures - 1, 4, 4).bool())


def test_mean_and_max_by_hand(visible):
    frames = torch.arange(4.0).reshape(1, 4, 1, 1, 1).expand(2, 4, 3, 5, 7) + 1  # 1 to 4
    visible = visible.clone()
    visible[:, 1, 2] = False  # 1, 3 and 4 are seen
    mean, largest = FuseMean()(frames, visible), FuseMax()(-frames, visible)
    assert mean[0, 0, :3, 0].tolist() == pytest.approx([1.0, 0.0, 8 / 3])
    assert largest[0, 0, :3, 0].tolist() == [-1.0, 0.0, -1.0]


@pytest.mark.parametrize(
    "name", ["vis_Conv2D", "vis_Conv3D", "vis_LSTM", "fuse_Conv2D", "fuse_Conv3D", "fuse_LSTM", "fuse_Transformer"]
)
def test_evidence_is_looked_at_and_not_fused(name, visible):
    """Two channels of evidence beside the features: they change what comes out, which has the features' channels."""
    make = {
        "vis_Conv2D": lambda: VisibilityWeighted(Conv2dSequence(CHANNELS + 2), CHANNELS),
        "vis_Conv3D": lambda: VisibilityWeighted(Conv3dSequence(CHANNELS + 2), CHANNELS),
        "vis_LSTM": lambda: VisibilityWeighted(LstmSequence(CHANNELS + 2), CHANNELS),
        "fuse_Conv2D": lambda: FuseConv2d(CHANNELS, 2),
        "fuse_Conv3D": lambda: FuseConv3d(CHANNELS, conv3d_lengths(FRAMES), 2),
        "fuse_LSTM": lambda: FuseLstm(CHANNELS, 2),
        "fuse_Transformer": lambda: FuseTransformer(CHANNELS, 2),
    }[name]
    torch.manual_seed(0)
    fusion, frames = make().eval(), torch.randn(2, FRAMES, CHANNELS + 2, 5, 7)
    changed = frames.clone()
    changed[:, :, CHANNELS:] += torch.randn(2, FRAMES, 2, 5, 7)
    with torch.no_grad():
        before, after = fusion(frames, visible), fusion(changed, visible)
    assert before.shape == (2, CHANNELS, 5, 7)
    assert (after - before).abs().max() > 1e-6


@pytest.mark.parametrize("as_published", [False, True])
def test_the_order_of_the_published_states_is_passed_on(as_published):
    assert FuseLstm(CHANNELS, as_published=as_published).sequence.as_published == as_published
    assert not FuseLstm(CHANNELS).sequence.as_published
    assert not LstmSequence(CHANNELS).as_published


def test_attention_is_that_of_two_heads_and_two_layers():
    fusion = FuseTransformer(CHANNELS).eval()
    assert len(fusion.layers) == 2
    layer, torch_frames = (
        fusion.layers[0],
        torch.randn(1, 3, CHANNELS, 2, 2, generator=torch.Generator().manual_seed(3)),
    )
    with torch.no_grad():
        encoded = (torch_frames + frame_encoding(3, CHANNELS, torch_frames))[0]
        key, query, value = (part(encoded) for part in (layer.key, layer.query, layer.value))
        mixed = torch.zeros(3, CHANNELS, 2, 2)
        for head in (slice(0, 3), slice(3, 6)):
            for row, col in ((0, 0), (0, 1), (1, 0), (1, 1)):
                k, q, v = (part[:, head, row, col] for part in (key, query, value))
                mixed[:, head, row, col] = (q @ k.mT / math.sqrt(3)).softmax(dim=1) @ v
        torch.testing.assert_close(layer(torch_frames)[0], layer.out(mixed))
