"""Memory of large files, and damage: a clear error or a picture, whatever was done to the bytes."""

import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
from ground import affine_at, encoded, write_mbtiles, write_pmtiles, write_sheet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maps import write
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, MetricRaster
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.imagery.placement import opened
from cvlnet.imagery.raster_file import RasterFile, interpret

HERE = LatLon(49.0, 8.4)
TILE = (19, 274377, 180052)
KINDS = ("tiled.tif", "striped.tif", "jpeg.tif", "map.mbtiles", "map.pmtiles")
# open one and read windows all over it, then print the peak memory in MB
READS_WINDOWS = """
import sys
from pathlib import Path
import numpy as np, rasterio
from rasterio.transform import Affine
from cvlnet.config import RasterHints
from cvlnet.imagery.georef import open_overhead
path, side, options = Path(sys.argv[1]), 40_000, eval(sys.argv[2])
profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "compress": "deflate"}
placed = {"crs": "EPSG:25832", "transform": Affine(0.1, 0, 456000, 0, -0.1, 5428000)}
noise = np.random.default_rng(0).integers(0, 255, (3, 1024, 8192), dtype=np.uint8)
with rasterio.open(path, "w", **profile, **placed, sparse_ok=True, BIGTIFF="YES", **options) as file:
    file.write(noise, window=rasterio.windows.Window(16_384, 20_480, 8192, 1024))
image = open_overhead(path, RasterHints(nodata=256.0))
assert image.shape == (side, side)
for top in range(0, side - 2500, 12_000):
    for left in range(0, side - 2500, 12_000):
        image.read(slice(top, top + 2500), slice(left, left + 2500))
seen = image.read(slice(20_480, 21_504), slice(16_384, 24_576)).pixels
assert np.array_equal(seen, noise.transpose(1, 2, 0))
image.read(slice(0, 20_000), slice(0, 20_000), 20)
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(int(status['VmHWM'].split()[0]) // 1024)  # ru_maxrss would be at least the parent's
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", ["dict(tiled=True, blockxsize=512, blockysize=512)", "dict(blockysize=1)", "dict(blockysize=64)"]
)
def test_windows_of_40000_px_square_stay_below_a_gigabyte(options: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", READS_WINDOWS, str(tmp_path / "map.tif"), options]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(output) < 1000


@lru_cache(maxsize=8)
def good(kind: str, folder: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    transform = affine_at("EPSG:25832", HERE, 0.3, 96, 96)
    path = folder / kind
    match kind:
        case "tiled.tif":
            tiled = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
            write_sheet(path, transform, "EPSG:25832", 96, 96, HERE, **tiled)  # type: ignore[arg-type]
        case "striped.tif":
            write_sheet(path, transform, "EPSG:25832", 96, 96, HERE, compress="lzw")
        case "jpeg.tif":
            write_sheet(path, transform, "EPSG:25832", 96, 96, HERE, compress="jpeg", photometric="ycbcr")
        case "map.mbtiles":
            write_mbtiles(path, {TILE: encoded(pixels // 64)}, bounds="8,48,9,50")
        case "map.pmtiles":
            write_pmtiles(path, {TILE: encoded(pixels // 64)}, attribution="us")
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damaged_files_are_a_picture_or_one_line(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    content = bytearray(good(kind, folder))
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        reach = data.draw(st.sampled_from([128, 512, 4096, len(content)]), "reach")
        for at in data.draw(st.lists(st.integers(0, min(reach, len(content)) - 1), min_size=1, max_size=8), "at"):
            content[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path = folder / kind
    path.write_bytes(content)
    refused = refusal(path)
    assert refused is None or "\n" not in refused


def refusal(path: Path) -> str | None:
    """What an attempt to read a file says; None if it is a picture of the shape that it states."""
    try:
        image = open_overhead(path)
        rows, cols = (min(side, 300) for side in image.shape)
        assert image.read(slice(0, rows), slice(0, cols)).pixels.shape == (rows, cols, 3)
    except InputError as error:
        return str(error)
    return None


def test_a_large_picture_without_tiles_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cvlnet.imagery.raster_file._LARGE_PX", 1000)
    transform = affine_at("EPSG:25832", HERE, 0.3, 96, 96)
    pixels = np.full((3, 3000, 3000), 100, np.uint8)  # GDAL splits strips from some size on
    whole = write(tmp_path / "1.tif", pixels, transform=transform, crs="EPSG:25832", compress="lzw", blockysize=3000)
    strips = write_sheet(tmp_path / "2.tif", transform, "EPSG:25832", 96, 96, HERE, compress="lzw", blockysize=8)
    plain = write_sheet(tmp_path / "3.tif", transform, "EPSG:25832", 96, 96, HERE)
    for path in (strips, plain):
        open_overhead(path)
        assert not caplog.records
    open_overhead(whole)
    picture = tmp_path / "4.png"
    Image.fromarray(np.full((96, 96, 3), 100, np.uint8)).save(picture)
    picture.with_suffix(".json").write_text('{"center": [49, 8.4], "m_per_px": 0.5}')
    open_overhead(picture)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "1.tif: a GTiff of 3000 x 3000 px without tiles is decoded from its beginning for every window" in said[0]
    assert (
        "4.png: a PNG of 96 x 96 px without tiles is decoded from its beginning for every window; for speed" in said[1]
    )


def rgb(dtype: str = "uint8", highest: float = 254) -> np.ndarray:
    """Bands [3, 96, 96] from 1 on, or from a 254th of the highest value."""
    noise = np.random.default_rng(0).integers(1, 255, (3, 96, 96))
    return np.asarray(noise * (highest / 254), dtype)


def placed(path: Path, bands: np.ndarray, **options: object) -> Path:
    transform = affine_at("EPSG:25832", HERE, 0.3, 96, 96)
    return write(path, bands, transform=transform, crs="EPSG:25832", **options)


def with_alpha(path: Path, bands: np.ndarray, alpha: np.ndarray, **options: object) -> Path:
    placed(path, np.concatenate([bands, alpha[None].astype(bands.dtype)]), **options)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    return path


def valid_of(path: Path, hints: RasterHints = RasterHints(), reduction: int = 1) -> np.ndarray:
    """Where a file has data, read by windows."""
    dataset, warp_crs = opened(path, hints)
    interpretation = interpret({path: dataset}, hints, path)
    raster = MetricRaster(HERE, dataset.width, dataset.height, 0.3)
    sides = (slice(0, dataset.height), slice(0, dataset.width))
    patch = RasterFile(path, raster, interpretation, warp_crs).read(*sides, reduction)
    return np.ones(patch.pixels.shape[:2], bool) if patch.valid is None else patch.valid


LEFT = np.arange(96) < 32  # columns that are transparent
BELOW = np.arange(96)[:, None] >= 64  # rows of the nodata value
BOTH = ~(LEFT | BELOW)


@pytest.mark.parametrize("nodata_in", ["the file", "the hints"])
@pytest.mark.parametrize("mask", ["alpha", "internal", "external"])
@pytest.mark.parametrize("reduction", [1, 4])
def test_masks_add_up(tmp_path: Path, nodata_in: str, mask: str, reduction: int) -> None:
    """Transparency and a mask, each with a nodata value in other pixels."""
    bands = np.where(BELOW, np.uint8(0), rgb())
    opaque = np.tile(np.where(LEFT, 0, 255).astype(np.uint8), (96, 1))
    options = {"nodata": 0} if nodata_in == "the file" else {}
    if mask == "alpha":
        path = with_alpha(tmp_path / "1.tif", bands, opaque, **options)
    else:
        path = placed(tmp_path / "1.tif", bands, **options)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=mask == "internal"), rasterio.open(path, "r+") as file:
            file.write_mask(opaque)
    hints = RasterHints(nodata=None if options else 0.0)
    assert np.array_equal(valid_of(path, hints, reduction), BOTH[::reduction, ::reduction])


@pytest.mark.parametrize(
    ("dtype", "opaque"),
    [("uint8", 1), ("uint8", 255), ("uint16", 255), ("uint16", 65535), ("int16", 255), ("float32", 1)],
)
def test_an_alpha_band_is_opaque_at_its_highest_value(tmp_path: Path, dtype: str, opaque: int) -> None:
    alpha = np.tile(np.where(LEFT, 0, opaque), (96, 1))
    path = with_alpha(tmp_path / "1.tif", rgb(dtype, 0.9 if dtype == "float32" else 200), alpha)
    assert np.array_equal(valid_of(path), np.broadcast_to(~LEFT, (96, 96)))


GREY = [ColorInterp.gray, *[ColorInterp.undefined] * 3]
TAGGED = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def meaning(path: Path, tags: list[ColorInterp], *names: str | None) -> Path:
    """A file whose bands are 1, 2, 3 and so on, with these tags and descriptions."""
    bands = np.arange(1, len(names) + 1, dtype=np.uint8)[:, None, None] * np.ones((1, 96, 96), np.uint8)
    placed(path, bands, photometric="MINISBLACK" if tags == GREY else "RGB")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = tags[: len(names)]
        for band, name in enumerate(names, 1):
            if name is not None:
                file.set_band_description(band, name)
    return path


@pytest.mark.parametrize(
    ("tags", "names", "bands"),
    [
        (GREY, ("Blue", "Green", "Red"), [3, 2, 1]),
        (GREY, ("b", "g", "r", "nir"), [3, 2, 1]),
        (TAGGED, ("Red", "Green", "Blue"), [1, 2, 3]),
        (TAGGED, ("one", "two", "three", None), [1, 2, 3]),
        (TAGGED[:1], ("Red",), [1, 1, 1]),
    ],
)
def test_bands_by_their_tags_or_descriptions(
    tmp_path: Path, tags: list[ColorInterp], names: tuple[str | None, ...], bands: list[int]
) -> None:
    image = open_overhead(meaning(tmp_path / "1.tif", tags, *names))
    assert image.read(slice(0, 1), slice(0, 1)).pixels[0, 0].tolist() == bands


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (TAGGED, ("Blue", "Green", "Red", "NIR")),
        (TAGGED, ("Blue", "Green", "Red")),
        (TAGGED, ("NIR", "Red", "Green")),
        (TAGGED, ("Red", "Green", "NIR")),
        (GREY, ("NIR", "Red", "Green")),
        (GREY, ("Red", None, None)),
    ],
)
def test_bands_whose_tags_and_descriptions_differ(
    tmp_path: Path, tags: list[ColorInterp], names: tuple[str | None, ...]
) -> None:
    path = meaning(tmp_path / "1.tif", tags, *names)
    with pytest.raises(
        InputError, match=r"does not say clearly which .* \(tagged .*; described as .*\); name red, green"
    ):
        open_overhead(path)
    seen = open_overhead(path, RasterHints(bands=(2, 3, 1))).read(slice(0, 1), slice(0, 1))
    assert seen.pixels[0, 0].tolist() == [2, 3, 1]


def by_control_points(path: Path) -> Path:
    """A file that lies turned by a quarter of a right angle, by ground control points instead of its transform."""
    with warnings.catch_warnings(), rasterio.open(path, "r+") as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        turned = file.transform @ Affine.rotation(22.5)
        corners = [(0, 0), (0, file.width), (file.height, 0), (file.height, file.width)]
        points = [GroundControlPoint(row, col, *(turned @ (col, row))) for row, col in corners]
        file.transform, file.gcps = Affine.identity(), (points, file.crs)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32"])
@pytest.mark.parametrize("hints", [RasterHints(), RasterHints(nodata=255.0)], ids=["", "nodata"])
def test_the_corners_around_a_picture_placed_by_control_points_are_missing(
    tmp_path: Path, dtype: str, hints: RasterHints
) -> None:
    bands = rgb(dtype, 0.9 if dtype == "float32" else 250)
    valid = valid_of(by_control_points(placed(tmp_path / "1.tif", bands)), hints)
    assert valid.sum() == pytest.approx(96**2, rel=0.05)
    assert not valid[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_an_alpha_band_of_a_picture_placed_by_control_points(tmp_path: Path) -> None:
    alpha = np.tile(np.where(LEFT, 0, 255), (96, 1))
    valid = valid_of(by_control_points(with_alpha(tmp_path / "1.tif", rgb(), alpha)))
    assert valid.sum() == pytest.approx(96 * 64, rel=0.05)


@pytest.mark.parametrize("hints", [RasterHints(), RasterHints(bands=(4, 1, 2))], ids=["", "named"])
def test_near_infrared_tagged_as_alpha_of_a_picture_placed_by_control_points(
    tmp_path: Path, hints: RasterHints
) -> None:
    path = by_control_points(with_alpha(tmp_path / "1.tif", rgb(), rgb()[0]))
    told = r"band 4 is tagged as transparency but varies .*; tag it anew: gdal_translate -colorinterp_4 undefined"
    with pytest.raises(InputError, match=told):
        open_overhead(path, hints)


def test_a_palette_of_a_picture_placed_by_control_points_keeps_its_colours(tmp_path: Path) -> None:
    path = placed(tmp_path / "1.tif", (rgb()[:1] // 64 * 50).astype(np.uint8))
    colors = dict.fromkeys(range(256), (255, 0, 0, 255)) | {50 * i: (0, 50 * i, 90, 255) for i in range(4)}
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, colors)
    image = open_overhead(by_control_points(path))
    assert isinstance(image, OverheadImage)
    assert image.valid is not None
    assert set(map(tuple, image.pixels[image.valid].tolist())) == {(0, 50 * i, 90) for i in range(4)}


def test_near_infrared_that_is_tagged_as_alpha_is_no_mask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = with_alpha(tmp_path / "1.tif", rgb(), rgb()[0])
    assert valid_of(path).all()
    assert "band 4 is tagged as transparency but varies like a colour" in caplog.text
    caplog.clear()
    assert valid_of(path, RasterHints(bands=(4, 1, 2))).all()
    assert not caplog.records


def test_an_open_file_crosses_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)
    image = open_overhead(
        write_sheet(tmp_path / "1.tif", affine_at("EPSG:25832", HERE, 0.3, 96, 96), "EPSG:25832", 96, 96, HERE),
        RasterHints(nodata=256.0),
    )
    window = (slice(10, 30), slice(20, 50))
    seen = image.read(*window).pixels
    assert np.array_equal(pickle.loads(pickle.dumps(image)).read(*window).pixels, seen)


def virtual(path: Path, source: str) -> Path:
    """A virtual raster of a file beside it of 96 x 96 px."""
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{color}</ColorInterp><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{source}</SourceFilename><SourceBand>{band}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band, color in enumerate(("Red", "Green", "Blue"), 1)
    )
    place = "<SRS>EPSG:25832</SRS><GeoTransform>456000, 0.3, 0, 5428000, 0, -0.3</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="96" rasterYSize="96">{place}{bands}</VRTDataset>')
    return path


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("in_a_mosaic", [False, True])
def test_a_file_behind_a_virtual_raster_that_changes_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: bool, in_a_mosaic: bool
) -> None:
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)
    source = placed(tmp_path / "1.tif", rgb())
    raster = virtual(tmp_path / "1.vrt", "1.tif")
    opened_as = virtual(tmp_path / "2.vrt", "1.vrt") if deep else raster
    paths = [opened_as, placed(tmp_path / "2.tif", rgb())] if in_a_mosaic else [opened_as]
    before = open_overhead(paths).fingerprint()
    assert open_overhead(paths).fingerprint() == before
    placed(source, rgb()[::-1].copy())
    os.utime(source, ns=(0, 1))
    assert open_overhead(paths).fingerprint() != before


def written(kind: str, folder: Path) -> Path:
    """Imagery of noise that is read by windows."""
    noise = np.random.default_rng(0).integers(1, 255, (3, 1024, 1024), np.uint8)
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "crs": "EPSG:25832"}
    if kind == "mosaic":
        for number in range(16):  # more than are open at a time
            part = noise[:, 64 * number : 64 * number + 64]
            transform = affine_at("EPSG:25832", HERE, 0.3, 96, 96) @ Affine.translation(0, 64 * number)
            write(folder / f"{number}.tif", part, transform=transform, **blocks)
        return folder
    if kind == "map.tif":
        return write(folder / kind, noise, transform=affine_at("EPSG:25832", HERE, 0.3, 96, 96), **blocks)
    zoom, x, y = TILE
    pixels = noise.reshape(3, 4, 256, 4, 256).transpose(1, 3, 2, 4, 0)
    contents = {(zoom, x + i, y + j): encoded(pixels[j, i]) for i in range(4) for j in range(4)}
    return (write_mbtiles if kind == "map.mbtiles" else write_pmtiles)(folder / kind, contents)


def window_of(image: Imagery, number: int) -> np.ndarray:
    top, left = np.random.default_rng(number).integers(0, 900, 2).tolist()
    return image.read(slice(top, top + 100), slice(left, left + 100)).pixels


@pytest.fixture(params=["map.tif", "mosaic", "map.mbtiles", "map.pmtiles"])
def large(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imagery:
    """Imagery that is not read as a whole, and which keeps few of its tiles."""
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)
    monkeypatch.setattr("cvlnet.imagery.tiles.pyramid._KEPT_BYTES", 2**18)
    return open_overhead(written(request.param, tmp_path))


def test_threads_may_read_one_image_at_once(large: Imagery) -> None:
    expected = [window_of(large, number) for number in range(40)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads meet
    try:
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda number: window_of(large, number % 40), range(200)))
    finally:
        sys.setswitchinterval(interval_s)
    assert all(np.array_equal(found, expected[number % 40]) for number, found in enumerate(seen))


def test_forked_processes_may_read_one_image_at_once(large: Imagery) -> None:
    """An open file of their parent would be read from one place by all of them."""
    expected = [window_of(pickle.loads(pickle.dumps(large)), number) for number in range(40)]
    window_of(large, 0)
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            try:
                wrong = any(not np.array_equal(window_of(large, number), expected[number]) for number in range(40))
                os._exit(wrong)
            finally:
                os._exit(2)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
