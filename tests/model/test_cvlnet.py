import math
from dataclasses import replace
from typing import get_args

import pytest
import torch

from cvlnet.config import Fusion, ModelConfig
from cvlnet.grid import Grid
from cvlnet.model.build import build_model
from cvlnet.model.cvlnet import bounded, feature_grid
from cvlnet.model.encoder import PaperEncoder, Pyramid
from formulas import by_formula, bytes_of, waves

SMALL = ModelConfig(image_width_px=128, image_height_px=64, clip_cells=16, window_cells=2, channels=8)
PAPER = ModelConfig(
    "vgg16", image_width_px=128, image_height_px=64, overhead_m_per_px=0.196, clip_cells=20, window_cells=1, channels=4
)


@pytest.mark.parametrize("config", [SMALL, PAPER])
def test_the_chain_gives_a_volume_for_every_pair(config, make_clip):
    torch.manual_seed(0)
    model = build_model(config).eval()
    side = model.tile_grid.rows
    tiles = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    with torch.no_grad():
        clip = model.encode_clip(make_clip([0.1, 2.0]))
        volume = model(make_clip([0.1, 2.0]), tiles)
    steps = 2 * config.window_cells + 1
    assert volume.scores.shape == (2, 3, steps, steps)
    assert volume.scores.isfinite().all()
    assert 0 < (clip.weight > 0).float().mean() < 1
    assert clip.grid.cell_m == pytest.approx(config.overhead_m_per_px * model.overhead_encoder.stride)


@pytest.mark.parametrize(("encoder", "row", "col", "half_cells"), [(Pyramid, 30, 33, 0.375), (PaperEncoder, 7, 8, 0.0)])
def test_map_features_lie_where_the_grid_says(encoder, row, col, half_cells):
    """The pixels that act on a feature have their middle where the feature's cell has its centre, to a thousandth.

    EfficientNet's features lie off the middle of their cells, to the south-east: the grid around its tile is not the
    tile's own. Positive weights keep every unit open, so that influence is even; pooling by the mean makes it exact.
    """
    pixels = Grid(256, 256, 0.4, (7.0, -3.0))
    network = encoder(4).double().eval()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    if encoder is PaperEncoder:
        layers = network.backbone.features
        for index in [i for i, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]:
            layers[index] = torch.nn.AvgPool2d(2)
    image = torch.full((1, 3, 256, 256), 0.5, dtype=torch.float64, requires_grad=True)
    network(image)[0, :, row, col].sum().backward()
    influence = image.grad[0].sum(dim=0).flatten()
    middle_m = (influence @ pixels.cell_centers_xy_m().reshape(-1, 2)) / influence.sum()
    grid = feature_grid(pixels, network.stride, network.first_center_px)
    place_m = grid.xy_m(torch.tensor([float(row), float(col)], dtype=torch.float64))
    torch.testing.assert_close(middle_m, place_m, atol=1e-3 * grid.cell_m, rtol=0)
    off_m = half_cells * grid.cell_m
    assert grid.center_xy_m == pytest.approx((7.0 + off_m, -3.0 - off_m))


@pytest.mark.parametrize("config", [SMALL, PAPER])
def test_map_and_clip_have_the_grid_of_their_features(config):
    model = build_model(config)
    encoder = model.overhead_encoder
    assert model.tile_grid == Grid(*2 * [config.tile_cells * encoder.stride], config.overhead_m_per_px)
    assert model.map_grid == feature_grid(model.tile_grid, encoder.stride, encoder.first_center_px)
    assert model.clip_grid == replace(model.map_grid, rows=config.clip_cells, cols=config.clip_cells)


def test_bfloat16_says_nearly_the_same_and_is_taken_only_where_the_device_has_it(make_clip, monkeypatch):
    torch.manual_seed(0)
    model = build_model(SMALL).eval()
    tiles = torch.randint(0, 256, (2, 3, *2 * [model.tile_grid.rows]), dtype=torch.uint8)
    with torch.no_grad():
        exact = model(make_clip([0.1, 2.0]), tiles).scores
        model.precision = "bfloat16"
        monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: False)
        elsewhere = model(make_clip([0.1, 2.0]), tiles).scores
        monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: True)
        rounded = model(make_clip([0.1, 2.0]), tiles).scores
    assert torch.equal(elsewhere, exact)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).std()) < 0.03 * float(exact.std())


def test_frames_of_any_number(make_clip):
    model = build_model(SMALL).eval()
    with torch.no_grad():
        for frames in (1, 2, 16):
            assert model.encode_clip(make_clip([0.5], frames=frames)).descriptor.isfinite().all()


