from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MercatorRaster, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import (
    covered,
    crop,
    crop_over_edge,
    farthest_m,
    holds,
    missing,
    reach_m,
    resampled,
    turn_of_world,
)
from cvlnet.imagery.overhead import OverheadImage

CENTER = LatLon(49.0, 8.4)
FRAME = LocalFrame(CENTER)


def at(east_m: float, north_m: float) -> LatLon:
    return LatLon(*FRAME.latlon_deg([east_m, north_m]).tolist())


def noise(size_px: int = 200, m_per_px: float = 0.5) -> OverheadImage:
    pixels = np.random.default_rng(1).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    return OverheadImage(pixels, MetricRaster(CENTER, size_px, size_px, m_per_px), Path("noise.png"))


def spot(east_m: float, north_m: float, *, mercator: bool = False, size_px: int = 600) -> OverheadImage:
    """A black image with one soft white spot of 1 m at a place."""
    raster = (
        MercatorRaster.around(CENTER, size_px, size_px, 0.2)
        if mercator
        else MetricRaster(CENTER, size_px, size_px, 0.2)
    )
    x_px, y_px = raster.xy_px(FRAME.latlon_deg([east_m, north_m])) - 0.5
    y, x = np.mgrid[:size_px, :size_px]
    bright = 255 * np.exp(-((x - x_px) ** 2 + (y - y_px) ** 2) / (2 * 5.0**2))
    return OverheadImage(np.repeat(bright.astype(np.uint8)[..., None], 3, axis=2), raster, Path("spot.png"))


def spot_xy_m(tile: torch.Tensor, grid: Grid) -> list[float]:
    """Where the spot is in a crop, from its centre of brightness."""
    weight = tile[0].double() / tile[0].sum()
    xy_m = (grid.cell_centers_xy_m() * weight.unsqueeze(-1)).sum(dim=(0, 1))
    return [float(v) for v in xy_m]


@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(-pi, pi), st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_thing_appears_where_it_is(
    east_m: float, north_m: float, turn_rad: float, mirror: bool, mercator: bool
) -> None:
    """Also in a world turned about the crop's centre and mirrored, whatever the image's projection and resolution."""
    image, grid, center_m = spot(east_m, north_m, mercator=mercator), Grid(150, 150, 0.4), (2.0, -3.0)
    tile = crop(image, at(*center_m), grid, turn_of_world(turn_rad, mirror))
    offset = complex(east_m - center_m[0], north_m - center_m[1]) * np.exp(1j * turn_rad)
    north_again_m = -offset.imag if mirror else offset.imag
    assert spot_xy_m(tile, grid) == pytest.approx([offset.real, north_again_m], abs=0.1)


def test_a_crop_on_whole_pixels_copies_them() -> None:
    image = noise()
    tile = crop(image, CENTER, Grid(60, 40, 0.5))
    assert np.array_equal(tile.permute(1, 2, 0).numpy(), image.pixels[70:130, 80:120])


def test_a_quarter_turn_moves_whole_pixels_counter_clockwise() -> None:
    image = noise()
    tile = crop(image, CENTER, Grid(60, 60, 0.5), turn_of_world(pi / 2))
    assert np.array_equal(tile.permute(1, 2, 0).numpy(), np.rot90(image.pixels[70:130, 70:130]))


@pytest.mark.parametrize("factor", [2, 3])
def test_coarse_cells_take_the_average_of_what_they_cover(factor: int) -> None:
    image = noise()
    tile = crop(image, CENTER, Grid(20, 20, 0.5 * factor))
    half = 10 * factor
    part = image.pixels[100 - half : 100 + half, 100 - half : 100 + half].astype(np.float64)
    average = part.reshape(20, factor, 20, factor, 3).mean(axis=(1, 3))
    assert np.abs(tile.permute(1, 2, 0).numpy() - average).max() <= 1


