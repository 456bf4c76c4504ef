"""Tiles of imagery: where things lie in them, and what cannot be shown."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rio_tiler.io.rasterio import Reader

from cvlnet.errors import InputError
from cvlnet.serve.tiles import Tiles

_SIDE_M = 40075016.685578488


def write(
    path: Path, pixels: np.ndarray, crs: str | None = "EPSG:3857", *, west: float, north: float, size: float
) -> Path:
    bands, rows, cols = pixels.shape
    profile = {"driver": "GTiff", "width": cols, "height": rows, "count": bands, "dtype": pixels.dtype}
    if crs is not None:
        profile |= {"crs": crs, "transform": from_origin(west, north, size, size)}
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
    return path


def quarters(bands: int = 3) -> np.ndarray:
    """Four fields: red, green / blue, white."""
    pixels = np.zeros((3, 256, 256), np.uint8)
    pixels[0, :128, :128], pixels[1, :128, 128:], pixels[2, 128:, :128], pixels[:, 128:, 128:] = 255, 255, 255, 255
    return pixels[:bands]


def corner(zoom: int, col: int, row: int) -> tuple[float, float, float]:
    """West, north and pixel size of a tile."""
    side = _SIDE_M / 2**zoom
    return -_SIDE_M / 2 + col * side, _SIDE_M / 2 - row * side, side / 256


def decoded(tile: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(tile, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGBA)


def test_a_tile_leaves_the_filters_of_warnings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They belong to the process: threads that change them and put them back leave those of one another behind."""
    west, north, size = corner(16, 34210, 22600)
    tiles = Tiles.of_file(write(tmp_path / "a.tif", quarters(), west=west, north=north, size=size))
    filters, seen = warnings.filters, list[object]()

    def read(path: str) -> Reader:
        seen.append(warnings.filters)
        return Reader(path)

    monkeypatch.setattr("cvlnet.serve.tiles.Reader", read)
    tiles.tile(16, 34210, 22600)
    assert [each is filters for each in seen] == [True]


def test_a_picture_that_is_one_tile_is_that_tile(tmp_path: Path) -> None:
    west, north, size = corner(16, 34210, 22600)
    tiles = Tiles.of_file(write(tmp_path / "a.tif", quarters(), west=west, north=north, size=size))
    assert tiles.max_zoom >= 16 >= tiles.min_zoom
    assert tiles.is_imagery
    assert tiles.m_per_pixel == pytest.approx(size * np.cos(np.radians(48.6)), rel=0.02)
    rgba = decoded(tiles.tile(16, 34210, 22600))
    for (row, col), colour in {(60, 60): [255, 0, 0], (60, 190): [0, 255, 0], (190, 60): [0, 0, 255]}.items():
        np.testing.assert_allclose(rgba[row, col], [*colour, 255], atol=12)
    assert decoded(tiles.tile(16, 34211, 22600))[..., 3].max() == 0
    quarter = decoded(tiles.tile(17, 68421, 45200))  # the north-eastern one
    np.testing.assert_allclose(quarter[128, 128], [0, 255, 0, 255], atol=12)
    overview = decoded(tiles.tile(15, 17105, 11300))
    np.testing.assert_allclose(overview[30, 30], [255, 0, 0, 255], atol=12)
    assert overview[200, 200, 3] == 0


def test_grey_pictures_are_grey(tmp_path: Path) -> None:
    west, north, size = corner(16, 34210, 22600)
    tiles = Tiles.of_file(write(tmp_path / "a.tif", quarters(1), west=west, north=north, size=size))
    np.testing.assert_allclose(decoded(tiles.tile(16, 34210, 22600))[60, 60], [255, 255, 255, 255], atol=3)


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    west, north, size = corner(16, 34210, 22600)
    with pytest.raises(InputError, match="cannot be read"):
        Tiles.of_file(tmp_path / "missing.tif")
    with pytest.raises(InputError, match="does not state its position"):
        Tiles.of_file(write(tmp_path / "a.tif", quarters(), None, west=west, north=north, size=size))
    deep = write(tmp_path / "b.tif", quarters().astype(np.uint16), west=west, north=north, size=size)
    with pytest.raises(InputError, match="values of type uint16"):
        Tiles.of_file(deep)
    (tmp_path / "c.tif").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        Tiles.of_file(tmp_path / "c.tif")
    whole = write(tmp_path / "d.tif", quarters(), west=west, north=north, size=size).read_bytes()
    (tmp_path / "e.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"e\.tif: cannot be read"):
        Tiles.of_file(tmp_path / "e.tif")
