import json
from pathlib import Path

import pytest
from maps import PICTURE, write_metric

from cvlnet.imagery.credit import credit_of, one_line
from cvlnet.imagery.georef import open_overhead

CREDIT = "Datenquelle: LGL, www.lgl-bw.de, dl-de/by-2-0"


def test_of_a_folder_and_of_a_file_in_it(tmp_path: Path) -> None:
    assert credit_of(tmp_path) is None
    (tmp_path / "manifest.json").write_text(json.dumps({"credit": CREDIT, "files": {}}))
    path = write_metric(tmp_path / "map.png")
    assert PICTURE.size > 0
    assert credit_of(tmp_path) == credit_of(path) == open_overhead(path).credit == CREDIT


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ('{"name": "a web page"}', None),
        ('{"credit": null}', None),
        ('{"credit": " \\n "}', None),
        ('{"credit": 3}', "its credit is no text"),
        ("[]", "is no JSON object"),
        ("{", "is no JSON"),
        ("", "the file is empty"),
    ],
)
def test_manifests_of_others_and_damaged_ones(
    text: str, warns: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert credit_of(tmp_path) is None
    assert len(caplog.records) == (warns is not None)
    assert warns is None or warns in caplog.text


def test_a_huge_one_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cvlnet.imagery.credit._LARGEST_BYTES", 10)
    (tmp_path / "manifest.json").write_text(json.dumps({"credit": CREDIT}))
    assert credit_of(tmp_path) is None
    assert "not read" in caplog.text


def test_a_credit_is_one_printable_line_of_bounded_length() -> None:
    assert one_line("by\nus\t \x1b[31mred\x00") == "by us [31mred"
    assert one_line("x" * 1000) == "x" * 500
    assert one_line(" \n") is None
