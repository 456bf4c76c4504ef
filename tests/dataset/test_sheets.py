import numpy as np
import pytest

from cvlnet.dataset.sheets import Sheets
from cvlnet.geo import LatLon, MercatorRaster, MetricRaster
from geotiffs import pattern, write_pattern

PLACE = LatLon(49.0, 8.4)


def expected(raster, side_px):
    centers = np.stack(np.meshgrid(np.arange(side_px) + 0.5, np.arange(side_px) + 0.5), axis=-1)
    return pattern(raster.latlon_deg(centers), PLACE)


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:3857", "EPSG:2154"])  # the last one is turned by 4 degrees here
def test_a_raster_shows_what_lies_there_whatever_the_imagery_s_projection(tmp_path, crs):
    sheets = Sheets([write_pattern(tmp_path / "a.tif", PLACE, crs=crs)])
    raster = MercatorRaster.around(LatLon(49.0001, 8.4001), 300, 300, 0.2)
    patch, used = sheets.show(raster, 300)
    assert patch.valid.all()
    assert used == (tmp_path / "a.tif",)
    assert np.abs(patch.pixels - expected(raster, 300)).max() < 2  # half a pixel would be 3


def test_coarser_pixels_are_averages(tmp_path):
    sheets = Sheets([write_pattern(tmp_path / "a.tif", PLACE)])
    raster = MetricRaster(PLACE, 50, 50, 1.0)
    patch, _ = sheets.show(raster, 50)
    assert np.abs(patch.pixels - expected(raster, 50)).max() < 3


def test_images_are_put_together_and_what_none_shows_is_filled_and_marked(tmp_path):
    """West and east overlap; to the east of 40 m there is nothing."""
    west = write_pattern(tmp_path / "w.tif", PLACE, center_m=(-45.0, 0.0), size_m=100.0)
    east = write_pattern(tmp_path / "e.tif", PLACE, center_m=(0.0, 0.0), size_m=80.0)
    far = write_pattern(tmp_path / "f.tif", PLACE, center_m=(5000.0, 0.0), size_m=20.0)
    raster = MetricRaster(PLACE, 200, 40, 0.5)
    whole = MetricRaster(PLACE, 200, 200, 0.5)
    patch, used = Sheets([far, west, east]).show(whole, 200)
    assert used == (west, east)
    middle, valid = patch.pixels[80:120], patch.valid[80:120]
    assert valid[:, :178].all()
    assert not valid[:, 182:].any()  # 41 m and more to the east
    centers = np.stack(np.meshgrid(np.arange(200) + 0.5, np.arange(40) + 0.5), axis=-1)
    assert np.abs(middle - pattern(raster.latlon_deg(centers), PLACE))[:, :178].max() < 3
    last = valid[0].nonzero()[0][-1]
    assert (middle[20, last:] == middle[20, last]).all()
    assert Sheets([far]).show(whole, 200)[1] == ()
    assert not Sheets([far]).show(whole, 200)[0].valid.any()


def test_the_first_image_that_shows_a_place_is_taken(tmp_path):
    good = write_pattern(tmp_path / "good.tif", PLACE)
    other = write_pattern(tmp_path / "other.tif", LatLon(49.0, 8.4001))
    raster = MetricRaster(PLACE, 100, 100, 0.5)
    first, second = (Sheets(paths).show(raster, 100)[0].pixels for paths in ([good, other], [other, good]))
    assert np.abs(first - expected(raster, 100)).max() < 3
    assert np.abs(second - expected(raster, 100)).max() > 50
