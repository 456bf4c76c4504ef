"""Overhead images as people have them, odd, malformed and hostile: each is read rightly or refused with one line."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from maps import CENTER, M_PER_PX, PICTURE, SIDE_PX, difference, warped, world_file, write, write_metric
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.shutil import copy
from rasterio.transform import Affine

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.imagery.georef import open_overhead

BANDS = np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0))
FIJI = LatLon(-16.8, 179.9999)
NEW_YORK = LatLon(40.75, -73.98)
SAME = 1.5  # of grey levels, what resampling and JPEG change; a shift of a tenth of a metre changes more


@dataclass(frozen=True)
class Right:
    """A file that is read rightly. warns: what the one warning says, if there is one."""

    name: str
    make: Callable[[Path], Path]
    hints: RasterHints = RasterHints()
    center: LatLon = CENTER
    warns: str | None = None
    at_most: float = SAME


@dataclass(frozen=True)
class Refused:
    """A file that is refused with a line that says this."""

    name: str
    make: Callable[[Path], Path]
    line: str
    hints: RasterHints = RasterHints()


def geotiff(
    crs: str, center: LatLon = CENTER, *, shift_x: float = 0.0, said: str | None = None
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        picture = warped(crs, center, shift_x=shift_x)
        return write(folder / "map.tif", picture.bands, transform=picture.transform, crs=said or crs)

    return make


def turned(affine: Affine) -> Callable[[Path], Path]:
    """UTM with pixels in another order: the picture's array is turned or flipped, and the transform says so."""

    def make(folder: Path) -> Path:
        picture = warped("EPSG:25832")
        bands, transform = picture.bands, picture.transform
        rows = bands.shape[1]
        if affine.e < 0:  # south up
            bands, transform = bands[:, ::-1], transform @ Affine(1, 0, 0, 0, -1, rows)
        else:  # a quarter turn: rows become columns
            bands, transform = bands.transpose(0, 2, 1), transform @ Affine(0, 1, 0, 1, 0, 0)
        return write(folder / "map.tif", np.ascontiguousarray(bands), transform=transform, crs="EPSG:25832")

    return make


