import numpy as np

from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.report.tables import markdown, metres, percent, tables
from cvlnet.evaluation.summary import figures_of
from predictions import driven, predictions_of


def test_numbers_carry_unit_and_interval():
    assert percent(Interval(0.5, 0.25, 0.75)) == "50.0 % (25.0 to 75.0)"
    assert metres(Interval(3.14, 2.0, 120.4)) == "3.1 m (2.0 to 120)"
    assert metres(Interval(np.nan, np.nan, np.nan)) == "none to count"
    assert metres(Interval(3.14, np.nan, np.nan)) == "3.1 m"


def test_each_figure_stands_in_the_column_of_its_gallery():
    recall = tables(figures_of(driven()))[0]
    assert recall.header == ("", "tiles that hold a query (Test-1)", "with distractor tiles (Test-2)")
    assert [row[0] for row in recall.rows[:3]] == ["queries / tiles", "recall@1 within 5 m", "recall@5 within 5 m"]
    assert recall.rows[0][1] == "60 / 8"


def test_markdown_aligns_and_holds_every_table():
    xy_m = [[[3.0, 0.0]], [[0.0, 90.0]]]
    text = markdown(tables(figures_of(predictions_of(np.zeros((2, 2)), xy_m))))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| recall@1 within 5 m    |" in text
    assert "50.0 %" in text
    assert len({len(row) for row in rows[:5]}) == 1
    assert text.count("###") == 4
