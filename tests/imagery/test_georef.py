"""Crops show what is there, in true metres: the ground is a function of true position, drawn into every format.

Three centimetres are a tenth of the pixels here, and less than a thousandth of what confusing metres, feet or degrees,
or rows from the north and from the south, would do.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ground import affine_at, misplaced_m, near, tiles, write_folder, write_mbtiles, write_pmtiles, write_sheet
from pmtiles.tile import TileType
from rasterio.transform import Affine

from cvlnet.config import RasterHints
from cvlnet.geo import LatLon
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.mosaic import Mosaic
from cvlnet.imagery.overhead import Imagery
from cvlnet.imagery.tiles.pyramid import TileImage

SAME_M = 0.03
SIDE = 320
HERE = LatLon(49.0, 8.4)
FIJI = LatLon(-16.8, 179.9999)
PLACES = {
    "equator": LatLon(0.0, 8.4),
    "middle": HERE,
    "north": LatLon(65.0, 25.0),
    "south": LatLon(-34.0, 151.2),
    "antimeridian": FIJI,
}
Make = Callable[[Path, LatLon], Imagery]


def of_folder(scheme: str, suffix: str = "png") -> Make:
    def make(folder: Path, place: LatLon) -> Imagery:
        contents = tiles(place, suffix=suffix)
        write_folder(folder, contents, tms=scheme == "tms", suffix=suffix)
        return open_overhead(folder, RasterHints(tile_scheme=scheme))  # type: ignore[arg-type]

    return make


TILES: dict[str, Make] = {
    "xyz": of_folder("xyz"),
    "tms": of_folder("tms"),
    "MBTiles": lambda folder, place: open_overhead(write_mbtiles(folder / "map.mbtiles", tiles(place))),
    "PMTiles": lambda folder, place: open_overhead(write_pmtiles(folder / "map.pmtiles", tiles(place))),
}


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imagery is read by windows, as large one is."""
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)


@pytest.mark.parametrize("form", TILES)
@pytest.mark.parametrize("name", PLACES)
def test_tiles_show_what_is_there(form: str, name: str, tmp_path: Path) -> None:
    place = PLACES[name]
    image = TILES[form](tmp_path, place)
    assert image.shape == (768, 768)
    assert misplaced_m(image, near(image.center, 3.0, -4.0), place) < SAME_M


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("form", TILES)
def test_tiles_by_windows(form: str, tmp_path: Path) -> None:
    image = TILES[form](tmp_path, FIJI)
    assert isinstance(image, TileImage)
    assert misplaced_m(image, near(image.center, -8.0, 5.0), FIJI) < SAME_M


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_other_pictures(suffix: str, tmp_path: Path) -> None:
    image = of_folder("xyz", suffix)(tmp_path, HERE)
    assert misplaced_m(image, image.center, HERE) < SAME_M


def test_tiles_of_512_px(tmp_path: Path) -> None:
    image = open_overhead(write_folder(tmp_path, tiles(HERE, 18, 512, 0)), RasterHints(tile_scheme="xyz"))
    assert image.shape == (512, 512)
    assert misplaced_m(image, image.center, HERE) < SAME_M


@pytest.mark.parametrize(
    ("suffix", "kind"), [("jpg", TileType.JPEG), ("webp", TileType.WEBP), ("png", TileType.UNKNOWN)]
)
def test_pmtiles_of_other_pictures(suffix: str, kind: TileType, tmp_path: Path) -> None:
    image = open_overhead(write_pmtiles(tmp_path / "a.pmtiles", tiles(HERE, suffix=suffix), kind))
    assert misplaced_m(image, image.center, HERE) < SAME_M


FEET = LatLon(40.75, -73.98)
UTM_EDGE = LatLon(49.0, 12.2)  # zone 33 begins at 12 degrees
SHEETS = {  # a system, a place, and the pixel in the system's units
    "UTM": ("EPSG:25832", HERE, 0.3),
    "the neighbouring zone of UTM": ("EPSG:25832", UTM_EDGE, 0.3),
    "UTM in the south": ("EPSG:32756", PLACES["south"], 0.3),
    "UTM in the far north": ("EPSG:32635", PLACES["north"], 0.3),
    "Web Mercator on the equator": ("EPSG:3857", PLACES["equator"], 0.3),
    "Web Mercator in the north": ("EPSG:3857", PLACES["north"], 0.7),
    "degrees": ("EPSG:4326", HERE, 3e-6),
    "degrees on the antimeridian": ("EPSG:4326", FIJI, 3e-6),
    "Web Mercator on the antimeridian": ("EPSG:3857", FIJI, 0.3),
    "US survey feet": ("EPSG:2263", FEET, 1.0),
}


AS_IT_IS = Affine.identity()


