"""The authors' weights: read, checked, converted, and run as any other network."""

import math
import pickle

import pytest
import torch

from cvlnet.checkpoint import convert, load_model, load_network
from cvlnet.errors import InputError
from cvlnet.geometry import Camera, Pose
from cvlnet.model.published.network import PublishedVariant, ReferenceNetwork, decode_as_published, our_name, scores
from cvlnet.model.published.weights import PublishedNetwork, lengths_over_time, published_network, read_published
from cvlnet.model.ssm import match
from cvlnet.types import Clip, ClipFeatures, MapFeatures

NAME = "vis_Conv2D-Geometry-sim0-stereo0-s2"


def published_names(variant):
    """Names that `our_name` maps onto all of a vis_Conv2D network's."""
    ours = ReferenceNetwork(variant).state_dict()
    back = {}
    for name in ours:
        guess = name
        for ours_part, theirs in (
            ("overhead_encoder.backbone.features.", "SatFeatureNet.model.0."),
            ("ground_encoder.backbone.features.", "GrdFeatureNet.model.0."),
            ("overhead_encoder.reduce.0.", "SatFeatureNet.model.1."),
            ("overhead_encoder.reduce.2.", "SatFeatureNet.model.3."),
            ("ground_encoder.reduce.0.", "GrdFeatureNet.model.1."),
            ("ground_encoder.reduce.2.", "GrdFeatureNet.model.3."),
            ("overhead_head.", "SatDownch."),
            ("ground_head.", "GrdDownch."),
            ("uncertainty.convs.", "UncertaintyNet.convs."),
            ("fusion.visibility.", "FuseNet.convs."),
        ):
            guess = guess.replace(ours_part, theirs)
        if guess.startswith("fusion.sequence.convs."):
            number, rest = guess.removeprefix("fusion.sequence.convs.").split(".", 1)
            guess = f"FuseNet.SeqNet.{int(number) + 1}.{rest}"
        assert our_name(guess, variant) == name
        back[name] = guess
    return back


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    variant = PublishedVariant.parse(NAME)
    network = ReferenceNetwork(variant)
    path = tmp_path_factory.mktemp("published") / "model_4.pth"
    names = published_names(variant)
    torch.save({f"module.{names[key]}": tensor for key, tensor in network.state_dict().items()}, path)
    return path, network.eval()


def test_a_converted_checkpoint_gives_the_scores_of_the_network(checkpoint, tmp_path):
    path, reference = checkpoint
    convert(path, NAME, tmp_path / "ours.safetensors")
    network, provenance = load_network(tmp_path / "ours.safetensors")
    assert isinstance(network, PublishedNetwork)
    assert provenance.published == NAME
    images = torch.randint(0, 256, (1, 2, 3, 64, 256), dtype=torch.uint8)
    tiles = torch.randint(0, 256, (1, 3, 512, 512), dtype=torch.uint8)
    camera = Camera(torch.tensor([[[150.0, 140.0]] * 2]), torch.tensor([[[128.0, 30.0], [126.0, 28.0]]]), 256, 64)
    zero, xyz_m = torch.zeros(1, 2), torch.tensor([[[0.3, -0.2, 1.65], [-4.0, 1.0, 1.65]]])
    yaw_rad = torch.tensor([[0.7, -0.4]])
    looks_ahead = Pose(torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), torch.zeros(3))
    clip = Clip(images, camera, Pose.from_euler(zero, zero, yaw_rad, xyz_m) @ looks_ahead)
    with torch.no_grad():
        volume = match(network.encode_clip(clip), network.encode_map(tiles))
        k = torch.tensor([[[[150.0, 0, 128], [0, 140, 30], [0, 0, 1]], [[150.0, 0, 126], [0, 140, 28], [0, 0, 1]]]])
        ground = reference.encode_ground(images / 255, k, xyz_m[..., :2], yaw_rad, network.clip_grid.cell_m)
        expected = scores(ground, *reference.encode_overhead(tiles / 255))
    assert volume.scores.std() > 0.01
    torch.testing.assert_close(volume.scores, expected, rtol=1e-4, atol=1e-5)


def test_the_offset_is_decoded_on_the_true_grid():
    network = PublishedNetwork(PublishedVariant.parse(NAME))
    cell_m = network.clip_grid.cell_m
    assert cell_m == pytest.approx(16 * 0.19583, abs=1e-3)
    # the same scene: a descriptor at overhead cell (r, c) has its centre half a cell from that corner
    descriptor = torch.rand(1, 4, 38, 38)
    clip = ClipFeatures(descriptor[:, :, 3:35, 4:36], torch.ones(1, 32, 32), network.clip_grid)
    volume = match(clip, MapFeatures(descriptor, torch.ones(1, 7, 7), network.map_grid))
    true, published = volume.decode(1e4), decode_as_published(volume, 1e4)
    torch.testing.assert_close(true.offset_m[0, 0], torch.tensor([1.5, -0.5]) * cell_m, atol=1e-3, rtol=0)
    torch.testing.assert_close(published.offset_m[0, 0], torch.tensor([0.5, 0.5]) * cell_m * 32 / 38, atol=1e-3, rtol=0)
    assert torch.equal(true.score, published.score)
    assert math.isclose(network.sharpness.item(), 20.0, rel_tol=1e-5)


def test_keys_that_do_not_fit_are_listed(checkpoint):
    path, _ = checkpoint
    tensors = read_published(path)
    tensors["SatDownch.0.weight"] = torch.zeros(3)
    tensors["Surplus.weight"] = tensors.pop("GrdDownch.2.weight")
    with pytest.raises(InputError) as told:
        published_network(PublishedVariant.parse(NAME), tensors, path)
    assert "missing (as they are called here) ground_head.2.weight; unknown Surplus.weight" in str(told.value)
    assert "of another shape SatDownch.0.weight" in str(told.value)


def test_another_variant_is_refused_before_anything_is_written(checkpoint, tmp_path):
    with pytest.raises(InputError, match="do not fit vis_LSTM"):
        convert(checkpoint[0], "vis_LSTM-Geometry-sim0-stereo0-s2", tmp_path / "ours.safetensors")
    with pytest.raises(InputError, match="not a variant's name"):
        convert(checkpoint[0], "vis_LSTM", tmp_path / "ours.safetensors")
    assert not (tmp_path / "ours.safetensors").exists()


class Exploit:
    def __reduce__(self):
        return print, ("code was executed",)


def test_code_in_a_checkpoint_is_not_executed(tmp_path, capsys):
    torch.save({"weight": Exploit()}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"weight": Exploit()}, protocol=2))
    (tmp_path / "text.pth").write_text("nothing")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("zip", "plain", "text", "list", "missing"):
        with pytest.raises(InputError, match="no state dict inside"):
            read_published(tmp_path / f"{name}.pth")
    assert "executed" not in capsys.readouterr().out


def test_the_reach_over_time_is_read_from_the_kernels():
    variant = PublishedVariant.parse("fuse_Conv3D-Reshape-sim0-stereo1-s2")
    with torch.device("meta"):
        usual, short = PublishedNetwork(variant), PublishedNetwork(variant, (1, 1, 2))
    assert lengths_over_time(usual.state_dict()) == (1, 2, 2)
    assert lengths_over_time(short.state_dict()) == (1, 1, 2)
    assert lengths_over_time({}) is None


def test_a_published_network_searches_no_region(checkpoint, tmp_path):
    convert(checkpoint[0], NAME, tmp_path / "ours.safetensors")
    with pytest.raises(InputError, match="encodes single tiles only"):
        load_model(tmp_path / "ours.safetensors")
