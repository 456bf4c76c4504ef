from pathlib import Path

import pytest

from cvlnet.io.listing import PICTURES, files_in, natural_key, times_of_names


def test_numbers_sort_by_their_value() -> None:
    names = [
        "10.png",
        "2.png",
        "1.png",
        "frame_0100.png",
        "frame_99.png",
        "clip2_10.png",
        "clip2_9.png",
        "clip10_1.png",
    ]
    assert sorted(names, key=natural_key) == [
        *("1.png", "2.png", "10.png"),
        *("clip2_9.png", "clip2_10.png", "clip10_1.png"),
        *("frame_99.png", "frame_0100.png"),
    ]


def test_hidden_files_folders_and_others_do_not_count(tmp_path: Path) -> None:
    for name in ("10.JPG", "9.png", "._9.png", ".DS_Store", ".hidden.png", "Thumbs.db", "notes.txt", "1.jpeg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "3.png").mkdir()
    assert [path.name for path in files_in(tmp_path, PICTURES)] == ["1.jpeg", "9.png", "10.JPG"]
    assert files_in(tmp_path / "none", PICTURES) == []


@pytest.mark.parametrize(
    ("stems", "times_s"),
    [
        (["1305031102.175304", "1305031102.211214"], [1305031102.175304, 1305031102.211214]),
        (["1403636579763555584", "1403636579813555456"], [1403636579.7635556, 1403636579.8135555]),
        (["1403636579763", "1403636579813"], [1403636579.763, 1403636579.813]),
        (["9.5", "10.25"], [9.5, 10.25]),
        (["0000000001", "0000000002"], None),
        (["000001", "000002"], None),
        (["1305031102.175304", "cover"], None),
        (["20240131", "20240201"], None),
    ],
)
def test_names_that_are_times(stems: list[str], times_s: list[float] | None) -> None:
    found = times_of_names([Path(f"{stem}.png") for stem in stems])
    assert found == (times_s if times_s is None else pytest.approx(times_s, abs=1e-6))
