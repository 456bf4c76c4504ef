import copy
import json
from dataclasses import replace
from math import radians

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from cvlnet.config import ModelConfig
from cvlnet.data.clips import AS_DESCRIBED, ClipSpec, pitched, pitches
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples
from cvlnet.errors import InputError
from cvlnet.evaluation.metrics import position_errors_m
from cvlnet.evaluation.predict import (
    PitchedClips,
    Predictions,
    Ranking,
    _take_clips,
    _take_tiles,
    best_of,
    encode_pitched,
    pitches_of,
    predict,
    rank,
)
from cvlnet.model.build import build_model
from cvlnet.model.confidence import Confidence
from cvlnet.types import Clip, ClipFeatures, MapFeatures
from predictions import driven

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(MODEL).eval()


def described(clips):
    return (PitchedClips(AS_DESCRIBED, clips),)


def test_clips_cut_from_tiles_are_found_in_them(model):
    generator = torch.Generator().manual_seed(0)
    descriptor = torch.rand((5, 4, 20, 20), generator=generator) - 0.5
    tiles = MapFeatures(descriptor.half(), torch.ones(5, 5, 5), model.map_grid)
    cuts = [(3, 2, 4), (1, 4, 0)]  # tile, row, column
    cut = torch.stack([descriptor[t, :, r : r + 16, c : c + 16] for t, r, c in cuts])
    clips = ClipFeatures(cut.half(), torch.ones(2, 16, 16).half(), model.clip_grid)
    tile_xy_m = np.arange(10.0).reshape(5, 2) * 100
    ranking = rank(model, described(clips), np.array([1, 0]), tiles, np.array([0, 1, 3, 4]), tile_xy_m)
    assert ranking.queries.tolist() == [1, 0]
    assert ranking.tile[:, 0].tolist() == [1, 3]
    assert ranking.tile.shape == (2, 4)
    assert (np.diff(ranking.score, axis=1) <= 0).all()
    cell_m = model.map_grid.cell_m
    for row, (t, r, c) in enumerate([cuts[1], cuts[0]]):
        expected = tile_xy_m[t] + np.array([c - 2, 2 - r]) * cell_m
        assert np.linalg.norm(ranking.xy_m[row, 0] - expected) < cell_m
    turn_rad = np.array([0.0, 0.3, 0.0, -0.2, 0.0])  # of true north, along which offsets and covariances are measured
    turned = rank(
        model, described(clips), np.array([1, 0]), tiles, np.array([0, 1, 3, 4]), tile_xy_m, tile_turn_rad=turn_rad
    )
    for row, tile in enumerate((1, 3)):
        c, s = np.cos(turn_rad[tile]), np.sin(turn_rad[tile])
        turn = np.array([[c, -s], [s, c]])
        offset_m = ranking.xy_m[row, 0] - tile_xy_m[tile]
        np.testing.assert_allclose(turned.xy_m[row, 0], tile_xy_m[tile] + turn @ offset_m, atol=1e-9)
        np.testing.assert_allclose(
            turned.covariance_m2[row, 0], turn @ ranking.covariance_m2[row, 0] @ turn.T, atol=1e-9
        )


def test_of_several_rankings_every_tile_has_its_best_score():
    def ranking(tile, score):
        xy_m = np.stack([np.array(tile), np.array(score)], axis=-1)
        covariance_m2 = np.broadcast_to(np.eye(2), (*xy_m.shape, 2)).copy()
        return Ranking(np.array([0, 1]), np.array(tile), np.array(score), xy_m, covariance_m2, 9)

    first = ranking([[4, 2, 7], [1, 2, 3]], [[0.9, 0.5, 0.1], [0.9, 0.8, 0.7]])
    other = ranking([[2, 4, 5], [8, 6, 5]], [[0.8, 0.7, 0.6], [0.3, 0.2, 0.1]])
    best = best_of([first, replace(other, score=other.score - 0.05)])
    assert best.tile.tolist() == [[4, 2, 5], [1, 2, 3]]
    assert best.score == pytest.approx(np.array([[0.9, 0.75, 0.55], [0.9, 0.8, 0.7]]))
    assert best.xy_m[0] == pytest.approx(np.array([[4, 0.9], [2, 0.8], [5, 0.6]]))
    assert best.queries.tolist() == [0, 1]
    assert best.gallery_size == 9
    assert best_of([first]) is first


def test_clips_are_encoded_under_every_pitch(model, tiny_town):
    split = read_split(tiny_town, "test1")
    samples = Subset(
        ClipTileSamples(split, read_recordings(split), ClipSpec(model.image_spec, 2), model.tile_grid), [0, 1]
    )
    under = encode_pitched(model, samples, pitches_of(model, radians(3.0)))
    assert [clips.pitch for clips in under] == list(pitches(radians(3.0), model.sharpness.item()))
    assert torch.equal(under[1].features.weight, encode_pitched(model, samples, (AS_DESCRIBED,))[0].features.weight)
    for clips in under:
        own = [pitched(sample.clip, clips.pitch) for sample in (samples[0], samples[1])]
        with torch.inference_mode():
            expected = model.encode_clip(Clip.stack(own))
        torch.testing.assert_close(clips.features.descriptor.float(), expected.descriptor, atol=2e-3, rtol=0)
        torch.testing.assert_close(clips.features.weight.float(), expected.weight, atol=2e-3, rtol=0)