def quarters(folder: Path, crs: str, place: LatLon, pixel: float, turn: Affine = AS_IT_IS, **options: object) -> Path:
    """The ground around a place as four sheets. turn: of the pixels of each."""
    whole, half = affine_at(crs, place, pixel, SIDE, SIDE), SIDE // 2
    for name, (right, down) in {"nw": (0, 0), "ne": (half, 0), "sw": (0, half), "se": (half, half)}.items():
        transform = whole @ Affine.translation(right, down) @ turn
        write_sheet(folder / f"{name}.tif", transform, crs, half, half, place, **options)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("name", SHEETS)
def test_a_mosaic_shows_what_is_there(name: str, tmp_path: Path) -> None:
    crs, place, pixel = SHEETS[name]
    image = open_overhead(quarters(tmp_path, crs, place, pixel))
    assert image.shape == (SIDE, SIDE)
    assert misplaced_m(image, near(place, 1.0, -2.0), place) < SAME_M


@pytest.mark.usefixtures("windows")
def test_a_mosaic_by_windows(tmp_path: Path) -> None:
    image = open_overhead(quarters(tmp_path, "EPSG:25832", HERE, 0.3))
    assert isinstance(image, Mosaic)
    assert misplaced_m(image, near(HERE, 1.0, -2.0), HERE) < SAME_M


def test_sheets_on_both_sides_of_the_antimeridian(tmp_path: Path) -> None:
    """Those in the east begin at -180 degrees."""
    whole = affine_at("EPSG:4326", FIJI, 3e-6, SIDE, SIDE)
    west_cols = int((180.0 - whole.c) / 3e-6)
    write_sheet(tmp_path / "1.tif", whole, "EPSG:4326", SIDE, west_cols, FIJI)
    eastern = whole @ Affine.translation(west_cols, 0)
    write_sheet(tmp_path / "2.tif", Affine.translation(-360, 0) @ eastern, "EPSG:4326", SIDE, SIDE - west_cols, FIJI)
    image = open_overhead(tmp_path)
    assert image.shape == (SIDE, SIDE)
    assert misplaced_m(image, near(FIJI, 1.0, -2.0), FIJI) < SAME_M
    (tmp_path / "1.tif").rename(tmp_path / "3.tif")  # the eastern one is then the first
    image = open_overhead(tmp_path)
    assert image.shape == (SIDE, SIDE)
    assert misplaced_m(image, near(FIJI, 1.0, -2.0), FIJI) < SAME_M


SOUTH_UP = Affine(1, 0, 0, 0, -1, SIDE // 2)
ON_ITS_SIDE = Affine(0, 1, 0, 1, 0, 0)


@pytest.mark.parametrize("turn", [SOUTH_UP, ON_ITS_SIDE], ids=["south up", "rows are columns"])
def test_sheets_whose_rows_run_otherwise(turn: Affine, tmp_path: Path) -> None:
    image = open_overhead(quarters(tmp_path, "EPSG:25832", HERE, 0.3, turn))
    assert image.shape == (SIDE, SIDE)
    assert misplaced_m(image, near(HERE, 1.0, -2.0), HERE) < SAME_M


@pytest.mark.parametrize("degrees", [7.0, 45.0, 190.0])
def test_a_turned_sheet(degrees: float, tmp_path: Path) -> None:
    whole = affine_at("EPSG:25832", HERE, 0.3, 400, 400)
    path = write_sheet(tmp_path / "map.tif", whole @ Affine.rotation(degrees, (200, 200)), "EPSG:25832", 400, 400, HERE)
    assert misplaced_m(open_overhead(path), near(HERE, 1.0, -2.0), HERE) < SAME_M


def test_sheets_that_do_not_coincide_are_interpolated(tmp_path: Path) -> None:
    """Shifted by parts of a pixel, turned, and of another resolution within the limit."""
    whole = affine_at("EPSG:25832", HERE, 0.3, SIDE, SIDE)
    write_sheet(tmp_path / "1.tif", whole, "EPSG:25832", SIDE, 160, HERE)
    others = whole @ Affine.translation(140.4, -3.3) @ Affine.rotation(2.0) @ Affine.scale(1.02, 1.01)
    write_sheet(tmp_path / "2.tif", others, "EPSG:25832", SIDE, 200, HERE)
    image = open_overhead(tmp_path)
    assert misplaced_m(image, near(HERE, 1.0, -2.0), HERE) < SAME_M
    patch = image.read(slice(100, 200), slice(100, 250))
    assert patch.valid is None or patch.valid.all()


@pytest.mark.parametrize("reduction", [2, 3, 8])
def test_reduced_windows_are_averages(reduction: int, tmp_path: Path) -> None:
    image = open_overhead(quarters(tmp_path, "EPSG:25832", HERE, 0.3))
    cells = 40 // reduction
    patch = image.read(slice(141, 141 + cells * reduction), slice(153, 153 + cells * reduction), reduction)
    full = image.read(slice(141, 141 + cells * reduction), slice(153, 153 + cells * reduction)).pixels
    expected = full.reshape(cells, reduction, cells, reduction, 3).mean(axis=(1, 3))
    assert np.abs(patch.pixels - expected).max() <= 1