def test_paper_configuration():
    model = build_model(ModelConfig.paper_like())
    assert model.map_grid.cell_m == pytest.approx(3.133, abs=1e-3)
    assert model.map_grid.center_xy_m == (0.0, 0.0)
    assert (model.clip_grid.rows, model.window_cells) == (32, 3)


PLAIN = replace(SMALL, heights_m=(0.0,), ground_trunk="convolution")
VARIANTS = [
    *(replace(PLAIN, fusion=fusion) for fusion in get_args(Fusion)),
    *(replace(PLAIN, fusion=fusion, consistency=True) for fusion in get_args(Fusion) if "_" in fusion),
    *(replace(PLAIN, projection=projection) for projection in ("images", "unet", "reshape")),
    replace(PLAIN, window_cells=0),
    replace(PLAIN, projection="polar", window_cells=0, uncertainty=False),
    replace(PLAIN, uncertainty=False),
    replace(PAPER, heights_m=(0.0,), projection="images", clip_cells=8),
]


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_every_variant_matches_and_learns(config, make_clip):
    torch.manual_seed(0)
    model = build_model(config)
    side = model.tile_grid.rows
    tiles = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    volume = model(make_clip([0.1, 2.0]), tiles)
    assert volume.scores.shape == (2, 3, model.steps, model.steps)
    volume.scores.square().sum().backward()
    learned = [p.grad for name, p in model.named_parameters() if "_labels" not in name and "sharpness" not in name]
    assert all(grad is not None and grad.isfinite().all() for grad in learned)


def test_without_uncertainty_scores_are_correlations(make_clip):
    torch.manual_seed(0)
    model = build_model(replace(SMALL, uncertainty=False)).eval()
    tiles = torch.randint(0, 256, (3, 3, model.tile_grid.rows, model.tile_grid.rows), dtype=torch.uint8)
    with torch.no_grad():
        assert (model.encode_map(tiles).uncertainty == 1).all()
        assert model(make_clip([0.1]), tiles).scores.abs().max() <= 1 + 1e-5