def with_world_file(
    picture: str, suffix: str, prj: str | None = None, crs: str = "EPSG:3857"
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        seen = warped(crs)
        path = write(folder / f"map{picture}", seen.bands, **({"QUALITY": 98} if picture == ".jpg" else {}))
        world_file(path.with_suffix(suffix), seen.transform)
        if prj is not None:
            text = rasterio.crs.CRS.from_user_input(crs).to_wkt(version="WKT1_ESRI" if prj == "esri" else None)
            path.with_suffix(".prj").write_text("nonsense" if prj == "nonsense" else text)
        return path

    return make


def by_control_points(degrees: float = 0.0, crs: str | None = "EPSG:3857") -> Callable[[Path], Path]:
    """Five control points; turned: the picture's own axes are not the system's."""

    def make(folder: Path) -> Path:
        seen = warped("EPSG:3857")
        rows, cols = seen.bands.shape[1:]
        bands, transform = seen.bands, seen.transform
        if degrees:
            bands, transform = np.ascontiguousarray(bands[:, ::-1, ::-1]), transform @ Affine(-1, 0, cols, 0, -1, rows)
        path = write(folder / "map.tif", bands)
        pixels = [(0, 0), (0, cols), (rows, 0), (rows, cols), (rows / 2, cols / 2)]
        points = [GroundControlPoint(row, col, *(transform @ (col, row))) for row, col in pixels]
        with rasterio.open(path, "r+") as file:
            file.gcps = (points, rasterio.crs.CRS.from_user_input(crs) if crs else rasterio.crs.CRS())
        return path

    return make


def values(change: Callable[[np.ndarray], np.ndarray], **options: object) -> Callable[[Path], Path]:
    return lambda folder: write_metric(folder / "map.tif", np.ascontiguousarray(change(BANDS)), **options)


def meaning(
    bands: list[int], colors: list[ColorInterp] | None = None, names: list[str] | None = None
) -> Callable[[Path], Path]:
    """The picture's bands in another order, with what the file says of them."""

    def make(folder: Path) -> Path:
        path = write_metric(folder / "map.tif", np.ascontiguousarray(BANDS[bands]), photometric="MINISBLACK")
        with rasterio.open(path, "r+") as file:
            if colors:
                file.colorinterp = colors
            for band, name in enumerate(names or [], 1):
                file.set_band_description(band, name)
        return path

    return make


def by_pillow(
    change: Callable[[Image.Image], Image.Image], suffix: str = ".png", **options: object
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = write_metric(folder / "map.png")
        path.unlink()
        change(Image.fromarray(PICTURE)).save(path.with_suffix(suffix), **options)
        return path.with_suffix(suffix)

    return make


def described(text: str) -> Callable[[Path], Path]:
    """A picture with this georef.json."""

    def make(folder: Path) -> Path:
        path = write(folder / "map.png", BANDS)
        (folder / "georef.json").write_text(text)
        return path

    return make


def corners(north_west: list[float], south_east: list[float]) -> str:
    return json.dumps({"north_west": north_west, "south_east": south_east})


def across_the_antimeridian(folder: Path) -> Path:
    """Corners in Web Mercator, the eastern one of which lies at -179.99 degrees."""
    seen = warped("EPSG:3857", LatLon(-16.8, 0.0))
    rows, cols = seen.bands.shape[1:]
    to_wgs84 = rasterio.warp.transform
    (west, east), (north, south) = to_wgs84(
        "EPSG:3857", "EPSG:4326", *zip(seen.transform @ (0, 0), seen.transform @ (cols, rows), strict=True)
    )
    path = write(folder / "map.png", seen.bands)
    path.with_suffix(".json").write_text(corners([north, 179.9999 + west], [south, 179.9999 + east - 360]))
    return path


def cut(suffix: str, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = write_metric(folder / f"map{suffix}", **options)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        return path

    return make


def appended(path: Path, rest: bytes) -> Path:
    path.write_bytes(path.read_bytes() + rest)
    return path


def text_file(name: str, text: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(text)
        return folder / name

    return make


def vrt_of(source: str) -> Callable[[Path], Path]:
    """A virtual raster that refers to another file or address."""
    band = f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="0">{source}'
    end = "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    return text_file("map.vrt", f'<VRTDataset rasterXSize="160" rasterYSize="160">{band}{end}</VRTDataset>'.encode())


def copied(driver: str, suffix: str, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = (folder / "map").with_suffix(suffix)
        copy(str(geotiff("EPSG:25832")(folder)), str(path), driver=driver, **options)
        return path

    return make


def own_and_beside(lat: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = geotiff("EPSG:25832")(folder)
        path.with_suffix(".json").write_text(json.dumps({"center": [lat, CENTER.longitude_deg], "m_per_px": M_PER_PX}))
        return path

    return make


def crs_only(folder: Path) -> Path:
    return write(folder / "map.tif", BANDS, crs="EPSG:32632")


def rpc_only(folder: Path) -> Path:
    path = write(folder / "map.tif", BANDS)
    ones = [0.0, 1.0] + [0.0] * 18
    with rasterio.open(path, "r+") as file:
        file.rpcs = RPC(0.0, 500.0, 49.0, 0.1, ones, ones, 80.0, 80.0, 8.4, 0.1, ones, ones, 80.0, 80.0)
    return path


def local_crs(folder: Path) -> Path:
    path = write(folder / "map.tif", BANDS, transform=Affine(0.5, 0, 0, 0, -0.5, 0), crs="EPSG:32632")
    local = rasterio.crs.CRS.from_wkt('LOCAL_CS["Local Coordinates (m)",UNIT["metre",1]]')
    return write(path, BANDS, transform=Affine(0.5, 0, 0, 0, -0.5, 0), crs=local)


def complex_numbers(folder: Path) -> Path:
    return write_metric(folder / "map.tif", BANDS.astype(np.complex64))


def exif(folder: Path) -> Path:
    """A picture whose pixels are as they should be, with a tag that says that it is upside down."""
    path = write_metric(folder / "map.png")
    path.unlink()
    tags = Image.Exif()
    tags[0x0112] = 3
    Image.fromarray(PICTURE).save(path.with_suffix(".jpg"), quality=98, exif=tags.tobytes())
    return path.with_suffix(".jpg")


def projection_in_aux_xml(folder: Path) -> Path:
    """Programs of one maker write a PNG's system into an .aux.xml beside it."""
    path = with_world_file(".png", ".pgw", crs="EPSG:25832")(folder)
    wkt = rasterio.crs.CRS.from_epsg(25832).to_wkt().replace('"', "&quot;")
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset><SRS>{wkt}</SRS></PAMDataset>")
    return path


NIR = BANDS[:1] // 2 + 40
COLORS = ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined
UNDEFINED = [ColorInterp.gray] + [ColorInterp.undefined] * 3
EARTH_M = 2 * np.pi * 6378137.0

RIGHT = (
    Right("UTM", geotiff("EPSG:25832")),
    Right("degrees", geotiff("EPSG:4326")),
    Right("Web Mercator", geotiff("EPSG:3857")),
    Right("Lambert conformal conic", geotiff("EPSG:2154", LatLon(48.85, 2.35)), center=LatLon(48.85, 2.35)),
    Right("US survey feet", geotiff("EPSG:2263", NEW_YORK), center=NEW_YORK, warns="are known to about 4 m only"),
    Right("an old datum", geotiff("EPSG:31467"), warns=r"DHDN .* are known to about 3 m only, because of its datum"),
    Right("with a vertical system", geotiff("EPSG:25832", said="EPSG:25832+5783")),
    Right("south up", turned(Affine(1, 0, 0, 0, -1, 0))),
    Right("a quarter turn", turned(Affine(0, 1, 0, 1, 0, 0))),
    Right("ground control points", by_control_points()),
    Right("ground control points of a turned scan", by_control_points(180.0)),
    Right("control points in the system that --crs names", by_control_points(crs=None), RasterHints(crs="EPSG:3857")),
    Right("Mercator beyond the antimeridian", geotiff("EPSG:3857", LatLon(-16.8, 169.9999), shift_x=EARTH_M / 36), center=FIJI),
    Right("Mercator, all of it beyond", geotiff("EPSG:3857", LatLon(-16.8, -179.9), shift_x=EARTH_M), center=LatLon(-16.8, -179.9)),
    Right("degrees to 180.001", geotiff("EPSG:4326", LatLon(-16.8, 170.0), shift_x=9.9999), center=FIJI),
    Right("longitudes from 0 to 360", geotiff("EPSG:4326", LatLon(-16.8, 10.0), shift_x=180.0), center=LatLon(-16.8, -170.0)),
    Right("corners across the antimeridian", across_the_antimeridian, center=FIJI),
    Right("UTM at the antimeridian", geotiff("EPSG:32760", FIJI), center=FIJI),
    Right("a plain TIFF with a .json", lambda folder: write_metric(folder / "map.tif")),
    Right("its own place and the same in a .json", own_and_beside(CENTER.latitude_deg)),
    Right("world file .PGW and .prj", with_world_file(".png", ".PGW", "ogc", "EPSG:25832")),
    Right("world file .pngw, --crs", with_world_file(".png", ".pngw"), RasterHints(crs="EPSG:3857")),
    Right("world file .jgw and an ESRI .prj", with_world_file(".jpg", ".jgw", "esri", "EPSG:25832")),
    Right("world file .jpgw, --crs", with_world_file(".jpg", ".jpgw"), RasterHints(crs="EPSG:3857")),
    Right("world file .tfw, --crs", with_world_file(".tif", ".tfw"), RasterHints(crs="EPSG:3857")),
    Right("world file .wld, --crs", with_world_file(".png", ".wld"), RasterHints(crs="EPSG:3857")),
    Right("the system in an .aux.xml", projection_in_aux_xml),
    Right("16 bit, all of the range", values(lambda b: b.astype(np.uint16) * 257), warns="up to .* are read as 0 to 65535"),
    Right("12 of 16 bits", values(lambda b: b.astype(np.uint16) * 16), warns="are read as 0 to 4095"),
    Right("12 bits, as the file says", values(lambda b: b.astype(np.uint16) * 16, NBITS=12)),
    Right("8 of 16 bits", values(lambda b: b.astype(np.uint16)), warns="are read as 0 to 255"),
    Right("fractions", values(lambda b: (b / 255).astype(np.float32)), warns="are read as 0 to 1"),
    Right("values of a stated range", values(lambda b: (b * 3.0 - 300).astype(np.int16)), RasterHints(value_range=(-300.0, 465.0))),
    Right("blue, green, red, near-infrared", meaning([2, 1, 0, 0], list(COLORS))),
    Right("bands named in their descriptions", meaning([2, 1, 0, 0], UNDEFINED, ["Blue", "Green", "Red", "NIR"])),
    Right("bands named by the user", meaning([2, 1, 0, 0], UNDEFINED), RasterHints(bands=(3, 2, 1))),
    Right("near-infrared tagged as alpha", lambda f: write_metric(f / "map.tif", np.concatenate([BANDS, NIR]), alpha="yes"),
          warns="band 4 is tagged as transparency but varies like a colour"),
    Right("a palette", by_pillow(lambda image: image.quantize(256)), at_most=12.0),
    Right("CMYK", by_pillow(lambda image: image.convert("CMYK"), ".jpg", quality=98), at_most=3.0),
    Right("a picture with an alpha channel", by_pillow(lambda image: image.convert("RGBA"))),
    Right("a tag that turns the picture", exif),
    Right("bytes behind the end", lambda folder: appended(write_metric(folder / "map.png"), bytes(300))),
    Right("JPEG 2000", copied("JP2OpenJPEG", ".jp2", QUALITY=100, REVERSIBLE="YES")),
    Right("a virtual raster", copied("VRT", ".vrt")),
    Right("an unknown suffix", lambda folder: geotiff("EPSG:25832")(folder).rename(folder / "map.geotiff")),
    Right("blanks and umlauts in the name", lambda folder: geotiff("EPSG:25832")(folder).rename(folder / "Straße 1.tif")),
)  # fmt: skip

REFUSED = (
    Refused("no file", lambda folder: folder / "map.tif", "map.tif: there is no such file"),
    Refused("an empty file", text_file("map.png", b""), r"the picture file is empty \(0 bytes\)"),
    Refused("text", text_file("map.tif", b"not a picture"), "is not a whole picture .*not recognized as being in a supported"),
    Refused("HTML instead of a picture", text_file("map.png", b"<html>404</html>"), "is not a whole picture"),
    Refused("a cut PNG", cut(".png"), "is not a whole picture"),
    Refused("a cut JPEG", cut(".jpg"), "is not a whole picture"),
    Refused("a cut TIFF", cut(".tif"), "is not a whole picture"),
    Refused("a system without coordinates", crs_only, r"has a coordinate reference system \(WGS 84 / UTM zone 32N\), but no coordinates"),
    Refused("coordinates without a system", with_world_file(".png", ".pgw"), "no coordinate reference system; put a .prj"),
    Refused("a .prj that names nothing", with_world_file(".png", ".pgw", "nonsense"), "map.prj: names no coordinate reference system"),
    Refused("a --crs that names nothing", with_world_file(".png", ".pgw"), "--crs: 'EPSG:1' names no", RasterHints(crs="EPSG:1")),
    Refused("another --crs than the file's", geotiff("EPSG:25832"), "is in ETRS89 / UTM zone 32N, not in", RasterHints(crs="EPSG:3857")),
    Refused("a local system", local_crs, "its coordinate reference system is not tied to the earth"),
    Refused("a camera model only", rpc_only, r"is placed by a camera model \(RPC\) only; orthorectify it"),
    Refused("control points without a system", by_control_points(crs=None), "no coordinate reference system"),
    Refused("coordinates that are none", geotiff("EPSG:25832", shift_x=1e9), "are no coordinates of ETRS89 / UTM zone 32N"),
    Refused("a world file of another format", lambda f: with_world_file(".png", ".jgw")(f), "map.jgw: is no world file of six numbers"),
    Refused("a world file of five lines", lambda f: five_lines(f), "map.pgw: is no world file of six numbers"),
    Refused("no place at all", lambda folder: write(folder / "map.png", BANDS), "map.png: the position of the overhead image is not stated"),
    Refused("JSON that is none", described("{"), "georef.json: is no JSON"),
    Refused("a list", described("[]"), "georef.json: is no JSON object"),
    Refused("no entry of this image", described('{"other": {"m_per_px": 1}}'), "georef.json: has no entry map"),
    Refused("an entry that is no object", described('{"map": 3}'), "georef.json: entry map is no object"),
    Refused("endless brackets", described("[" * 100_000), r"georef.json: is no JSON \(maximum recursion depth"),
    Refused("an endless number", described('{"center": [49, 8], "m_per_px": ' + "9" * 5000 + "}"), "georef.json: is no JSON"),
    Refused("a key twice", described('{"center": [1, 2], "center": [49, 8], "m_per_px": 1}'), "center is there twice"),
    Refused("three coordinates", described('{"center": [49, 8, 100], "m_per_px": 1}'), r"has no center as \[latitude, longitude\]"),
    Refused("a latitude that is not a number", described('{"center": [NaN, 8], "m_per_px": 1}'), "nan is not a number"),
    Refused("an infinite pixel", described('{"center": [49, 8], "m_per_px": 1e999}'), "m_per_px inf is not a number"),
    Refused("a negative pixel", described('{"center": [49, 8], "m_per_px": -0.5}'), "m_per_px -0.5 is not positive"),
    Refused("a decimal comma", described('{"center": [49, 8], "m_per_px": "0,5"}'), "decimals are written with a point"),
    Refused("a pixel of no size", described('{"center": [49, 8]}'), "georef.json: has no m_per_px"),
    Refused("one corner", described('{"north_west": [49.1, 8.1]}'), r"has no south_east as \[latitude, longitude\]"),
    Refused("the other corner", described('{"south_east": [49, 8.1]}'), r"has no north_west as \[latitude, longitude\]"),
    Refused("a centre and corners", described(corners([49.1, 8.1], [49.0, 8.9])[:-1] + ', "center": [49, 8]}'), "has center and north_west; keep the one that is right"),
    Refused("no centre", described('{"m_per_px": 1}'), r"has no center as \[latitude, longitude\]"),
    Refused("longitude first", described('{"center": [151.2, -33.9], "m_per_px": 1}'), "center: latitude 151.2 is not within .*give latitude first"),
    Refused("a size that is no number", described('{"center": [49, 8], "m_per_px": "fine"}'), "m_per_px 'fine' is not a number"),
    Refused("kilometres a pixel", described('{"center": [49, 8], "m_per_px": 0.0002}'), "its pixels measure 0.0002 x 0.0002 m"),
    Refused("pixels of 10 m", described('{"center": [49, 8], "m_per_px": 10}'), "not between 0.002 and 2.5 m"),
    Refused("corners of another image", described(corners([49.1, 8.1], [49.0, 8.9])), "the corners make pixels of"),
    Refused("south-west for north-west", described(corners([49.0, 8.4], [49.1, 8.5])), "the corners make pixels of"),
    Refused("two places", own_and_beside(49.1), "its own coordinates and the .json beside it place it 11,121 m apart"),
    Refused("four bands that say nothing", meaning([2, 1, 0, 0], UNDEFINED), "does not say which bands are red, green and blue"),
    Refused("a band that is not there", lambda f: write_metric(f / "map.tif"), "has 3 bands, no band 4", RasterHints(bands=(4, 3, 2))),
    Refused("complex numbers", complex_numbers, "holds complex numbers"),
    Refused("negative values", values(lambda b: b.astype(np.int16) - 100), "int16 values from -84 to .* fit no usual range; state"),
    Refused("values beyond all ranges", values(lambda b: b.astype(np.float32) * 1e6), "fit no usual range; state the values of black"),
    Refused("an address in a virtual raster", vrt_of("/vsicurl/http://localhost/x.tif"), "refers to /vsicurl/http://localhost/x.tif, which is no file"),
    Refused("a lost file in a virtual raster", vrt_of("/nowhere/x.tif"), "refers to /nowhere/x.tif, which does not exist"),
)  # fmt: skip


def five_lines(folder: Path) -> Path:
    path = with_world_file(".png", ".pgw")(folder)
    world = path.with_suffix(".pgw")
    world.write_text("\n".join(world.read_text().splitlines()[:5]))
    return path


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_read_rightly(case: Right, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cvlnet"):
        image = open_overhead(case.make(tmp_path), case.hints)
    assert difference(image, case.center) < case.at_most
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (case.warns is not None), said
    if case.warns is not None:
        assert re.search(case.warns, said[0])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_in_one_line(case: Refused, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=case.line) as caught:
        open_overhead(case.make(tmp_path), case.hints)
    assert "\n" not in str(caught.value)


def test_grey_is_grey(tmp_path: Path) -> None:
    image = open_overhead(write_metric(tmp_path / "map.png", BANDS[:1]))
    pixels = image.read(slice(0, 160), slice(0, 160)).pixels
    assert np.array_equal(pixels, np.repeat(PICTURE[..., :1], 3, axis=-1))


def hole(folder: Path, kind: str) -> tuple[Path, RasterHints]:
    """The western half is missing, by one of the ways in which files say so."""
    west = np.zeros(BANDS.shape[1:], bool)
    west[:, : SIDE_PX // 2] = True
    blanked = np.where(west, 0, BANDS).astype(np.uint8)
    alpha = np.where(west, 0, 255).astype(np.uint8)[None]
    match kind:
        case "alpha":
            return write_metric(folder / "map.png", np.concatenate([BANDS, alpha])), RasterHints()
        case "alpha of a GeoTIFF":
            return write_metric(folder / "map.tif", np.concatenate([BANDS, alpha]), alpha="yes"), RasterHints()
        case "nodata":
            return write_metric(folder / "map.tif", blanked, nodata=0), RasterHints()
        case "--nodata":
            return write_metric(folder / "map.png", blanked), RasterHints(nodata=0.0)
        case "NaN":
            floats = np.where(west, np.nan, BANDS).astype(np.float32)
            return write_metric(folder / "map.tif", floats), RasterHints(value_range=(0.0, 255.0))
        case "mask":
            path = write_metric(folder / "map.tif")
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
                file.write_mask(~west)
            return path, RasterHints()
        case "palette":
            path = write_metric(folder / "map.png")
            indexed = Image.fromarray(PICTURE).quantize(255)
            index = np.where(west, 255, np.asarray(indexed)).astype(np.uint8)
            image = Image.fromarray(index, "P")
            image.putpalette([*(indexed.getpalette() or [])[: 255 * 3], 0, 0, 0])
            image.save(path, transparency=255)
            return path, RasterHints()
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["alpha", "alpha of a GeoTIFF", "nodata", "--nodata", "NaN", "mask", "palette"])
def test_missing_pixels(kind: str, tmp_path: Path) -> None:
    path, hints = hole(tmp_path, kind)
    patch = open_overhead(path, hints).read(slice(0, SIDE_PX), slice(0, SIDE_PX))
    assert patch.valid is not None
    assert not patch.valid[:, : SIDE_PX // 2].any()
    assert patch.valid[:, SIDE_PX // 2 :].all()


def test_pure_black_that_is_not_marked_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, _ = hole(tmp_path, "--nodata")
    assert not open_overhead(path).may_lack_pixels
    assert "50% of it are pure black and not marked as missing" in caplog.text
    assert "--nodata 0" in caplog.text


def test_a_place_in_a_folder_of_many_pictures(tmp_path: Path) -> None:
    """georef.json may hold entries of other pictures; a picture's own .json goes first."""
    path = write(tmp_path / "map.png", BANDS)
    entry = {"center": list(CENTER.degrees), "m_per_px": M_PER_PX}
    (tmp_path / "georef.json").write_text(json.dumps({"other": {}, "map": entry}))
    assert difference(open_overhead(path)) == 0
    (tmp_path / "map.json").write_text(json.dumps({**entry, "center": [10.0, 8.4]}))
    assert open_overhead(path).center.latitude_deg == pytest.approx(10.0)


def test_a_window_of_a_large_file_does_not_read_it_whole(tmp_path: Path) -> None:
    """A sparse file of 30,000 px square would take 2.7 GB."""
    path, side = tmp_path / "map.tif", 30_000
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "tiled": True}
    with rasterio.open(
        path, "w", **profile, sparse_ok=True, crs="EPSG:25832", transform=Affine(0.2, 0, 456000, 0, -0.2, 5428000)
    ) as file:
        file.write(BANDS, window=rasterio.windows.Window(20_000, 10_000, SIDE_PX, SIDE_PX))
    image = open_overhead(path, RasterHints(nodata=256.0))
    assert image.shape == (side, side)
    patch = image.read(slice(10_000, 10_000 + SIDE_PX), slice(20_000, 20_000 + SIDE_PX))
    assert np.array_equal(patch.pixels, PICTURE)
    halved = image.read(slice(10_000, 10_000 + SIDE_PX), slice(20_000, 20_000 + SIDE_PX), 2).pixels
    expected = cv2.resize(PICTURE, (80, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(halved.astype(int) - expected).max() <= 1


def test_a_damaged_window_is_an_error_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)
    path = write_metric(tmp_path / "map.png")
    image = open_overhead(path)
    assert np.array_equal(image.read(slice(0, SIDE_PX), slice(0, SIDE_PX)).pixels, PICTURE)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"map.png: is not a whole picture \(.*\); copy or download it again"):
        open_overhead(path).read(slice(0, SIDE_PX), slice(0, SIDE_PX))


@pytest.mark.parametrize(
    ("hints", "line"),
    [
        ({"bands": (1, 2)}, "bands are one or three numbers from 1, not 1 2"),
        ({"bands": (0, 1, 2)}, "bands are one or three numbers from 1"),
        ({"value_range": (5.0, 5.0)}, "a range of values rises, 5 to 5 does not"),
        ({"value_range": (0.0, float("inf"))}, "a range of values rises"),
    ],
)
def test_impossible_hints(hints: dict[str, tuple[float, ...]], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        RasterHints(**hints)  # type: ignore[arg-type]
