import json
import time

import numpy as np
import pytest

from cvlnet.evaluation.summary import figures_of, stretch_of_road
from predictions import driven, predictions_of


def test_recall_by_hand():
    xy_m = [[[4.0, 0.0], [90.0, 0.0]], [[90.0, 0.0], [7.0, 0.0]], [[90.0, 0.0], [95.0, 0.0]], [[9.0, 0.0], [1.0, 0.0]]]
    split = figures_of(predictions_of(np.zeros((4, 2)), xy_m)).splits["test2"]
    assert split.recall_at(1, 5.0).value == 0.25
    assert split.recall_at(5, 5.0).value == 0.5
    assert split.recall_at(1, 10.0).value == 0.5
    assert split.recall_at(5, 10.0).value == 0.75
    assert split.recall_at(100, 25.0).value == 0.75
    assert (split.queries, split.gallery, split.stretches) == (4, 2, 1)
    with pytest.raises(KeyError, match=r"recall@2 within 10\.0 m"):
        split.recall_at(2, 10.0)


def test_errors_by_hand():
    split = figures_of(predictions_of(np.zeros((3, 2)), [[[0.0, 1.0]], [[2.0, 0.0]], [[0.0, 99.0]]])).splits["test2"]
    assert split.median_m.value == 2.0
    assert split.mean_m.value == pytest.approx(34.0)
    assert split.p95_m.value == pytest.approx(2.0 + 0.9 * 97.0)


def test_accuracy_counts_axes_and_bases_apart():
    # three vehicles heading east: 0.5 m beside, 4 m ahead, and lost 99 m to the left
    split = figures_of(predictions_of(np.zeros((3, 2)), [[[0.0, 0.5]], [[4.0, 0.0]], [[0.0, 99.0]]])).splits["test2"]
    found, everyone = split.accuracy_found, split.accuracy_all
    assert split.found.value == pytest.approx(2 / 3)
    assert (found.lateral.median_m.value, found.longitudinal.median_m.value) == (0.25, 2.0)
    assert (found.longitudinal.within_3m.value, found.longitudinal.within_5m.value) == (0.5, 1.0)
    assert (everyone.lateral.median_m.value, everyone.longitudinal.median_m.value) == (0.5, 0.0)
    assert everyone.lateral.within_1m.value == pytest.approx(2 / 3)


def test_calibration_counts_only_what_is_found():
    covariance_m2 = np.tile(np.diag([4.0, 4.0]), (4, 1, 1, 1))
    xy_m = [[[1.0, 0.0]], [[3.0, 0.0]], [[5.0, 0.0]], [[50.0, 0.0]]]
    split = figures_of(predictions_of(np.zeros((4, 2)), xy_m, covariance_m2=covariance_m2)).splits["test2"]
    assert split.within_1_sigma.value == pytest.approx(1 / 3)
    assert split.within_2_sigma.value == pytest.approx(2 / 3)


def test_calibration_of_true_gaussians_is_39_and_86_percent():
    rng = np.random.default_rng(0)
    covariance_m2 = np.array([[2.0, 0.8], [0.8, 1.0]])
    true_xy_m = rng.uniform(0, 5000, (4000, 2))
    xy_m = true_xy_m + rng.multivariate_normal([0, 0], covariance_m2, 4000)
    given = np.tile(covariance_m2, (4000, 1, 1, 1))
    split = figures_of(predictions_of(true_xy_m, xy_m[:, None], covariance_m2=given)).splits["test2"]
    assert split.within_1_sigma.low < 1 - np.exp(-1 / 2) < split.within_1_sigma.high
    assert split.within_2_sigma.low < 1 - np.exp(-2) < split.within_2_sigma.high


def test_intervals_hold_the_value_and_widen_when_neighbours_repeat():
    rng = np.random.default_rng(1)
    places_m, shift_m = np.arange(40) * 60.0, rng.exponential(4.0, 40)
    apart = np.stack([places_m, np.zeros(40)], axis=-1)
    fixes = apart + np.stack([np.zeros(40), shift_m], axis=-1)
    once = figures_of(predictions_of(apart, fixes[:, None])).splits["test2"].recall_at(1, 5.0)
    repeated = (
        figures_of(predictions_of(apart.repeat(9, 0), fixes.repeat(9, 0)[:, None])).splits["test2"].recall_at(1, 5.0)
    )
    assert once.low < once.value < once.high
    assert (repeated.low, repeated.value, repeated.high) == pytest.approx((once.low, once.value, once.high))


def test_stretches_are_places_not_times():
    xy_m = np.array([[10.0, 10.0], [30.0, 20.0], [70.0, 10.0], [12.0, 12.0], [-1.0, 10.0]])
    assert stretch_of_road(xy_m)[[0, 1, 3]].tolist() == [stretch_of_road(xy_m)[0]] * 3
    assert len(set(stretch_of_road(xy_m).tolist())) == 3


def test_json_is_plain_and_says_null_where_nothing_was_found(tmp_path):
    figures = figures_of(predictions_of(np.zeros((2, 2)), [[[80.0, 0.0]], [[0.0, 90.0]]]))
    figures.save(tmp_path / "figures.json")
    read = json.loads((tmp_path / "figures.json").read_text())
    split = read["splits"]["test2"]
    assert read["format"] == 1
    assert split["recall"][0] == {"rank": 1, "radius_m": 5.0, "share": {"value": 0.0, "low": None, "high": None}}
    assert split["within_1_sigma"]["value"] is None
    assert split["accuracy_found"]["lateral"]["median_m"]["value"] is None
    assert split["accuracy_all"]["lateral"]["median_m"]["value"] == 45.0


def test_every_gallery_has_its_figures():
    figures = figures_of(driven())
    assert set(figures.splits) == {"test1", "test2"}
    assert figures.splits["test1"].queries == 60


def test_thousands_of_queries_take_seconds():
    rng = np.random.default_rng(0)
    true_xy_m = rng.uniform(0, 3000, (5000, 2))
    xy_m = true_xy_m[:, None] + rng.normal(0, 5, (5000, 100, 2))
    predictions = predictions_of(true_xy_m, xy_m)
    start = time.process_time()
    figures_of(predictions)
    assert time.process_time() - start < 10  # 1.5 s on an idle machine
