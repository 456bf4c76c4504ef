"""Sheets of a mosaic: which of them is seen, what lies between them, how many are open."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from maps import PICTURE, world_file, write
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, MercatorRaster
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.mosaic import Mosaic
from cvlnet.imagery.overhead import Imagery, Patch

UTM = "EPSG:25832"
PIXEL_M = 0.2
ORIGIN = Affine(PIXEL_M, 0, 456_000, 0, -PIXEL_M, 5_428_000)
SIDE = 40


@pytest.fixture(autouse=True)
def by_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)


def noise(seed: int, rows: int = SIDE, cols: int = SIDE) -> np.ndarray:
    """Bands [3, rows, cols]."""
    return np.random.default_rng(seed).integers(1, 255, (3, rows, cols), dtype=np.uint8)


def sheet(path: Path, right: float, down: float, data: np.ndarray, crs: str | None = UTM, **options: object) -> Path:
    """Bands as a GeoTIFF, ``right`` and ``down`` pixels from the origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, data, transform=ORIGIN @ Affine.translation(right, down), crs=crs, **options)


def whole(image: Imagery) -> Patch:
    rows, cols = image.shape
    return image.read(slice(0, rows), slice(0, cols))


def test_sheets_are_copied_pixel_by_pixel(tmp_path: Path) -> None:
    """In any order of names, from folders in folders, as a folder and as a list."""
    data = noise(0, 2 * SIDE, 3 * SIDE)
    paths = [
        sheet(
            tmp_path / f"{row}" / f"{5 - col}.tif",
            col * SIDE,
            row * SIDE,
            data[:, row * SIDE :, col * SIDE :][:, :SIDE, :SIDE],
        )
        for row in range(2)
        for col in range(3)
    ]
    for source in (tmp_path, paths, [str(path) for path in paths], [tmp_path / "0", tmp_path / "1"]):
        image = open_overhead(source)
        assert isinstance(image, Mosaic)
        patch = whole(image)
        assert patch.valid is None
        assert np.array_equal(patch.pixels, data.transpose(1, 2, 0))
        assert np.array_equal(image.read(slice(30, 50), slice(70, 95)).pixels, data.transpose(1, 2, 0)[30:50, 70:95])
    assert np.allclose(image.raster.affine, [ORIGIN[:3], ORIGIN[3:6]])  # type: ignore[attr-defined]


def test_gaps_are_missing(tmp_path: Path) -> None:
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    sheet(tmp_path / "2.tif", 60, 50, noise(2))
    image = open_overhead(tmp_path)
    assert image.shape == (90, 100)
    assert image.may_lack_pixels
    expected = np.zeros((90, 100), bool)
    expected[:40, :40] = expected[50:, 60:] = True
    patch = whole(image)
    assert patch.valid is not None
    assert np.array_equal(patch.valid, expected)
    nothing = image.read(slice(0, 30), slice(50, 60)).valid
    assert nothing is not None
    assert not nothing.any()


def test_the_last_sheet_by_its_name_is_on_top_where_it_has_data(tmp_path: Path) -> None:
    one, two = noise(1), noise(2)
    two[:, :10, :10] = 0
    sheet(tmp_path / "map_9.tif", 0, 0, one)
    sheet(tmp_path / "map_10.tif", 20, 20, two, nodata=0)
    patch = whole(open_overhead(tmp_path))
    pixels = patch.pixels.transpose(2, 0, 1)
    assert np.array_equal(pixels[:, 30:60, 30:60], two[:, 10:, 10:])
    assert np.array_equal(pixels[:, 20:30, 20:30], one[:, 20:30, 20:30])  # seen through the hole
    assert patch.valid is not None
    assert not patch.valid[40:50, 0:20].any()


@pytest.mark.parametrize("right", [0.005, 0.4])
def test_sheets_are_interpolated_only_where_pixels_lie_apart(right: float, tmp_path: Path) -> None:
    data = noise(2)
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    sheet(tmp_path / "2.tif", SIDE + right, 0, data)
    pixels = whole(open_overhead(tmp_path)).pixels.transpose(2, 0, 1).astype(float)
    if right < 0.02:
        assert np.array_equal(pixels[:, :, SIDE : 2 * SIDE], data)
    else:
        between = 0.4 * data[:, :, :-1] + 0.6 * data[:, :, 1:]
        assert np.abs(pixels[:, :, SIDE + 1 : 2 * SIDE] - between).max() <= 1 + 255 / 32  # OpenCV's steps are 1/32