def test_nothing_aliases_when_shrinking() -> None:
    """Stripes of one pixel become grey."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    image = OverheadImage(stripes, MetricRaster(CENTER, 400, 400, 0.25), Path("stripes.png"))
    tile = crop(image, CENTER, Grid(40, 40, 1.1)).double()
    assert 95 < tile.min() <= tile.max() < 160


def test_a_crop_larger_than_the_tile_is_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        crop(noise(), CENTER, Grid(300, 300, 0.4))
    assert str(caught.value) == (
        "noise.png: the image of 200 x 200 px does not hold the crop of 120.0 x 120.0 m around 49.000000, 8.400000; "
        "take a larger overhead image, or a smaller crop"
    )
    assert not holds(noise(), CENTER, Grid(300, 300, 0.4))
    assert holds(noise(), CENTER, Grid(200, 200, 0.5))
    assert not holds(noise(), CENTER, Grid(200, 200, 0.5), turn_of_world(pi / 4))
    assert not holds(noise(), at(2.0, 0.0), Grid(200, 200, 0.5))


def test_reach_is_the_least_and_the_farthest_corner_the_most() -> None:
    image = noise()  # 100 m
    assert reach_m(image) == pytest.approx([50, 50], abs=1e-3)
    assert farthest_m(image, at(10.0, -20.0)) == pytest.approx([60, 70], abs=1e-2)


def test_a_crop_over_the_edge_is_mirrored_there_and_not_covered() -> None:
    image, grid, place = noise(), Grid(60, 40, 0.5), at(45.0, 0.0)  # ends 5 m, 10 columns, over the eastern edge
    tile = crop_over_edge(image, place, grid).permute(1, 2, 0).numpy()
    assert np.array_equal(tile[:, :30], image.pixels[70:130, 170:])
    assert np.array_equal(tile[:, 30:], image.pixels[70:130, 189:199][:, ::-1])
    mask = covered(image, place, grid)
    assert mask[:, :30].all()
    assert not mask[:, 30:].any()
    assert covered(image, CENTER, grid).all()


def test_a_crop_over_edge_inside_is_the_crop() -> None:
    image, grid = spot(3.0, 4.0, mercator=True), Grid(50, 50, 0.4)
    assert torch.equal(crop_over_edge(image, at(1.0, 2.0), grid), crop(image, at(1.0, 2.0), grid))


@pytest.mark.parametrize("cells", [31, 32])
def test_a_resampled_image_gives_the_same_crop_at_its_centre(cells: int) -> None:
    image, grid = noise(), Grid(cells, cells, 1.0)
    small = resampled(image, grid)
    assert small.pixels.shape[0] % 2 == cells % 2
    assert 98 <= small.pixels.shape[0] <= 100
    assert torch.equal(crop(small, small.center, grid), crop(image, CENTER, grid))


def test_a_resampled_image_shows_things_where_they_are() -> None:
    image, grid = spot(12.0, -7.0, mercator=True), Grid(100, 100, 0.5)
    assert spot_xy_m(crop(resampled(image, grid), at(3.0, 4.0), grid), grid) == pytest.approx([9.0, -11.0], abs=0.1)


def test_a_reduced_window_is_averaged_over_whole_squares() -> None:
    image = noise(21)
    patch = image.read(slice(0, 21), slice(3, 21), 4)
    expected = image.pixels[:20, 3:19].reshape(5, 4, 4, 4, 3).astype(float).mean(axis=(1, 3))
    assert patch.pixels.shape == (5, 4, 3)
    assert np.abs(patch.pixels - expected).max() <= 1


def test_a_far_finer_image_shows_the_same() -> None:
    """It is read at a lower resolution: its pixels are averaged, and nothing moves."""
    coarse, grid = spot(3.0, 4.0, size_px=600), Grid(40, 40, 1.0)
    pixels = np.repeat(np.repeat(coarse.pixels, 8, axis=0), 8, axis=1)
    fine = OverheadImage(pixels, MetricRaster(CENTER, 4800, 4800, 0.025), coarse.source)
    seen, expected = (crop(each, at(1.0, 2.0), grid).double() for each in (fine, coarse))
    assert (seen - expected).abs().max() <= 6
    assert spot_xy_m(crop(fine, at(1.0, 2.0), grid), grid) == pytest.approx([2.0, 2.0], abs=0.05)


def test_cells_are_missing_where_at_least_half_of_their_pixels_are() -> None:
    valid = np.ones((200, 200), bool)
    valid[:, 103:] = False  # from 1.5 m east of the middle on
    image, grid = replace(noise(), valid=valid), Grid(6, 6, 1.0)  # cells of two pixels
    gone = missing(image, CENTER, grid)
    assert gone[0].tolist() == [False, False, False, False, True, True]
    assert not missing(noise(), CENTER, grid).any()


def test_holes_are_filled_from_their_neighbours() -> None:
    valid = np.ones((200, 200), bool)
    valid[:, 100:] = False
    image = noise()
    tile = crop(replace(image, valid=valid), CENTER, Grid(200, 200, 0.5)).permute(1, 2, 0).numpy()
    assert np.array_equal(tile[:, :100], image.pixels[:, :100])
    assert np.array_equal(tile[:, 100:], np.repeat(image.pixels[:, 99:100], 100, axis=1))
