"""Files of lines that grow while they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.serve.lines import Lines


def test_lines_are_read_by_parts_while_they_grow(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "a.jsonl")
    assert (len(lines), lines.read()) == (0, [])
    for number in range(5):
        lines.append(f"zeile {number} é")
    assert len(lines) == 5
    assert lines.read(1, 2) == ["zeile 1 é", "zeile 2 é"]
    assert lines.read(4) == ["zeile 4 é"]
    assert lines.read(5) == []
    assert lines.read(99, 3) == []
    assert Lines(lines.path).read() == lines.read()


def test_a_line_without_its_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    lines = Lines(path)
    assert lines.read() == ["one", "two"]
    lines.append("three")
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_lines_can_be_taken_back(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "a.jsonl")
    for text in ("one", "two", "three"):
        lines.append(text)
    lines.cut(1)
    lines.append("2")
    assert lines.path.read_text() == "one\n2\n"


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Lines(tmp_path / "gone" / "a.jsonl").append("one")
