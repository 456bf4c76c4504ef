from math import radians

import numpy as np
import pytest
import torch

from cvlnet.checkpoint import load_model
from cvlnet.data.clips import ClipSpec
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.predict import pitches_of, predict
from cvlnet.evaluation.report.cases import best_and_worst, examine, feature_colors
from cvlnet.evaluation.report.sheets import case_sheet, ellipse_of
from cvlnet.evaluation.report.theme import DAY, save_png
from cvlnet.grid import Grid
from cvlnet.types import ClipFeatures, MapFeatures
from predictions import driven, predictions_of


def test_best_and_worst_are_apart_and_none_is_both():
    fixes = best_fixes(driven(), "test2")
    best, worst = best_and_worst(fixes, 3)
    assert best[0] == fixes.error_m.argmin()
    assert worst[0] == fixes.error_m.argmax()
    assert not set(best) & set(worst)
    for rows in (best, worst):
        away_m = np.linalg.norm(fixes.true_xy_m[rows][:, None] - fixes.true_xy_m[rows], axis=-1)
        assert away_m[~np.eye(3, dtype=bool)].min() >= 50


@pytest.mark.parametrize(("count", "expected"), [(1, ([0], [])), (2, ([0], [1])), (3, ([0, 1], [2]))])
def test_few_queries_give_few_cases(count, expected):
    xy_m = np.arange(1.0, count + 1)[:, None, None] * [1.0, 0.0]
    assert best_and_worst(best_fixes(predictions_of(np.zeros((count, 2)), xy_m), "test2"), 3) == expected


def test_like_descriptors_have_like_colours_and_the_unseen_none():
    generator = torch.Generator().manual_seed(0)
    described = torch.rand((2, 4, 10, 10), generator=generator)
    weight = torch.ones(1, 6, 6)
    weight[:, :, :2] = 0
    clip = ClipFeatures(described[:1, :, 2:8, 2:8], weight, Grid(6, 6, 1.0))
    clip_rgba, tile_rgb = feature_colors(clip, MapFeatures(described, torch.ones(2, 5, 5), Grid(10, 10, 1.0)))
    assert (clip_rgba[:, :2, 3] == 0).all()
    assert (clip_rgba[:, 2:, 3] == 255).all()
    apart = np.abs(clip_rgba[:, 2:, :3].astype(int) - tile_rgb[0, 2:8, 4:8]).mean()
    shuffled = np.abs(clip_rgba[:, 2:, :3].astype(int) - tile_rgb[1, 2:8, 4:8]).mean()
    assert apart < 0.3 * shuffled


def test_a_clip_that_sees_nothing_has_no_colours():
    clip = ClipFeatures(torch.zeros(1, 4, 6, 6), torch.zeros(1, 6, 6), Grid(6, 6, 1.0))
    clip_rgba, _ = feature_colors(clip, MapFeatures(torch.rand(1, 4, 10, 10), torch.ones(1, 5, 5), Grid(10, 10, 1.0)))
    assert (clip_rgba[..., 3] == 0).all()


def test_ellipse_by_hand():
    half_axes_m, turn_deg = ellipse_of(np.diag([1.0, 9.0]))
    np.testing.assert_allclose(half_axes_m, [3.0, 1.0])
    assert turn_deg % 180 == pytest.approx(90.0)


def test_a_query_run_again_gives_the_fix_of_the_predictions(small_data, weights, tmp_path):
    model, _ = load_model(weights)
    spec = ClipSpec(model.image_spec, frames=2, way_m=3.0)
    predictions = predict(model, small_data, spec)
    fixes = best_fixes(predictions, "test2")
    (case,) = examine(model, small_data, spec, predictions, "test2", [5], labels=True)
    assert case.query_id == predictions.query_ids[fixes.query[5]]
    assert case.best.id == predictions.tile_ids[fixes.tile[5]]
    center_m = predictions.tile_xy_m[fixes.tile[5]]
    # predictions keep features in half precision
    np.testing.assert_allclose(center_m + case.best.found_m, fixes.xy_m[5], atol=0.05)
    np.testing.assert_allclose(center_m + case.best.true_m, fixes.true_xy_m[5], atol=1e-6)
    assert np.linalg.norm(case.nearest.true_m) < 6
    assert case.ages_s == pytest.approx((0.0, 0.3))
    assert [frame.shape for frame in case.frames] == [(32, 128, 3)] * 2
    save_png(case_sheet(case, DAY), tmp_path / "case.png")
    assert (tmp_path / "case.png").stat().st_size > 5_000


def test_a_query_is_run_again_under_the_pitch_that_it_was_found_with(small_data, weights):
    """Of all queries one that another pitch than the described one finds elsewhere."""
    model, _ = load_model(weights)
    spec = ClipSpec(model.image_spec, frames=2, way_m=3.0)
    described = best_fixes(predict(model, small_data, spec), "test2")
    predictions = predict(model, small_data, spec, pitch_error_rad=radians(15.0))
    fixes = best_fixes(predictions, "test2")
    (row, *_) = np.flatnonzero(np.linalg.norm(fixes.xy_m - described.xy_m, axis=1) > 1.0).tolist()
    to_try = pitches_of(model, radians(15.0))
    (case,) = examine(model, small_data, spec, predictions, "test2", [row], labels=True, to_try=to_try)
    center_m = predictions.tile_xy_m[fixes.tile[row]]
    np.testing.assert_allclose(center_m + case.best.found_m, fixes.xy_m[row], atol=0.05)


def test_pictures_of_two_cameras_are_of_one_moment(tiny_town, weights):
    model, _ = load_model(weights)
    spec = ClipSpec(model.image_spec, frames=2, camera_ids=(2, 3))
    predictions = predict(model, tiny_town, spec, most_queries=2)
    (case,) = examine(model, tiny_town, spec, predictions, "test2", [0], labels=False)
    assert case.ages_s == pytest.approx((0.0, 0.0, 0.9, 0.9), abs=0.01)  # all that the drive has
    assert len(case_sheet(case, DAY).get_axes()) == 4 + 6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("labels", [False, True])
def test_labels_are_shown_if_the_network_has_learned_them(small_data, weights, labels, precision, monkeypatch):
    monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: True)
    model, _ = load_model(weights, precision)
    spec = ClipSpec(model.image_spec, frames=1)
    predictions = predict(model, small_data, spec)
    (case,) = examine(model, small_data, spec, predictions, "test2", [5], labels=labels)
    titles = [axes.get_title(loc="left") for axes in case_sheet(case, DAY).get_axes()]
    assert any("recognised" in title for title in titles) == labels