def test_prediction_of_a_town(model, tiny_town, tmp_path):
    spec = ClipSpec(model.image_spec, frames=2)
    predictions = predict(model, tiny_town, spec, most_queries=3)
    test1, test2 = predictions.rankings["test1"], predictions.rankings["test2"]
    assert len(test1.queries) == len(test2.queries) == 3
    assert test1.gallery_size < test2.gallery_size <= len(predictions.tile_ids)
    # every query lies in the window of the tile nearest to it
    nearest_m = position_errors_m(
        np.broadcast_to(predictions.tile_xy_m, (3, *predictions.tile_xy_m.shape)), predictions.true_xy_m
    ).min(axis=1)
    assert (nearest_m < 10).all()
    # a fix lies within the window of its tile
    reach_m = np.abs(test2.xy_m - predictions.tile_xy_m[test2.tile]).max()
    assert 0 < reach_m <= 2 * model.map_grid.cell_m + 1e-3

    predictions.save(tmp_path / "p.npz")
    again = Predictions.load(tmp_path / "p.npz")
    assert again.query_ids == predictions.query_ids
    np.testing.assert_array_equal(again.rankings["test2"].xy_m, test2.xy_m)
    assert again.rankings["test1"].gallery_size == test1.gallery_size


def test_blocks_do_not_change_the_ranking(model, tiny_town, monkeypatch):
    spec = ClipSpec(model.image_spec, frames=1)
    whole = predict(model, tiny_town, spec, splits=("test2",), most_queries=3).rankings["test2"]
    monkeypatch.setattr("cvlnet.evaluation.predict._BLOCK", 2)
    blocked = predict(model, tiny_town, spec, splits=("test2",), most_queries=3).rankings["test2"]
    np.testing.assert_allclose(blocked.score, whole.score, atol=1e-5)


def test_predictions_of_earlier_versions_are_read(tmp_path):
    now = replace(driven(), confidence=Confidence(-1.0, 2.0, 3.0, -0.5, 0.9))
    now.save(tmp_path / "now.npz")
    with np.load(tmp_path / "now.npz") as arrays:
        then = {name.replace("/score", "/similarity"): arrays[name] for name in arrays.files}
    described = json.loads(str(then["described"]))
    known = described["confidence"]
    described["confidence"] = {n: known[n] for n in ("bias", "margin", "log_sigma", "threshold")}
    described["confidence"]["similarity"] = known["score"]
    np.savez(tmp_path / "then.npz", **{**then, "described": np.array(json.dumps(described))})
    read = Predictions.load(tmp_path / "then.npz")
    assert read.confidence == now.confidence
    for name, ranking in now.rankings.items():
        np.testing.assert_array_equal(read.rankings[name].score, ranking.score)


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_files_that_are_no_predictions_get_one_line(tmp_path, content):
    path = tmp_path / "p.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz"):
        Predictions.load(path)


def test_predictions_of_another_program_get_one_line(tmp_path):
    np.savez(tmp_path / "p.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="no predictions inside"):
        Predictions.load(tmp_path / "p.npz")


def test_order_of_queries_does_not_matter(model):
    generator = torch.Generator().manual_seed(1)
    tiles = MapFeatures(torch.rand((4, 4, 20, 20), generator=generator), torch.ones(4, 5, 5), model.map_grid)
    clips = ClipFeatures(torch.rand((3, 4, 16, 16), generator=generator), torch.ones(3, 16, 16), model.clip_grid)
    xy = np.zeros((4, 2))
    forth, back = (
        rank(model, described(clips), np.array(order), tiles, np.arange(4), xy) for order in ([0, 1, 2], [2, 1, 0])
    )
    np.testing.assert_allclose(back.score[::-1], forth.score, atol=1e-6)
    assert replace(forth, queries=back.queries).queries.tolist() == [2, 1, 0]


def test_ranks_are_the_same_on_every_device(model, device):
    generator = torch.Generator().manual_seed(1)
    tiles = MapFeatures(torch.rand((4, 4, 20, 20), generator=generator), torch.ones(4, 5, 5), model.map_grid)
    clips = ClipFeatures(torch.rand((3, 4, 16, 16), generator=generator), torch.ones(3, 16, 16), model.clip_grid)
    here = rank(model, described(clips), np.arange(3), tiles, np.arange(4), np.zeros((4, 2)))
    there = rank(copy.deepcopy(model).to(device), described(clips), np.arange(3), tiles, np.arange(4), np.zeros((4, 2)))
    np.testing.assert_array_equal(there.tile, here.tile)
    np.testing.assert_allclose(there.score, here.score, atol=1e-4)
    np.testing.assert_allclose(there.xy_m, here.xy_m, atol=1e-2)


def test_blocks_are_taken_to_the_device_in_single_precision(model):
    tiles = MapFeatures(torch.rand(4, 4, 20, 20).half(), torch.ones(4, 5, 5), model.map_grid)
    clips = ClipFeatures(torch.rand(3, 4, 16, 16).half(), torch.ones(3, 16, 16).half(), model.clip_grid)
    rows, there = np.array([2, 0]), torch.device("meta")
    tile, clip = _take_tiles(tiles, rows, there), _take_clips(clips, rows, there)
    taken = (tile.descriptor, tile.uncertainty, clip.descriptor, clip.weight)
    assert {tensor.device for tensor in taken} == {there}
    assert {tensor.dtype for tensor in taken} == {torch.float32}
    assert {len(tensor) for tensor in taken} == {2}
    assert torch.equal(_take_clips(clips, rows, model.device).descriptor, clips.descriptor[[2, 0]].float())
