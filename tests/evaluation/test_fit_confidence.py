"""Confidence: fitted to rankings, kept with the weights, told with every fix."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.config import ModelConfig
from cvlnet.data.fingerprint import fingerprint
from cvlnet.errors import InputError
from cvlnet.evaluation.fit_confidence import calibrate, fit_to, judged_fixes
from cvlnet.evaluation.predict import Predictions
from cvlnet.evaluation.summary import figures_of
from cvlnet.model.build import build_model
from cvlnet.model.confidence import Confidence
from cvlnet.model.provenance import Provenance
from predictions import driven, spread

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)


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
    monkeypatch.setattr(
        "cvlnet.evaluation.fit_confidence.fit_to", lambda predictions, share_mapped: known.with_prior(share_mapped)
    )
    areas_m2 = []

    def neutral_score(predictions, split, tile_m2):
        areas_m2.append(tile_m2)
        return 0.9

    monkeypatch.setattr("cvlnet.evaluation.fit_confidence.neutral_score", neutral_score)
    asked = {"most_queries": 2, "share_mapped": 0.7, "progress": False}
    calibrate(tmp_path / "w.safetensors", [tiny_town], tmp_path / "out.safetensors", **asked)
    network, provenance = load_network(tmp_path / "out.safetensors")
    expected = replace(known.with_prior(0.7), neutral=0.9)
    assert provenance == Provenance(MODEL, step=7, confidence=expected)
    assert areas_m2 == pytest.approx([(network.steps * network.map_grid.cell_m) ** 2])
    assert network.steps == 5
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
        "cvlnet.evaluation.fit_confidence.fit_to", lambda predictions, share_mapped: Confidence(0.0, 0.0, 0.0, 0.0, 0.5)
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
