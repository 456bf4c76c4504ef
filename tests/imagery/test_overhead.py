from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.geo import LatLon, MetricRaster
from cvlnet.imagery.overhead import OverheadImage, Patch, averaged, read_in_bands

NOISE = np.random.default_rng(0).integers(0, 256, (1300, 60, 3), dtype=np.uint8)


def test_missing_pixels_do_not_count_in_averages() -> None:
    pixels = np.full((2, 6, 3), 255, np.uint8)
    pixels[:, 1:] = 90
    pixels[0, 4] = 30
    valid = np.ones((2, 6), bool)
    valid[:, 0] = False
    valid[:, 5] = valid[1, 4] = False
    patch = averaged(Patch(pixels, valid), 2)
    assert patch.valid is not None
    assert patch.valid.tolist() == [[True, True, False]]
    assert patch.pixels[0, :2, 0].tolist() == [90, 90]


@given(st.integers(1, 700), st.integers(0, 900), st.integers(1, 400))
def test_bands_make_no_difference(reduction: int, top: int, height: int) -> None:
    """A window is averaged as a whole or in bands: at a time 512 rows, or a multiple of the squares."""
    rows, cols = slice(top, top + height), slice(3, 59)
    image = OverheadImage(NOISE, MetricRaster(LatLon(49.0, 8.4), 60, 1300, 0.5), Path("noise.png"))
    whole = image.read(rows, cols, reduction).pixels
    bands = read_in_bands(image.read, rows, cols, reduction).pixels
    assert bands.shape == whole.shape == (max(height // reduction, 1), max(56 // reduction, 1), 3)
    assert np.abs(bands.astype(int) - whole).max() <= 1


def test_tall_windows_are_read_in_bands_of_bounded_height() -> None:
    image = OverheadImage(NOISE, MetricRaster(LatLon(49.0, 8.4), 60, 1300, 0.5), Path("noise.png"))
    heights: list[int] = []

    def read(rows: slice, cols: slice) -> Patch:
        heights.append(rows.stop - rows.start)
        return image.read(rows, cols)

    reduced = read_in_bands(read, slice(0, 1300), slice(0, 60), 3)
    assert reduced.pixels.shape == (433, 20, 3)
    assert max(heights) <= 512
    assert sum(heights) == 1299
    assert np.abs(reduced.pixels.astype(int) - image.read(slice(0, 1300), slice(0, 60), 3).pixels).max() <= 1


def test_fingerprints_follow_pixels_and_holes() -> None:
    raster = MetricRaster(LatLon(49.0, 8.4), 60, 1300, 0.5)
    valid = np.ones(NOISE.shape[:2], bool)
    other, holes = NOISE.copy(), valid.copy()
    other[7, 7, 1] ^= 1
    holes[3, 3] = False
    images = [
        OverheadImage(NOISE, raster, Path("a.png")),
        OverheadImage(other, raster, Path("a.png")),
        OverheadImage(NOISE, raster, Path("a.png"), valid),
        OverheadImage(NOISE, raster, Path("a.png"), holes),
    ]
    assert len({image.fingerprint() for image in images}) == 4
    assert images[0].fingerprint() == OverheadImage(NOISE.copy(), raster, Path("b.png"), credit="us").fingerprint()
    assert pytest.approx(images[0].center.degrees) == (49.0, 8.4)
