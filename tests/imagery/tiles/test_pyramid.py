"""Tiles as one image: which ones, where they lie, what is missing."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from ground import encoded, tiles, write_folder, write_mbtiles, write_pmtiles
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery, Patch
from cvlnet.imagery.tiles.pyramid import TileRange, decode, extent_of, level_raster

XYZ = RasterHints(tile_scheme="xyz")
ZOOM = 19
X, Y = 274377, 180052  # a tile at 49.0, 8.4


def noise(seed: int, side_px: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


FORMS = {
    "folder": lambda path, contents: open_overhead(write_folder(path / "tiles", contents), XYZ),
    "MBTiles": lambda path, contents: open_overhead(write_mbtiles(path / "a.mbtiles", contents)),
    "PMTiles": lambda path, contents: open_overhead(write_pmtiles(path / "a.pmtiles", contents)),
}


def whole(image: Imagery) -> Patch:
    rows, cols = image.shape
    return image.read(slice(0, rows), slice(0, cols))


@pytest.fixture
def by_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)


@pytest.mark.parametrize("form", FORMS)
def test_the_highest_zoom_is_taken_and_missing_tiles_are_missing(form: str, tmp_path: Path) -> None:
    contents = {(ZOOM, X, Y): encoded(noise(1)), (ZOOM, X + 2, Y + 1): encoded(noise(2))}
    coarse = {(ZOOM - 1, X // 2, Y // 2): encoded(noise(3)), (0, 0, 0): encoded(noise(4))}
    image = FORMS[form](tmp_path, contents | coarse)
    assert image.shape == (512, 768)
    patch = whole(image)
    assert np.array_equal(patch.pixels[:256, :256], noise(1))
    assert np.array_equal(patch.pixels[256:, 512:], noise(2))
    assert patch.valid is not None
    expected = np.zeros((512, 768), bool)
    expected[:256, :256] = expected[256:, 512:] = True
    assert np.array_equal(patch.valid, expected)
    north_west = level_raster(ZOOM).latlon_deg([float(X), float(Y)])
    assert np.allclose(image.raster.latlon_deg([0.0, 0.0]), north_west, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("by_windows")
def test_tiles_cross_processes_and_have_fingerprints(form: str, tmp_path: Path) -> None:
    image = FORMS[form](tmp_path, {(ZOOM, X, Y): encoded(noise(1)), (ZOOM, X + 1, Y): encoded(noise(2))})
    window = (slice(100, 200), slice(200, 300))
    seen = image.read(*window)
    assert seen.valid is None
    assert np.array_equal(seen.pixels, np.concatenate([noise(1), noise(2)], axis=1)[window])
    copy = pickle.loads(pickle.dumps(image))
    assert np.array_equal(copy.read(*window).pixels, seen.pixels)
    assert copy.fingerprint() == image.fingerprint()
    (tmp_path / "other").mkdir()
    other = FORMS[form](tmp_path / "other", {(ZOOM, X, Y): encoded(noise(1))})
    assert other.fingerprint() != image.fingerprint()


@pytest.mark.parametrize("reduction", [2, 5])
@pytest.mark.usefixtures("by_windows")
def test_reduced_windows_are_averages_across_tiles(reduction: int, tmp_path: Path) -> None:
    data = noise(1, 1024)
    parts = {(ZOOM, X + i % 4, Y + i // 4): data[i // 4 * 256 :, i % 4 * 256 :][:256, :256] for i in range(16)}
    image = open_overhead(write_folder(tmp_path, {at: encoded(part) for at, part in parts.items()}), XYZ)
    patch = image.read(slice(3, 1003), slice(7, 1007), reduction)
    cells = 1000 // reduction
    expected = data[3:1003, 7:1007].reshape(cells, reduction, cells, reduction, 3).mean(axis=(1, 3))
    assert patch.valid is None
    assert np.abs(patch.pixels - expected).max() <= 0.51


def test_across_the_antimeridian_columns_go_on(tmp_path: Path) -> None:
    last = 2**ZOOM - 1
    columns = {last - 1: 1, last: 2, 0: 3}
    contents = {(ZOOM, x, 280_000): encoded(noise(seed)) for x, seed in columns.items()}
    image = open_overhead(write_folder(tmp_path, contents), XYZ)
    expected = np.concatenate([noise(1), noise(2), noise(3)], axis=1)
    assert np.array_equal(whole(image).pixels, expected)
    _, west = image.raster.latlon_deg([0.0, 0.0]).tolist()
    _, east = image.raster.latlon_deg([768.0, 0.0]).tolist()
    degrees = 360 / 2**ZOOM
    assert (west, east) == pytest.approx((180 - 2 * degrees, -180 + degrees), abs=1e-9)


@given(
    zoom=st.integers(1, 12),
    data=st.data(),
)
def test_the_range_of_tiles_is_the_shortest_that_holds_them_all(zoom: int, data: st.DataObject) -> None:
    count = 2**zoom
    columns = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6))
    extent = extent_of(zoom, [(x, x) for x in columns], (1, 1))
    assert {(extent.left + i) % count for i in range(extent.cols)} >= set(columns)
    shortest = min(max((x - left) % count for x in columns) + 1 for left in columns)
    assert extent.cols == shortest
    assert extent.rows == 1


def test_transparent_pixels_and_nodata_are_missing(tmp_path: Path) -> None:
    rgba = np.dstack([noise(1), np.full((256, 256), 255, np.uint8)])
    rgba[:100, :, 3] = 0
    patch = decode(encoded(rgba), "a tile", 256, None)
    assert patch.valid is not None
    assert np.array_equal(patch.valid, rgba[..., 3] == 255)
    black = noise(1)
    black[:50] = 0
    patch = decode(encoded(black), "a tile", 256, 0.0)
    assert patch.valid is not None
    assert not patch.valid[:50].any()
    assert patch.valid[50:].mean() > 0.99


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1"])
def test_colours_of_every_kind(mode: str) -> None:
    grey = np.repeat(np.repeat(np.array([[0, 255]], np.uint8), 256, axis=0), 128, axis=1)
    picture = Image.fromarray(np.dstack([grey] * 3)).convert(mode)
    import io

    file = io.BytesIO()
    picture.save(file, "JPEG" if mode == "CMYK" else "PNG", **({"quality": 100} if mode == "CMYK" else {}))
    patch = decode(file.getvalue(), "a tile", 256, None)
    assert patch.valid is None
    assert np.abs(patch.pixels.astype(int) - grey[..., None]).max() <= 2


def test_tiles_of_two_sizes_are_refused_where_they_are_read(tmp_path: Path) -> None:
    contents = {(ZOOM, X, Y): encoded(noise(1)), (ZOOM, X + 1, Y): encoded(noise(2, 512))}
    with pytest.raises(
        InputError, match=r"tiles/19/274378/180052.png: measures 512 px, other tiles 256 px; give tiles of"
    ):
        open_overhead(write_folder(tmp_path / "tiles", contents), XYZ)


def test_tiles_far_apart_are_one_large_image(tmp_path: Path) -> None:
    """Nothing of its size is in memory."""
    contents = {(ZOOM, X, Y): encoded(noise(1)), (ZOOM, X + 50_000, Y): encoded(noise(2))}
    image = open_overhead(write_folder(tmp_path, contents), XYZ)
    assert image.shape == (256, 50_001 * 256)
    assert np.array_equal(image.read(slice(0, 256), slice(0, 256)).pixels, noise(1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lower", [ZOOM - 1, ZOOM - 2])
def test_a_stray_tile_that_hides_a_level_is_pointed_out(
    form: str, lower: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    step = ZOOM - lower
    picture = encoded(noise(1))
    level = {(lower, (X >> step) + i, (Y >> step) + j): picture for i in range(4) for j in range(4)}
    image = FORMS[form](tmp_path, level | {(ZOOM, X, Y): picture, (0, 0, 0): picture})
    assert image.shape == (256, 256)
    (message,) = caplog.messages
    shown_km2 = [(40_075.017 * np.cos(np.radians(49.0)) / 2**ZOOM) ** 2 * tiles for tiles in (1, 16 * 4**step)]
    expected = "zoom level {}, which is read, shows {:.3g} km2, level {} {:.3g} km2; to read level {}"
    assert expected.format(ZOOM, shown_km2[0], lower, shown_km2[1], lower) in message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("places", [{(0, 0)}, {(x, y) for x in range(5) for y in range(3)}, {(i, i) for i in range(6)}])
def test_overviews_of_all_tiles_are_not_pointed_out(
    form: str, places: set[tuple[int, int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the edges, too, which show more."""
    picture = encoded(noise(1))
    pyramid = {(ZOOM - up, (X + x) >> up, (Y + y) >> up): picture for x, y in places for up in range(ZOOM + 1)}
    FORMS[form](tmp_path, pyramid)
    assert not caplog.records


def test_places_of_a_level_raster() -> None:
    assert level_raster(0).latlon_deg([0.5, 0.5]).tolist() == pytest.approx([0, 0])
    assert level_raster(1).xy_px(LatLon(0.0, 45.0).degrees).tolist() == pytest.approx([1.25, 1.0])
    assert TileRange(1, 0, 0, 2, 2) == extent_of(1, [(0, 1)], (0, 1))
    assert len(tiles(LatLon(49.0, 8.4), 19, 256, 0)) == 1
