from pathlib import Path

import numpy as np
import pytest

from cvlnet.errors import InputError
from cvlnet.io.text import did_you_mean, measured, number_of, ranges, read_json, read_table, read_text

TABLE = "a,b\n1,2\n3,4\n"


def write(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    assert read_text(write(tmp_path, (mark + "Straße\n").encode(encoding)), "x") == "Straße\n"


def test_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file.txt: is not a text in UTF-8; save it as UTF-8"):
        read_text(write(tmp_path, "Straße".encode("latin-1")), "x")
    with pytest.raises(InputError, match=r"file.txt: the file is empty; do this"):
        read_text(write(tmp_path, "\ufeff \n"), "do this")
    with pytest.raises(InputError, match=r"none.txt: the file is missing; do this"):
        read_text(tmp_path / "none.txt", "do this")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_text(tmp_path, "do this")


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file.txt: fx is there twice; delete one of the two"):
        read_json(write(tmp_path, '{"fx": 1, "fy": 2, "fx": 3}'), "x")


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(",", " ,  "),
        "\n\na,b\n\n1,2\n  \n3,4",
        "# made by hand\na,b\n1,2\n#5,6\n3,4\n",
        'a,b\n"1","2"\n3, "4"\n',
        "a,b,\n1,2,\n3,4,,\n",
    ],
)
def test_tables_that_say_the_same(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path, text), "x")
    assert table.columns == ("a", "b")
    assert [cells for _, cells in table.rows] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "\n# x\na,b\n\n1,2\n3,4\n"), "x")
    assert [line for line, _ in table.rows] == [5, 6]


@pytest.mark.parametrize(
    ("text", "rows"),
    [("a,b\n1,2\n3,4\n", 2), ("a,b\n1,2\n3,4", 1), ("a,b\r\n1,2\r\n3", 1), ("a,b\n1,2\n3,4\r\n", 2), ("a,b\n1", 0)],
)
def test_a_last_line_without_its_end_may_be_left_out(tmp_path: Path, text: str, rows: int) -> None:
    assert len(read_table(write(tmp_path, text), "x", finished_lines=True).rows) == rows


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a;b\n1,5;2\n",
            r"line 1: semicolons separate the columns; separate them by commas, and write decimals with a",
        ),
        ("a\tb\n1\t2\n", r"line 1: tabs separate the columns"),
        ("a,b\n1,5,2\n", r"line 2: 3 values for 2 columns \(decimals are written with a point\); correct the line"),
        ("a,b\n1,2\n3\n", r"line 3: 1 values for 2 columns; correct the line"),
        ("a,b,a\n1,2,3\n", r"line 1: the column a is there twice; rename one"),
        ("# a,b\n", r"holds no table"),
        ("1,2\n1,2\n", r"line 1: begins with numbers instead of the columns' names; do this"),
        ("a.png,0.5\nb.png,2e-5\n", r"line 1: begins with numbers instead"),
    ],
)
def test_malformed_tables(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_table(write(tmp_path, text), "do this")


@pytest.mark.parametrize("value", ["wide", None, True, False, [1], "1_000", "1e999", float("nan"), "0x10", ""])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(InputError, match=r"x .* is not a number; do this"):
        number_of({"x": value}, "x", "file", "do this")


def test_a_decimal_comma_is_told() -> None:
    with pytest.raises(InputError, match=r"x '-1,5' is not a number \(decimals are written with a point\)"):
        number_of({"x": "-1,5"}, "x", "file", "do this")


@pytest.mark.parametrize("word", ["", " ", "nan", "NaN", "inf", "-Inf", "null", "None", "NA", "n/a"])
def test_what_was_not_measured(word: str) -> None:
    assert np.isnan(measured(word, word, "file", "x"))


def test_what_was_measured() -> None:
    assert measured(" -1.5e1 ", "", "file", "x") == -15.0
    with pytest.raises(InputError, match="'north' is not a number"):
        measured("north", "'north'", "file", "x")


def test_numbers_in_few_words() -> None:
    assert ranges([]) == ""
    assert ranges([3]) == "3"
    assert ranges([3, 4]) == "3, 4"
    assert ranges([0, 1, 2, 3, 7, 9, 10]) == "0 to 3, 7, 9, 10"
    assert ranges(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10, 12, 14 and 12 more"


def test_hints() -> None:
    assert did_you_mean("Pitch", ["pitch_deg", "roll_deg"]) == " (did you mean pitch_deg?)"
    assert did_you_mean("nothing", ["pitch_deg", "roll_deg"]) == ""
