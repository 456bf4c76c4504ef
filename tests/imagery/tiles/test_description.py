"""Which way rows of tiles are counted: said, or by the area that is stated, or asked for."""

import json
from pathlib import Path

import pytest
from ground import misplaced_m, tiles, write_folder, write_mbtiles

from cvlnet.config import RasterHints, TileScheme
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.imagery.georef import open_overhead

HERE = LatLon(49.0, 8.4)
AREA = [8.39, 48.99, 8.41, 49.01]
TMS_XML = '<TileMap version="1.0.0"><SRS>EPSG:3857</SRS><TileFormat width="256" height="256"/></TileMap>'


def says(**entries: object) -> dict[str, str]:
    return {"tiles.json": json.dumps(entries)}


RIGHT: dict[str, tuple[TileScheme, dict[str, str], TileScheme | None]] = {
    "scheme xyz": ("xyz", says(scheme="xyz"), None),
    "scheme tms": ("tms", says(scheme="tms"), None),
    "scheme tms, repeated by the user": ("tms", says(scheme="tms"), "tms"),
    "metadata.json": ("tms", {"metadata.json": '{"scheme": "tms", "bounds": "8.39,48.99,8.41,49.01"}'}, None),
    "an address that counts from the south": ("tms", says(tiles=["https://localhost/{z}/{x}/{-y}.png"]), None),
    "a TMS description": ("tms", {"tilemapresource.xml": TMS_XML}, None),
    "the area decides for the north": ("xyz", says(bounds=AREA), None),
    "the area decides for the south": ("tms", says(bounds=AREA), None),
    "the area as text": ("tms", says(bounds="8.39, 48.99, 8.41, 49.01"), None),
    "an area across the antimeridian": ("tms", says(bounds=[170, 40, 20, 60]), None),
    "the user, beside an area that says nothing": ("tms", says(bounds=[-180, -85, 180, 85]), "tms"),
    "the user, beside nothing": ("xyz", {}, "xyz"),
}


def folder_of(tmp_path: Path, scheme: str, files: dict[str, str]) -> Path:
    write_folder(tmp_path, tiles(HERE), tms=scheme == "tms")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", RIGHT)
def test_rows_are_counted_as_is_said(name: str, tmp_path: Path) -> None:
    scheme, files, hint = RIGHT[name]
    image = open_overhead(folder_of(tmp_path, scheme, files), RasterHints(tile_scheme=hint))
    assert misplaced_m(image, image.center, HERE) < 0.03


@pytest.mark.parametrize("scheme", ["xyz", "tms"])
def test_nothing_is_guessed(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="it is not stated whether rows of tiles are counted from the north or from the south; give"
    ):
        open_overhead(folder_of(tmp_path, scheme, says(bounds=[-180, -85, 180, 85])))


def test_mbtiles_count_from_the_south_unless_something_contradicts(tmp_path: Path) -> None:
    contents = tiles(HERE)
    area = ",".join(map(str, AREA))
    right = [
        (write_mbtiles(tmp_path / "1.mbtiles", contents), None),
        (write_mbtiles(tmp_path / "2.mbtiles", contents, bounds=area, scheme="xyz"), None),
        (write_mbtiles(tmp_path / "3.mbtiles", contents, xyz=True, bounds=area, scheme="xyz"), None),
        (write_mbtiles(tmp_path / "4.mbtiles", contents, xyz=True), "xyz"),
        (write_mbtiles(tmp_path / "5.mbtiles", contents, scheme="tms"), "tms"),
    ]
    for path, hint in right:
        image = open_overhead(path, RasterHints(tile_scheme=hint))  # type: ignore[arg-type]
        assert misplaced_m(image, image.center, HERE) < 0.03, path
    wrong = write_mbtiles(tmp_path / "6.mbtiles", contents, xyz=True, bounds=area)
    with pytest.raises(InputError, match=r"where rows are counted as tms; .*\(--tile-scheme xyz would fit\)"):
        open_overhead(wrong)
    unclear = write_mbtiles(tmp_path / "7.mbtiles", contents, scheme="xyz")
    with pytest.raises(InputError, match="not stated whether rows"):
        open_overhead(unclear)


def test_the_attribution_is_the_credit(tmp_path: Path) -> None:
    credit = 'Map <a href="https://localhost">by\n us</a> &copy;'
    (tmp_path / "f").mkdir()
    for image in (
        open_overhead(folder_of(tmp_path / "f", "xyz", says(scheme="xyz", attribution=credit))),
        open_overhead(write_mbtiles(tmp_path / "a.mbtiles", tiles(HERE), attribution=credit)),
    ):
        assert image.credit == "Map by us ©"
    (tmp_path / "f" / "manifest.json").write_text('{"credit": "theirs"}')
    assert open_overhead(tmp_path / "f").credit == "theirs"
