import numpy as np
import pytest

from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.report.plots import error_histograms, precision_over_answered, recall_over_radius
from cvlnet.evaluation.report.theme import DAY, NIGHT, THEMES, error_class, save_png
from predictions import driven, predictions_of


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_recall_rises_to_the_shares_of_the_figures(theme):
    predictions = driven()
    (axes,) = recall_over_radius(predictions, theme).axes
    lines = {line.get_label().split(":")[0]: line for line in axes.get_lines()}
    assert set(lines) == {"test1 @1", "test1 @10", "test2 @1", "test2 @10"}
    radius_m, share = lines["test2 @1"].get_data()
    at_ten = share[np.searchsorted(radius_m, 10.0)]
    assert at_ten == pytest.approx((best_fixes(predictions, "test2").error_m <= 10).mean())
    assert (np.diff(share) >= 0).all()
    assert (lines["test2 @10"].get_ydata() >= share).all()


def test_precision_ends_at_the_share_of_right_fixes_and_starts_with_the_surest():
    xy_m = [[[1.0, 0.0], [50.0, 0.0]], [[60.0, 0.0], [2.0, 0.0]]]
    predictions = predictions_of(np.zeros((2, 2)), xy_m, score=[[0.9, 0.1], [0.6, 0.5]])
    (axes,) = precision_over_answered(predictions, "test2", DAY).axes
    answered, right = axes.get_lines()[0].get_data()
    assert answered.tolist() == [0.5, 1.0]
    assert right.tolist() == [1.0, 0.5]


def test_every_query_stands_in_the_histogram():
    everyone, axiswise = error_histograms(driven(), "test2", NIGHT).axes
    assert sum(bar.get_height() for bar in everyone.patches) == 60
    assert len(axiswise.get_legend().get_texts()) == 2


def test_plots_survive_that_nothing_is_found(tmp_path):
    predictions = predictions_of(np.zeros((3, 2)), [[[80.0, 0.0]], [[np.nan, 0.0]], [[0.0, 900.0]]])
    for plot in (error_histograms, precision_over_answered):
        save_png(plot(predictions, "test2", DAY), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("error_m", "expected"), [(0.0, 0), (5.0, 0), (5.1, 1), (25.0, 2), (26.0, 3), (np.inf, 3), (np.nan, 3)]
)
def test_classes_of_errors(error_m, expected):
    assert error_class(error_m) == expected