@pytest.mark.parametrize("right", [0.4, 0.6])
def test_holes_of_an_interpolated_sheet_do_not_bleed(right: float, tmp_path: Path) -> None:
    grey = np.full((3, SIDE, SIDE), 200, np.uint8)
    grey[:, :, 20:] = 0
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    sheet(tmp_path / "2.tif", SIDE + right, right, grey, nodata=0)
    patch = whole(open_overhead(tmp_path))
    assert patch.valid is not None
    seen = patch.pixels[:, SIDE:][patch.valid[:, SIDE:]]
    assert len(seen) > 700
    assert (seen == 200).all()
    assert not patch.valid[:, SIDE + 22 :].any()


@pytest.mark.parametrize("has_hole", [False, True])
def test_beyond_a_turned_sheet_pixels_are_missing(has_hole: bool, tmp_path: Path) -> None:
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    turned = Affine.translation(2 * SIDE, SIDE) @ Affine.rotation(30.0)
    data = noise(2)
    if has_hole:
        data[:, 20, 20] = 0
    write(tmp_path / "2.tif", data, transform=ORIGIN @ turned, crs=UTM, nodata=0)
    patch = whole(open_overhead(tmp_path))
    rows, cols = patch.pixels.shape[:2]
    x, y = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    left = int(np.floor(min((turned @ corner)[0] for corner in ((0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)))))
    assert left > SIDE  # so that the mosaic begins with the first sheet
    sheet_x, sheet_y = ~turned @ (x, y)
    inside = (sheet_x >= 0) & (sheet_x < SIDE) & (sheet_y >= 0) & (sheet_y < SIDE)
    assert patch.valid is not None
    assert not patch.valid[:, SIDE:][~inside[:, SIDE:]].any()
    assert (~patch.valid[:, SIDE:][inside[:, SIDE:]]).sum() in ((1, 2) if has_hole else (0,))
    assert abs(int(inside.sum()) - SIDE**2) < 2 * SIDE


def test_averages_of_squares_leave_out_what_is_missing(tmp_path: Path) -> None:
    sheet(tmp_path / "1.tif", 0, 0, np.full((3, 10, 10), 100, np.uint8))
    sheet(tmp_path / "2.tif", 30, 0, np.full((3, 10, 10), 200, np.uint8))
    patch = open_overhead(tmp_path).read(slice(0, 8), slice(0, 40), 4)
    assert patch.valid is not None
    assert patch.valid[0].tolist() == [True, True, True, False, False, False, False, True, True, True]
    assert patch.pixels[0, :, 0][patch.valid[0]].tolist() == [100, 100, 100, 200, 200, 200]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files there")
def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    for index in range(40):
        sheet(tmp_path / f"{index}.tif", 0, index * SIDE, noise(index))
    before = open_files()
    image = open_overhead(tmp_path)
    for _ in range(2):
        assert np.array_equal(whole(image).pixels[-SIDE:], noise(39).transpose(1, 2, 0))
        assert open_files() - before <= 10


def test_colours_of_different_kinds_in_one_mosaic(tmp_path: Path) -> None:
    """Three bands, a grey one, four with transparency, and a palette of its own."""
    picture = np.ascontiguousarray(PICTURE[:SIDE, :SIDE])
    bands = np.ascontiguousarray(picture.transpose(2, 0, 1))
    alpha = np.full((1, SIDE, SIDE), 255, np.uint8)
    alpha[:, :, :20] = 0
    sheet(tmp_path / "1.tif", 0, 0, bands)
    sheet(tmp_path / "2.tif", SIDE, 0, bands[:1])
    sheet(tmp_path / "3.tif", 2 * SIDE, 0, np.concatenate([bands, alpha]), alpha="yes")
    for number, shades in ((4, [10, 90]), (5, [200, 30])):
        index = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 2).astype(np.uint8)
        image = Image.fromarray(index, "P")
        image.putpalette([shades[0]] * 3 + [shades[1], 0, 0])
        path = tmp_path / f"{number}.png"
        image.save(path)
        world_file(path.with_suffix(".pgw"), ORIGIN @ Affine.translation((number - 1) * SIDE, 0))
    patch = whole(open_overhead(tmp_path, RasterHints(crs=UTM)))
    first, grey, clear, four, five = (patch.pixels[:, start : start + SIDE] for start in range(0, 5 * SIDE, SIDE))
    assert np.array_equal(first, picture)
    assert np.array_equal(grey, np.repeat(picture[..., :1], 3, axis=-1))
    assert np.array_equal(clear[:, 20:], picture[:, 20:])
    assert four[0, :2].tolist() == [[10, 10, 10], [90, 0, 0]]
    assert five[0, :2].tolist() == [[200, 200, 200], [30, 0, 0]]
    assert patch.valid is not None
    assert not patch.valid[:, 2 * SIDE : 2 * SIDE + 20].any()
    assert patch.valid.sum() == 5 * SIDE**2 - 20 * SIDE


