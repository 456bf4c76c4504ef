import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from kitti_tree import shared, write_picture
from maps import world_file, write
from pyproj import CRS
from pyproj.enums import WktVersion
from rasterio.transform import Affine

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


UTM = "EPSG:25832"
ORIGIN = Affine(0.2, 0, 456_000, 0, -0.2, 5_429_000)


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    return write(tmp_path / "map.tif", np.full((3, 500, 500), 99, np.uint8), transform=ORIGIN, crs=UTM)


def moved(right_m: float = 0.0, wider: float = 1.0) -> Affine:
    """The transform of the file, moved eastward, or with wider pixels around the same middle."""
    return (
        Affine.translation(right_m, 0)
        @ ORIGIN
        @ Affine.translation(250, 250)
        @ Affine.scale(wider)
        @ Affine.translation(-250, -250)
    )


def pam(path: Path, transform: Affine) -> None:
    numbers = ", ".join(map(str, transform.to_gdal()))
    path.with_name(f"{path.name}.aux.xml").write_text(
        f"<PAMDataset><GeoTransform>{numbers}</GeoTransform></PAMDataset>"
    )


@pytest.mark.parametrize(("change", "apart_m"), [({}, 0), ({"right_m": 100.0}, 100), ({"wider": 1.1}, 7)])
@pytest.mark.parametrize("beside", ["map.tfw", "map.TFW", "map.wld", "map.tif.aux.xml"])
def test_what_stands_beside_a_geotiff_places_it_as_its_tags_do(
    tiff: Path, beside: str, change: dict[str, float], apart_m: int
) -> None:
    if beside.endswith(".xml"):
        pam(tiff, moved(**change))
    else:
        world_file(tiff.with_name(beside), moved(**change))
    if apart_m == 0:
        assert open_overhead(tiff).shape == (500, 500)
        return
    with pytest.raises(InputError, match=rf"own coordinates and {beside} place it {apart_m} m apart; remove the wrong"):
        open_overhead(tiff)


@pytest.mark.parametrize("text", ["", "0.2\n0\n0\n", "0.2\n0\n0\nsouth\n0\n0\n"])
def test_what_is_no_world_file_does_not_count(tiff: Path, text: str) -> None:
    tiff.with_suffix(".tfw").write_text(text)
    assert open_overhead(tiff).shape == (500, 500)


def test_a_world_file_in_another_system(tiff: Path) -> None:
    world_file(tiff.with_suffix(".tfw"), Affine(1e-6, 0, 1e15, 0, -1e-6, 49))
    with pytest.raises(
        InputError, match=r"own coordinates and map\.tfw place it in different places; remove the wrong"
    ):
        open_overhead(tiff)


def test_two_world_files_of_a_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "map.png", np.full((3, 500, 500), 99, np.uint8))
    world_file(path.with_suffix(".pgw"), ORIGIN)
    world_file(path.with_suffix(".wld"), moved(1.0))
    assert open_overhead(path, RasterHints(crs=UTM)).shape == (500, 500)
    world_file(path.with_suffix(".wld"), moved(1000.0))
    with pytest.raises(InputError, match=r"own coordinates and map\.wld place it 1,000 m apart"):
        open_overhead(path, RasterHints(crs=UTM))


@pytest.mark.parametrize("dialect", ["WKT1_ESRI", "WKT1_GDAL", "WKT2_2019"])
def test_a_prj_names_the_system_that_the_file_states(tiff: Path, dialect: WktVersion) -> None:
    prj = tiff.with_suffix(".prj")
    prj.write_text(CRS.from_epsg(25832).to_wkt(dialect))
    assert open_overhead(tiff).shape == (500, 500)
    prj.write_text(CRS.from_epsg(25833).to_wkt(dialect))
    with pytest.raises(InputError, match=r"own coordinates and map\.prj place it [0-9,]{7} m apart"):
        open_overhead(tiff)
    tiff.with_suffix(".shp").touch()  # whose system the .prj is
    assert open_overhead(tiff).shape == (500, 500)


def test_corners_are_compared_with_those_of_a_description(tiff: Path) -> None:
    center = list(open_overhead(tiff).center.degrees)
    tiff.with_suffix(".json").write_text(json.dumps({"center": center, "m_per_px": 0.2}))
    assert open_overhead(tiff).shape == (500, 500)
    tiff.with_suffix(".json").write_text(json.dumps({"center": center, "m_per_px": 0.3}))
    with pytest.raises(InputError, match=r"own coordinates and the \.json beside it place it 35 m apart"):
        open_overhead(tiff)
