"""Confidence: fitted to rankings, kept with the weights, told with every fix."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cvlnet.calibrate import calibrate, fit_to, judged_fixes
from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.confidence import Confidence
from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.evaluate import Predictions
from cvlnet.figures import figures_of
from cvlnet.fixes import best_fixes, unmapped_fixes
from cvlnet.model.build import build_model
from cvlnet.provenance import Provenance
from cvlnet.train import fingerprint
from predictions import driven, predictions_of

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)


def spread(predictions):
    """Predictions whose tiles lie where their fixes do, three of eight near the truth, so that a map can end there."""
    ranking = predictions.rankings["test2"]
    near = np.arange(8) < 3
    xy_m = np.where(near[:, None], ranking.xy_m[:, :1], ranking.xy_m + 500)
    count = len(xy_m)
    tile = np.arange(count * 8).reshape(count, 8)
    changed = replace(ranking, xy_m=xy_m, tile=tile)
    return replace(
        predictions, rankings={"test2": changed}, tile_xy_m=xy_m.reshape(-1, 2), tile_ids=tuple(map(str, tile.ravel()))
    )


def test_without_their_places_all_queries_are_wrong():
    predictions = spread(driven(wrong=0.0))
    fixes, unmapped = best_fixes(predictions, "test2"), unmapped_fixes(predictions, "test2")
    assert unmapped is not None
    assert (fixes.error_m < 10).all()
    assert (unmapped.error_m > 50).all()
    assert (unmapped.score < fixes.score).all()


def test_no_map_is_left_where_all_tiles_are_near():
    predictions = driven()
    here = replace(predictions, tile_xy_m=np.zeros((8, 2)), true_xy_m=np.zeros((60, 2)))
    assert unmapped_fixes(here, "test2") is None


def test_a_map_ends_for_each_query_by_itself():
    """Three queries of four ranked tiles, one of them with none near it, one with one left, one with two left."""
    tile_xy_m = np.array([[0.0, 0.0], [60.0, 0.0], [120.0, 0.0], [180.0, 0.0]])
    tile = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 2, 3]])
    xy_m = tile_xy_m[tile] + np.array([1.0, 0.0])
    predictions = predictions_of([[500.0, 0.0], [60.0, 0.0], [30.0, 0.0]], xy_m, score=[[0.9, 0.7, 0.6, 0.2]] * 3)
    ranking = replace(predictions.rankings["test2"], tile=tile)
    mapped = replace(predictions, tile_xy_m=tile_xy_m, rankings={"test2": ranking})
    unmapped = unmapped_fixes(mapped, "test2")
    assert unmapped.query.tolist() == [0, 1, 2]
    assert unmapped.tile.tolist() == [0, 0, 2]  # 500 m away all are left; of 60 m the others; of 30 m the far ones
    assert unmapped.score.tolist() == [0.9, 0.7, 0.6]
    np.testing.assert_allclose(unmapped.margin, [0.2, 0.1, 0.4])
    np.testing.assert_allclose(unmapped.xy_m[:, 0], [1.0, 1.0, 121.0])
    closer = replace(mapped, true_xy_m=np.array([[500.0, 0.0], [60.0, 0.0], [90.0, 0.0]]))
    assert unmapped_fixes(closer, "test2").query.tolist() == [0, 1, 2]
    none_left = replace(mapped, true_xy_m=np.array([[500.0, 0.0], [60.0, 0.0], [90.0, 0.0]]))
    few = replace(none_left, tile_xy_m=np.array([[0.0, 0.0], [60.0, 0.0], [95.0, 0.0], [99.0, 0.0]]))
    assert unmapped_fixes(few, "test2").query.tolist() == [0]


def test_a_fitted_confidence_is_told_by_the_figures(tmp_path):
    predictions = spread(driven(count=1200))
    confidence = fit_to([predictions])
    told = replace(predictions, confidence=confidence)
    told.save(tmp_path / "predictions.npz")
    read = Predictions.load(tmp_path / "predictions.npz")
    assert read.confidence == confidence
    trusted = figures_of(read).splits["test2"].trusted
    assert trusted is not None
    assert trusted.precision.value >= 0.985
    assert 0 < trusted.coverage.value < 1
    assert trusted.unmapped is not None
    assert trusted.unmapped.value < 0.05
    assert trusted.share_mapped == 0.5
    # half of the queries are on the map and half are not, each with the share of answers that it has
    answers = trusted.coverage.value + trusted.unmapped.value
    assert trusted.overall.value == pytest.approx(trusted.coverage.value * trusted.precision.value / answers)
    rare = figures_of(replace(read, confidence=replace(confidence, share_mapped=0.1))).splits["test2"].trusted
    answers = 0.1 * trusted.coverage.value + 0.9 * trusted.unmapped.value
    assert rare.overall.value == pytest.approx(0.1 * trusted.coverage.value * trusted.precision.value / answers)
    assert figures_of(predictions).splits["test2"].trusted is None


def test_the_weights_keep_their_confidence_and_everything_else(tiny_town, tmp_path, monkeypatch):
    save_tensors(tmp_path / "w.safetensors", build_model(MODEL).state_dict(), Provenance(MODEL, step=7))
    known = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9)
    monkeypatch.setattr("cvlnet.calibrate.fit_to", lambda predictions, share_mapped: known.with_prior(share_mapped))
    asked = {"most_queries": 2, "share_mapped": 0.7, "progress": False}
    calibrate(tmp_path / "w.safetensors", [tiny_town], tmp_path / "out.safetensors", **asked)
    network, provenance = load_network(tmp_path / "out.safetensors")
    assert provenance == Provenance(MODEL, step=7, confidence=known.with_prior(0.7))
    before, _ = load_tensors(tmp_path / "w.safetensors")
    assert all(np.array_equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_data_for_tests_and_networks_that_find_nothing_are_refused(tiny_town, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"role": "test", "tile": {"m_per_px": 0.2, "size_px": 800}}))
    save_tensors(tmp_path / "w.safetensors", build_model(MODEL).state_dict(), Provenance(MODEL))
    with pytest.raises(InputError, match="for tests, not for validation"):
        calibrate(tmp_path / "w.safetensors", [tmp_path], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_data_that_the_weights_were_trained_on_is_warned_of(tiny_town, tmp_path, monkeypatch, caplog):
    data = (fingerprint(tiny_town),)
    save_tensors(tmp_path / "w.safetensors", build_model(MODEL).state_dict(), Provenance(MODEL, data=data))
    monkeypatch.setattr(
        "cvlnet.calibrate.fit_to", lambda predictions, share_mapped: Confidence(0.0, 0.0, 0.0, 0.0, 0.5)
    )
    calibrate(tmp_path / "w.safetensors", [tiny_town], tmp_path / "w.safetensors", most_queries=1, progress=False)
    assert [record.message for record in caplog.records if "trained on" in record.message] == [
        f"{tiny_town}: the weights were trained on this, their confidence will be too high; use other data"
    ]


def test_judged_fixes_say_of_which_kind_they_are():
    judged = judged_fixes(spread(driven(count=50)), "test2")
    assert len(judged) == 100
    assert judged.mapped.tolist() == [True] * 50 + [False] * 50
    assert not judged.right[~judged.mapped].any()
    assert judged.right[judged.mapped].mean() > 0.6
    np.testing.assert_array_equal(judged.stretch[:50], judged.stretch[50:])
    assert len(set(judged.stretch)) > 5
