"""Confidence: fitted to rankings, kept with the weights, told with every fix."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cvlnet.calibrate import calibrate, fit_to
from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.confidence import Confidence
from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.evaluate import Predictions
from cvlnet.figures import figures_of
from cvlnet.fixes import best_fixes, unmapped_fixes
from cvlnet.model.build import build_model
from cvlnet.provenance import Provenance
from predictions import driven

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
    assert (unmapped.similarity < fixes.similarity).all()


def test_no_map_is_left_where_all_tiles_are_near():
    predictions = driven()
    here = replace(predictions, tile_xy_m=np.zeros((8, 2)), true_xy_m=np.zeros((60, 2)))
    assert unmapped_fixes(here, "test2") is None


def test_a_fitted_confidence_is_told_by_the_figures(tmp_path):
    predictions = spread(driven(count=400))
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
    assert figures_of(predictions).splits["test2"].trusted is None


def test_the_weights_keep_their_confidence_and_everything_else(tiny_town, tmp_path, monkeypatch):
    save_tensors(tmp_path / "w.safetensors", build_model(MODEL).state_dict(), Provenance(MODEL, step=7))
    known = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9)
    monkeypatch.setattr("cvlnet.calibrate.fit_to", lambda predictions: known)
    calibrate(tmp_path / "w.safetensors", [tiny_town], tmp_path / "out.safetensors", most_queries=2, progress=False)
    network, provenance = load_network(tmp_path / "out.safetensors")
    assert provenance == Provenance(MODEL, step=7, confidence=known)
    before, _ = load_tensors(tmp_path / "w.safetensors")
    assert all(np.array_equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_data_for_tests_and_networks_that_find_nothing_are_refused(tiny_town, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"role": "test", "tile": {"m_per_px": 0.2, "size_px": 800}}))
    save_tensors(tmp_path / "w.safetensors", build_model(MODEL).state_dict(), Provenance(MODEL))
    with pytest.raises(InputError, match="for tests, not for validation"):
        calibrate(tmp_path / "w.safetensors", [tmp_path], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
