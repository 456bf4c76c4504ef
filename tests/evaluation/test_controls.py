from dataclasses import replace
from math import pi, radians

import numpy as np
import pytest
import torch

from cvlnet.config import EvaluationConfig, ModelConfig
from cvlnet.data.clips import ClipSpec
from cvlnet.evaluation.controls import (
    ALONG_RAD,
    Replaced,
    axes_rad,
    between_rad,
    controlled,
    guesses,
    of_another_drive,
    shuffled,
)
from cvlnet.evaluation.predict import encode, predict
from cvlnet.evaluation.report import evaluate_and_report
from cvlnet.model.build import build_model
from cvlnet.model.confidence import Confidence

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(MODEL).eval()


@pytest.fixture(scope="module")
def encoded(model, tiny_town):
    return encode(model, tiny_town, ClipSpec(model.image_spec, frames=2), most_queries=6)


def test_encoding_first_changes_no_prediction(model, tiny_town, encoded):
    predictions = predict(model, tiny_town, ClipSpec(model.image_spec, frames=2), most_queries=6)
    apart = encoded.predictions(model)
    assert apart.query_ids == predictions.query_ids
    for name, ranking in predictions.rankings.items():
        np.testing.assert_array_equal(apart.rankings[name].xy_m, ranking.xy_m)


def test_only_the_pictures_of_a_sample_are_replaced(encoded):
    other = np.roll(np.arange(len(encoded.queries)), 1)
    for number in range(len(encoded.queries)):
        own, blank = encoded.samples[number], Replaced(encoded.samples, None)[number]
        swapped = Replaced(encoded.samples, other)[number]
        assert blank.clip.images.unique().tolist() == [127]
        assert torch.equal(swapped.clip.images, encoded.samples[int(other[number])].clip.images)
        assert not torch.equal(swapped.clip.images, own.clip.images)
        for sample in (blank, swapped):
            assert sample.clip.images.shape == own.clip.images.shape
            assert torch.equal(sample.clip.ground_from_cam.translation_m, own.clip.ground_from_cam.translation_m)
            assert (sample.query_id, sample.tile_id) == (own.query_id, own.tile_id)


def test_pictures_come_from_another_drive():
    drives = ["a", "b", "a", "c"] * 5
    other = of_another_drive(drives)
    assert all(drives[there] != drives[here] for here, there in enumerate(other))
    assert len(set(other[:3])) > 1
    assert of_another_drive(["a", "a"]) is None


def test_a_shuffled_map_has_the_same_features_elsewhere(encoded):
    descriptor = encoded.tiles.descriptor
    moved = shuffled(encoded)
    assert moved.tile_ids == encoded.tile_ids
    same = [torch.equal(one, other) for one, other in zip(moved.tiles.descriptor, descriptor, strict=True)]
    assert sum(same) < len(same) / 2
    sums, before = moved.tiles.descriptor.float().sum(dim=(1, 2, 3)), descriptor.float().sum(dim=(1, 2, 3))
    assert torch.equal(sums.sort().values, before.sort().values)


def test_guesses_lie_where_they_may(encoded, tiny_town):
    reach_m = 4.0
    found = guesses(tiny_town, encoded, reach_m)
    assert set(found) == {"any place", "any place on a road", "any place on a road along the heading"}
    for rankings in found.values():
        for name, ranking in rankings.items():
            assert ranking.queries.tolist() == encoded.rows[name].tolist()
            assert np.isin(ranking.tile, encoded.galleries[name]).all()
            assert np.abs(ranking.xy_m - encoded.tile_xy_m[ranking.tile]).max() <= reach_m
            assert len(np.unique(ranking.xy_m.round(3).reshape(-1, 2), axis=0)) > 1


def test_guesses_on_roads_are_where_vehicles_are(encoded, tiny_town):
    # every vehicle stands on a road, so that some guess comes nearer on roads than anywhere
    found = guesses(tiny_town, encoded, 8.0)
    true_xy_m = encoded.true_xy_m[encoded.rows["test2"]]
    within = {
        name: np.mean(np.linalg.norm(rankings["test2"].xy_m - true_xy_m[:, None], axis=-1) <= 20)
        for name, rankings in found.items()
    }
    assert within["any place"] < within["any place on a road along the heading"]


def test_a_data_set_without_labels_has_no_guesses_about_roads(encoded, tmp_path):
    assert set(guesses(tmp_path, encoded, 4.0)) == {"any place"}


def test_the_axis_of_something_long():
    rows, cols = np.mgrid[:60, :60].astype(float)
    for axis_rad in (0.0, 0.4, pi / 2, 2.5):
        # image rows go south
        across = -np.sin(axis_rad) * (cols - 30) - np.cos(axis_rad) * (rows - 30)
        share = (255 * (np.abs(across) < 4)).astype(np.uint8)
        found = axes_rad(share)[30, 30]
        assert between_rad(np.array([found]), axis_rad)[0] < radians(5)


def test_the_angle_between_a_heading_and_an_axis():
    axes = np.array([0.0, pi, pi / 2, -0.1, 0.1 + pi])
    np.testing.assert_allclose(between_rad(axes, 0.0), [0, 0, pi / 2, 0.1, 0.1], atol=1e-12)
    assert (between_rad(axes, 0.05) <= ALONG_RAD).tolist() == [True, True, False, True, True]


def test_controls_with_one_drive_lack_the_other_drives(model, encoded, tiny_town):
    one = replace(encoded, queries=tuple(replace(query, recording="a/b") for query in encoded.queries))
    confidence = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9)
    found = controlled(model, tiny_town, one, confidence)
    assert "pictures of another drive" not in found
    assert found["pictures that show nothing"].confidence == confidence
    assert found["any place"].confidence is None


def test_a_report_with_controls(small_data, weights, tmp_path):
    config = EvaluationConfig(frames=2, cases=0, workers=0, controls=True)
    report = evaluate_and_report(small_data, weights, tmp_path, config, progress=False)
    text = (tmp_path / "figures.md").read_text()
    assert "### Controls: what is found without information from pictures or map" in text
    assert "| any place " in text
    assert "| pictures that show nothing " in text
    assert "without information" in report.page.read_text()
    assert (tmp_path / "controls.json").is_file()
