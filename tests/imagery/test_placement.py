import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from kitti_tree import shared, write_picture

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, MercatorRaster, MetricRaster, ProjectedRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop, missing
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery

CENTER = LatLon(49.0, 8.4)
RASTER = MercatorRaster.around(CENTER, 80, 60, 0.5)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "map.png"
    write_picture(path, 80, 60)
    return path


def lies_as(image: Imagery, raster: MercatorRaster | MetricRaster) -> bool:
    corners_px = [[0.0, 0.0], [80.0, 0.0], [80.0, 60.0]]
    return np.allclose(image.raster.latlon_deg(corners_px), raster.latlon_deg(corners_px), atol=1e-8)


def corners() -> dict[str, list[float]]:
    north_west, south_east = RASTER.latlon_deg([[0.0, 0.0], [80.0, 60.0]]).tolist()
    return {"north_west": north_west, "south_east": south_east}


@pytest.mark.parametrize("name", ["georef.json", "map.json"])
@pytest.mark.parametrize("keyed", [True, False])
def test_corners_in_web_mercator(picture: Path, name: str, keyed: bool) -> None:
    picture.with_name(name).write_text(json.dumps({"map": corners()} if keyed else corners()))
    assert lies_as(open_overhead(picture), RASTER)


def test_centre_in_true_metres(picture: Path) -> None:
    picture.with_name("georef.json").write_text(json.dumps({"center": [49.0, 8.4], "m_per_px": 0.3}))
    assert lies_as(open_overhead(picture), MetricRaster(CENTER, 80, 60, 0.3))


@pytest.mark.parametrize("suffix", [".pgw", ".wld"])
def test_world_file(picture: Path, suffix: str) -> None:
    pixel_m = RASTER.pixel_m
    values = [pixel_m, 0, 0, -pixel_m, RASTER.west_m + pixel_m / 2, RASTER.north_m - pixel_m / 2]
    picture.with_suffix(suffix).write_text("\n".join(map(repr, values)))
    assert lies_as(open_overhead(picture, RasterHints(crs="EPSG:3857")), RASTER)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1\n0\n0\n-1\n0\n", "map.pgw: is no world file of six numbers"),
        ("1\n0\n0\nsouth\n0\n0\n", "map.pgw: is no world file of six numbers"),
        ("1\n0\n0\n-1\n9e9\n0\n", "map.png: 9e\\+09, 0.5 are no coordinates of WGS 84 / Pseudo-Mercator"),
        ("9\n0\n0\n-1\n0\n0\n", "its pixels measure 9 x 0.99"),
    ],
)
def test_malformed_world_file(picture: Path, text: str, what: str) -> None:
    picture.with_suffix(".pgw").write_text(text)
    with pytest.raises(InputError, match=what):
        open_overhead(picture, RasterHints(crs="EPSG:3857"))


def test_degrees_are_not_metres(picture: Path) -> None:
    """A world file in another system than the one that is named."""
    picture.with_suffix(".pgw").write_text("0.5\n0\n0\n-0.5\n456000\n5428000\n")
    with pytest.raises(InputError, match=r"456000, 5.428e\+06 are no coordinates of WGS 84; give it"):
        open_overhead(picture, RasterHints(crs="EPSG:4326"))


def test_geotiff_in_utm(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 60, 80), dtype=np.uint8)
    transform = rasterio.transform.from_origin(456_000, 5_428_000, 0.5, 0.5)
    profile = {"driver": "GTiff", "width": 80, "height": 60, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(path, "w", transform=transform, **profile) as file:
        file.write(pixels)
    image = open_overhead(path)
    assert np.array_equal(image.pixels, pixels.transpose(1, 2, 0))
    assert isinstance(image.raster, ProjectedRaster)
    assert image.center.degrees == pytest.approx((49.0, 8.4), abs=0.01)
    assert np.allclose(image.raster.xy_px(image.raster.latlon_deg([[10.0, 20.0], [70.0, 5.0]])), [[10, 20], [70, 5]])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="is not a whole picture"):
        open_overhead(path)


def test_a_folder_of_real_images_is_one_image() -> None:
    """Two places of Karlsruhe, a kilometre apart; what lies between them is missing."""
    folder = shared("overhead")
    both = open_overhead(folder)
    assert both.may_lack_pixels
    for stem in json.loads(shared("overhead", "georef.json").read_text()):
        image = open_overhead(shared("overhead", f"{stem}.png"))
        grid = Grid(200, 200, 0.5)
        assert not missing(both, image.center, grid).any()
        seen, expected = (crop(each, image.center, grid).numpy().astype(int) for each in (both, image))
        assert np.abs(seen - expected).mean() < 1.5
    assert missing(both, both.center, Grid(20, 20, 0.5)).all()


def test_the_real_images_lie_where_their_georef_says() -> None:
    georef = json.loads(shared("overhead", "georef.json").read_text())
    for stem, entry in georef.items():
        image = open_overhead(shared("overhead", f"{stem}.png"))
        assert image.center.degrees == pytest.approx((entry["center_lat"], entry["center_lon"]), abs=1e-7)
        expected = MercatorRaster.around(image.center, 1280, 1280, entry["m_per_px"])
        assert np.allclose(image.raster.xy_px(expected.latlon_deg([0.0, 1280.0])), [0, 1280], atol=0.1)