def test_the_network_s_answers_are_the_known_ones(make_clip):
    """Of weights and pictures that follow from formulas: descriptors, weights, uncertainty, labels, scores."""
    model = by_formula(build_model(replace(SMALL, descriptor_channels=4)))
    clip, tiles = make_clip([0.1, 2.0]), bytes_of(waves(2, 3, 80, 80))
    clip = replace(clip, images=bytes_of(waves(2, 4, 3, 64, 128, seed=7)))
    with torch.no_grad():
        ground, seen = model.clip_features(clip)
        overhead = model.overhead_features(tiles)
        clips, maps = model.describe_clips(ground, seen), model.describe_tiles(overhead)
        volume = model(clip, tiles)
        found = {
            "clip": clips.descriptor[0, :, 5, 12],
            "weight": clips.weight[0, 4:7, 12],
            "map": maps.descriptor[1, :, 7, 3],
            "uncertainty": maps.uncertainty[1, 1, :3],
            "ground labels": model.ground_labels(ground)[0, ::3, 5, 12],
            "overhead labels": model.overhead_labels(overhead)[1, ::3, 7, 3],
            "scores": volume.scores[:, :, 1, 3].flatten(),
        }
    for name, value in found.items():
        known = torch.tensor(KNOWN[name])
        torch.testing.assert_close(
            value, known, atol=3e-5 * float(known.abs().max()), rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert int(seen.sum()) == pytest.approx(KNOWN_SEEN, abs=2)  # cells at the edge of a frame


KNOWN = {
    "clip": [0.00838277, -0.0315242, -0.0988203, -0.0401095],
    "weight": [0.505053, 0.495198, 0.500909],
    "map": [-0.0746163, -0.197504, -0.0228895, -0.14953],
    "uncertainty": [0.9459, 0.95598, 0.991647],
    "ground labels": [-0.00112675, -0.108113, -0.0169398],
    "overhead labels": [-0.121544, 0.140878, -0.170953],
    "scores": [-0.243825, -0.123199, -0.268794, -0.125255],
}
KNOWN_SEEN = 189


def test_descriptors_are_shorter_than_one():
    descriptor = bounded(torch.tensor([[[[3.0]], [[4.0]]], [[[0.0]], [[0.0]]]]))
    torch.testing.assert_close(descriptor[0, :, 0, 0], torch.tensor([3.0, 4.0]) / math.sqrt(26))
    assert not descriptor[1].any()


def test_uncertainty_is_where_four_cells_meet_and_from_a_half_to_two(make_clip):
    model = build_model(SMALL).eval()
    features = torch.zeros(1, 8, 20, 20)
    first, _, last = model.uncertainty_head
    with torch.no_grad():
        for conv in (first, last):
            conv.weight.zero_()
            conv.bias.zero_()
        last.weight[0, 0, 1, 1] = first.weight[0, 0, 1, 1] = 1.0
        assert torch.equal(model.describe_overhead(features)[1], torch.ones(1, 19, 19))
        features[0, 0, 6, 9] = 2.0  # a quarter of it at each corner of the cell
        _, corners = model.describe_overhead(features)
        expected = torch.ones(19, 19)
        expected[5:7, 8:10] = math.exp(math.log(2) * math.tanh(0.5))
        torch.testing.assert_close(corners[0], expected)
        last.bias.fill_(-100.0)
        torch.testing.assert_close(model.describe_overhead(features)[1], torch.full((1, 19, 19), 0.5))
        last.bias.fill_(100.0)
        torch.testing.assert_close(model.describe_overhead(features)[1], torch.full((1, 19, 19), 2.0))


def test_the_window_s_uncertainty_is_that_of_its_displacements():
    """The middle one is that of the tile's centre, where the four cells in its middle meet."""
    model = build_model(SMALL).eval()
    corners = torch.arange(19 * 19.0).reshape(1, 19, 19)
    window = model._of_tiles(torch.zeros(1, 16, 20, 20), corners).uncertainty[0]
    assert window.shape == (5, 5)
    assert window[2, 2] == corners[0, 9, 9]
    assert window[0, 4] == corners[0, 7, 11]


def test_unseen_cells_are_described_by_nothing(make_clip):
    model = build_model(SMALL).eval()
    with torch.no_grad():
        ground, seen = model.clip_features(make_clip([0.3]))
        clips = model.describe_clips(ground, seen)
    assert 0 < seen.float().mean() < 1
    assert not clips.descriptor[~seen.unsqueeze(1).expand_as(clips.descriptor)].any()
    assert not clips.weight[~seen].any()
    assert (clips.weight[seen] > 0).all()
    assert (clips.weight <= 1).all()


def test_bytes_become_shares_laid_out_channels_last():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    shares = build_model(SMALL).normalize(images)
    torch.testing.assert_close(shares[0, :, 2, 2], torch.tensor([0.0, 0.2, 1.0]))
    assert shares.is_contiguous(memory_format=torch.channels_last)


def test_frames_are_encoded_once_for_any_clip(make_clip):
    """Frame by frame, of any batch shape, and fused afterwards: the same as a clip at once."""
    model, clip = build_model(SMALL).eval(), make_clip([0.1, 2.0])
    with torch.no_grad():
        encoded = model.encode_frames(clip.images)
        each = torch.stack(
            [torch.cat([model.encode_frames(frame[None]) for frame in frames]) for frames in clip.images]
        )
        torch.testing.assert_close(encoded, each, atol=1e-5, rtol=1e-4)
        features, seen = model.fuse_frames(encoded, clip.camera, clip.ground_from_cam)
        whole, whole_seen = model.clip_features(clip)
    torch.testing.assert_close(features, whole)
    assert torch.equal(seen, whole_seen)


def test_polar_networks_are_not_metric():
    assert build_model(SMALL).is_metric
    polar = build_model(replace(PLAIN, projection="polar", window_cells=0, uncertainty=False))
    assert not polar.is_metric
    assert polar.map_grid == polar.clip_grid == Grid(8, 64, 1.6)


@pytest.mark.parametrize("encode", ["encode_map", "encode_clip"])
def test_descriptors_are_in_single_precision_under_autocast(encode, make_clip):
    model = build_model(SMALL).eval()
    asked = make_clip([0.1]) if encode == "encode_clip" else torch.zeros(1, 3, 80, 80, dtype=torch.uint8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features = getattr(model, encode)(asked)
    assert features.descriptor.dtype == torch.float32
    assert (features.weight if encode == "encode_clip" else features.uncertainty).dtype == torch.float32


def test_the_smallest_clip_has_an_uncertainty_at_every_displacement() -> None:
    model = build_model(replace(SMALL, clip_cells=2, window_cells=1)).eval()
    with torch.inference_mode():
        tiles = model.encode_map(torch.zeros(1, 3, model.tile_grid.rows, model.tile_grid.cols, dtype=torch.uint8))
    assert tiles.uncertainty.shape == (1, 3, 3)