def test_all_sheets_have_one_range_of_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first sheet alone would be read as 0 to 1023, and would be four times as bright as the second one."""
    dark, bright = noise(1).astype(np.uint16) * 3, noise(2).astype(np.uint16) * 15
    sheet(tmp_path / "1.tif", 0, 0, dark)
    sheet(tmp_path / "2.tif", SIDE, 0, bright)
    pixels = whole(open_overhead(tmp_path)).pixels.transpose(2, 0, 1).astype(float)
    assert np.abs(pixels - np.concatenate([dark, bright], axis=2) / 4095 * 255).max() <= 0.51
    assert [record.getMessage() for record in caplog.records if "are read as 0 to 4095" in record.getMessage()]
    assert len(caplog.records) == 1


def test_transparency_has_one_scale(tmp_path: Path) -> None:
    """In all sheets, of which only some are looked at before."""
    for number in range(9):
        alpha = np.full((1, SIDE, SIDE), 1 if number == 3 else 255, np.uint8)
        sheet(tmp_path / f"{number}.tif", number * SIDE, 0, np.concatenate([noise(number), alpha]), alpha="yes")
    with pytest.raises(InputError, match=r"3\.tif: its alpha band has 1 where those of other files have 255; bring"):
        open_overhead(tmp_path)
    (tmp_path / "3.tif").unlink()
    assert whole(open_overhead(tmp_path)).valid is not None


@pytest.mark.parametrize("other", ["EPSG:25832+7837", "a .prj of ESRI"])
def test_one_system_under_several_names(other: str, tmp_path: Path) -> None:
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    path = sheet(tmp_path / "2.tif", SIDE, 0, noise(2), None if other.startswith("a") else other)
    if other.startswith("a"):
        path.with_suffix(".prj").write_text(rasterio.crs.CRS.from_user_input(UTM).to_wkt(version="WKT1_ESRI"))
    assert whole(open_overhead(tmp_path)).valid is None


def test_pictures_described_by_their_corners(tmp_path: Path) -> None:
    """georef.json of several pictures of one pixel size in Web Mercator."""
    raster = MercatorRaster.around(LatLon(49.0, 8.4), 2 * SIDE, SIDE, 0.3)
    entries = {}
    for index in range(2):
        Image.fromarray(noise(index).transpose(1, 2, 0)).save(tmp_path / f"{index}.png")
        left = index * SIDE
        north_west, south_east = raster.latlon_deg([[left, 0.0], [left + SIDE, SIDE]]).tolist()
        entries[f"{index}"] = {"north_west": north_west, "south_east": south_east}
    (tmp_path / "georef.json").write_text(json.dumps(entries))
    image = open_overhead(tmp_path)
    assert np.array_equal(whole(image).pixels, np.concatenate([noise(0), noise(1)], axis=2).transpose(1, 2, 0))
    assert np.allclose(image.raster.latlon_deg([0.0, 0.0]), raster.latlon_deg([0.0, 0.0]), atol=1e-9)


def test_a_mosaic_crosses_processes_and_notices_changes(tmp_path: Path) -> None:
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    path = sheet(tmp_path / "2.tif", SIDE, 0, noise(2))
    image = open_overhead(tmp_path)
    seen = whole(image).pixels
    copy = pickle.loads(pickle.dumps(image))
    assert np.array_equal(whole(copy).pixels, seen)
    assert copy.fingerprint() == image.fingerprint() == open_overhead(tmp_path).fingerprint()
    sheet(path, SIDE, 0, noise(3))
    os.utime(path, (1, 1))
    assert open_overhead(tmp_path).fingerprint() != image.fingerprint()


def test_pictures_that_nothing_places_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sheet(tmp_path / "1.tif", 0, 0, noise(1))
    sheet(tmp_path / "2.tif", SIDE, 0, noise(2))
    Image.fromarray(PICTURE).save(tmp_path / "legend.png")
    (tmp_path / "._1.tif").write_bytes(b"by macOS")
    (tmp_path / "readme.txt").write_text("hello")
    assert open_overhead(tmp_path).shape == (SIDE, 2 * SIDE)
    assert "1 pictures without a position are left out, such as legend.png" in caplog.text


def test_a_folder_of_one_file_is_that_file(tmp_path: Path) -> None:
    path = sheet(tmp_path / "1.tif", 0, 0, noise(1))
    assert open_overhead(tmp_path).source == path


def test_undefined_bands_named_by_the_user(tmp_path: Path) -> None:
    data = np.concatenate([noise(1), noise(2)[:1]])
    for index in range(2):
        path = sheet(tmp_path / f"{index}.tif", index * SIDE, 0, data, photometric="MINISBLACK")
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * 3
    pixels = whole(open_overhead(tmp_path, RasterHints(bands=(4, 2, 1)))).pixels.transpose(2, 0, 1)
    assert np.array_equal(pixels[:, :, :SIDE], data[[3, 1, 0]])
