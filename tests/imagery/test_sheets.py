from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.imagery.sheets import sheets_in


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder: Path, **options: list[str]) -> list[str]:
    return [str(path.relative_to(folder)) for path in sheets_in(folder, **options)]


def test_georeferenced_formats_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tree(tmp_path, "10.tif", "9.TIF", "a/1.tiff", "b.jp2", "c.img", "d.vrt", "e.tfw", "f.tif.aux.xml", "g.txt")
    assert found(tmp_path) == ["9.TIF", "10.tif", "a/1.tiff", "b.jp2", "c.img"]


@pytest.mark.parametrize(
    "beside", ["map.pgw", "map.pngw", "MAP.PGW", "map.wld", "map.json", "georef.json", "map.png.aux.xml"]
)
def test_pictures_that_something_places(beside: str, tmp_path: Path) -> None:
    assert found(tree(tmp_path, "map.png", beside)) == ["map.png"]


@pytest.mark.parametrize("beside", ["map.jgw", "other.pgw", "map.txt", "manifest.json"])
def test_pictures_that_nothing_places(beside: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert found(tree(tmp_path, "map.png", beside)) == []
    assert not caplog.records
    assert found(tree(tmp_path, "1.tif")) == ["1.tif"]
    assert "1 pictures without a position are left out, such as map.png" in caplog.text


def test_hidden_deep_and_excepted_folders_are_left_out(tmp_path: Path) -> None:
    tree(tmp_path, ".hidden/1.tif", "._1.tif", "a/b/c/1.tif", "a/b/c/d/2.tif", "18/3.tif")
    assert found(tmp_path) == ["18/3.tif", "a/b/c/1.tif"]
    assert found(tmp_path, except_in=["18"]) == ["a/b/c/1.tif"]


def test_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.sheets._MOST", 2)
    tree(tmp_path, "1.tif", "2.tif")
    assert len(found(tmp_path)) == 2
    with pytest.raises(InputError, match="holds more than 2 pictures; give a part of them"):
        sheets_in(tree(tmp_path, "3.tif"))
