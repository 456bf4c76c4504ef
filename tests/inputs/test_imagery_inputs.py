"""Mosaics, tiles and virtual rasters as people have them, odd, malformed and hostile: each is read rightly, or refused
with one line.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from ground import Tiles, encoded, write_folder, write_mbtiles, write_pmtiles
from maps import world_file, write
from PIL import Image
from pmtiles.tile import (
    Compression,
    Entry,
    TileType,
    serialize_directory,
    serialize_header,
    zxy_to_tileid,
)
from rasterio.transform import Affine

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Patch
from cvlnet.map.store import POINTER

Source = Path | Sequence[Path]
Make = Callable[[Path], Source]
SIDE = 256
ZOOM, X, Y = 19, 274377, 180052  # a tile at 49.0 north, 8.4 east
PIXELS = np.random.default_rng(0).integers(1, 255, (SIDE, 2 * SIDE, 3), dtype=np.uint8)  # what most inputs show
BANDS = np.ascontiguousarray(PIXELS.transpose(2, 0, 1))
UTM = "EPSG:25832"
ORIGIN = Affine(0.2, 0, 456_000, 0, -0.2, 5_428_000)
XYZ, NO_HINTS = RasterHints(tile_scheme="xyz"), RasterHints()


@dataclass(frozen=True)
class Right:
    """Imagery that shows PIXELS, all of them, and nothing else."""

    name: str
    make: Make
    hints: RasterHints = NO_HINTS


@dataclass(frozen=True)
class Refused:
    """Imagery that is refused with a line that says this."""

    name: str
    make: Make
    line: str
    hints: RasterHints = NO_HINTS


def two_sheets(folder: Path) -> Path:
    """PIXELS as two GeoTIFFs, side by side."""
    for index in range(2):
        sheet(folder / f"{index}.tif", index)
    return folder


def sheet(path: Path, index: int, crs: str | None = UTM, transform: Affine = ORIGIN, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    data = np.ascontiguousarray(BANDS[:, :, index * SIDE :][:, :, :SIDE])
    return write(path, data, transform=transform @ Affine.translation(index * SIDE, 0), crs=crs, **options)


def then(change: Callable[[Path], object], make: Callable[[Path], Path] = two_sheets) -> Make:
    """An input of which something was changed."""

    def changed(folder: Path) -> Source:
        source = make(folder)
        change(source)
        return source

    return changed


def with_second(crs: str | None = UTM, transform: Affine = ORIGIN) -> Make:
    """Two sheets, of which the second lies otherwise."""
    return then(lambda folder: sheet(folder / "1.tif", 1, crs, transform))


def without_systems(folder: Path) -> Path:
    """Two sheets with world files, of which one has a .prj."""
    for path in sorted(two_sheets(folder).glob("*.tif")):
        with rasterio.open(path) as file:
            transform, data = file.transform, file.read()
        write(path, data)
        world_file(path.with_suffix(".tfw"), transform)
    (folder / "0.prj").write_text(rasterio.crs.CRS.from_user_input(UTM).to_wkt())
    return folder


def two_ranges(folder: Path) -> Path:
    """Sheets of 16 bits, one of 12 of them, and one of all of them, that differs in what is missing, too."""
    for index, (factor, options) in enumerate(((16, {}), (257, {"nodata": 0}))):
        data = BANDS[:, :, :SIDE].astype(np.uint16) * factor
        transform = ORIGIN @ Affine.translation(index * SIDE, 0)
        write(folder / f"{index}.tif", data, transform=transform, crs=UTM, **options)
    return folder


def described_alike(folder: Path) -> Path:
    """Two pictures with one georef.json."""
    place = {"north_west": [49.001, 8.4], "south_east": [49.0, 8.401524]}
    (folder / "georef.json").write_text(json.dumps(place))
    for index in range(2):
        write(folder / f"{index}.png", BANDS[:, :, :SIDE])
    return folder


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def pair(suffix: str = "png") -> Tiles:
    """PIXELS as two tiles."""
    return {(ZOOM, X + i, Y): encoded(PIXELS[:, i * SIDE :][:, :SIDE], suffix) for i in range(2)}


def one_tile(picture: bytes) -> Make:
    """A folder of one tile."""
    return lambda folder: write_folder(folder, {(ZOOM, X, Y): picture})


def folder_that_says(**files: str) -> Make:
    """A folder of tiles with these files, by their names with an underscore for the dot."""

    def make(folder: Path) -> Path:
        write_folder(folder, pair())
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    return make


def mbtiles_of(*statements: str, contents: Tiles | None = None, **metadata: str) -> Make:
    """An MBTiles file in which these statements were executed."""

    def make(folder: Path) -> Path:
        path = write_mbtiles(folder / "map.mbtiles", pair() if contents is None else contents, **metadata)
        with sqlite3.connect(path) as base:
            for statement in statements:
                base.execute(statement)
        base.close()
        return path

    return make


def pmtiles_of(change: Callable[[bytearray], bytes | None]) -> Make:
    """A PMTiles file whose bytes were changed."""

    def make(folder: Path) -> Path:
        path = write_pmtiles(folder / "map.pmtiles", pair())
        content = bytearray(path.read_bytes())
        path.write_bytes(change(content) or content)
        return path

    return make


def set_number(at: int, value: int, length: int = 8) -> Callable[[bytearray], None]:
    """Write a number into the header."""

    def change(content: bytearray) -> None:
        content[at : at + length] = value.to_bytes(length, "little")

    return change


def archive(directories: Sequence[bytes], data: bytes, *, root_bytes: int | None = None, **header: object) -> Make:
    """A PMTiles file of a root, leaf directories and tiles as they are given."""

    def make(folder: Path) -> Path:
        root, *leaves = directories
        at = 127
        entries: dict[str, object] = {"root_offset": at, "root_length": root_bytes or len(root), "metadata_length": 0}
        entries |= {"metadata_offset": at + len(root), "leaf_directory_offset": at + len(root)}
        entries |= {"leaf_directory_length": len(b"".join(leaves))}
        entries |= {"tile_data_offset": at + len(root) + len(b"".join(leaves)), "tile_data_length": len(data)}
        entries |= {"clustered": True, "min_zoom": ZOOM, "max_zoom": ZOOM, "tile_type": TileType.PNG}
        entries |= {"internal_compression": Compression.GZIP, "tile_compression": Compression.NONE}
        path = folder / "map.pmtiles"
        path.write_bytes(serialize_header(entries | header) + root + b"".join(leaves) + data)
        return path

    return make


IDS = sorted((zxy_to_tileid(*at), picture) for at, picture in pair().items())
FIRST, SECOND = IDS[0][1], IDS[1][1]
ENTRIES = [
    Entry(IDS[0][0], 0, len(FIRST), 1),
    Entry(IDS[1][0], len(FIRST), len(SECOND), 1),
]
LEAVES = [serialize_directory([entry]) for entry in ENTRIES]
ROOT_OF_LEAVES = serialize_directory(
    [Entry(IDS[0][0], 0, len(LEAVES[0]), 0), Entry(IDS[1][0], len(LEAVES[0]), len(LEAVES[1]), 0)]
)
PACKED = [gzip.compress(FIRST), gzip.compress(SECOND)]
PACKED_ENTRIES = [Entry(IDS[0][0], 0, len(PACKED[0]), 1), Entry(IDS[1][0], len(PACKED[0]), len(PACKED[1]), 1)]
PLAIN_ROOT = gzip.decompress(serialize_directory(ENTRIES))
BOMB = gzip.compress(bytes(2**26))
ENDLESS = gzip.compress(b"\xff" * 2**20)
CYCLE = serialize_directory([Entry(IDS[0][0], 0, 60, 0)])


def by_a_view(folder: Path) -> Path:
    """Tiles as a view of two tables, as many programs write them, so that equal pictures are there once."""
    return mbtiles_of(
        "CREATE TABLE images AS SELECT rowid AS id, tile_data FROM tiles",
        "CREATE TABLE map AS SELECT zoom_level, tile_column, tile_row, rowid AS id FROM tiles",
        "DROP TABLE tiles",
        "CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data FROM map JOIN images USING (id)",
    )(folder)  # type: ignore[return-value]


def vrt(
    folder: Path, *sources: str, relative: int = 1, name: str = "map.vrt", more: str = "", inside: str = ""
) -> Path:
    """A virtual raster of sources side by side."""
    bands = ""
    for band in (1, 2, 3):
        parts = "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{SIDE}" ySize="{SIDE}"/>'
            f'<DstRect xOff="{index * SIDE}" yOff="0" xSize="{SIDE}" ySize="{SIDE}"/></SimpleSource>'
            for index, source in enumerate(sources)
        )
        color = ("Red", "Green", "Blue")[band - 1]
        bands += (
            f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{color}</ColorInterp>{parts}</VRTRasterBand>'
        )
    transform = ", ".join(map(str, (ORIGIN.c, ORIGIN.a, 0, ORIGIN.f, 0, ORIGIN.e)))
    size = f'rasterXSize="{2 * SIDE}" rasterYSize="{SIDE}"'
    head = f"<VRTDataset {size}><SRS>{UTM}</SRS><GeoTransform>{transform}</GeoTransform>{inside}"
    path = folder / name
    path.write_text(f"{more}{head}{bands}</VRTDataset>")
    return path


def vrt_in_a_folder(folder: Path) -> Path:
    """It and its sources stand in different folders."""
    for name in ("sheets", "maps"):
        (folder / name).mkdir()
    two_sheets(folder / "sheets")
    return vrt(folder / "maps", "../sheets/0.tif", "../sheets/1.tif")


def vrt_of_text(text: str) -> Make:
    """A virtual raster of a file with this text."""

    def make(folder: Path) -> Path:
        (folder / "source.xml").write_text(text)
        return vrt(folder, "source.xml")

    return make


def nested_vrt(folder: Path) -> Path:
    """A virtual raster of virtual rasters."""
    two_sheets(folder)
    for index in range(2):
        vrt(folder, f"{index}.tif", name=f"{index}.vrt")
    return vrt(folder, "0.vrt", "1.vrt")


def overviews_elsewhere(folder: Path) -> Path:
    path = sheet(folder / "map.tif", 0)
    metadata = '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/http://localhost/x.ovr</MDI></Metadata>'
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{metadata}</PAMDataset>")
    return path


def large_blocks(folder: Path) -> Path:
    path = folder / "map.tif"
    profile = {"driver": "GTiff", "width": 40_000, "height": 40_000, "count": 3, "dtype": "uint8", "sparse_ok": True}
    tiled = {"tiled": True, "blockxsize": 16_384, "blockysize": 16_384, "compress": "deflate"}
    with rasterio.open(path, "w", **profile, **tiled, crs=UTM, transform=ORIGIN):
        pass
    return path


def large_header(picture: bytes, side_px: int) -> bytes:
    """A PNG whose header states another size."""
    head = b"IHDR" + side_px.to_bytes(4, "big") * 2 + picture[24:29]
    return picture[:12] + head + zlib.crc32(head).to_bytes(4, "big") + picture[33:]


def deep_tile() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(65_536, dtype=np.uint16).reshape(SIDE, SIDE)).save(file, "PNG")
    return file.getvalue()


def joined(*makes: Callable[[Path], object]) -> Make:
    """Several things in one folder."""

    def make(folder: Path) -> Path:
        for each in makes:
            each(folder)
        return folder

    return make


TMS_XML = "<TileMap><SRS>{}</SRS></TileMap>"
AREA, ELSEWHERE = "8.39,48.99,8.41,49.01", "10,48,11,50"
ENDLESS_VIEW = (
    "DROP TABLE tiles",
    "CREATE VIEW tiles AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT 19 AS zoom_level, i AS tile_column, i AS tile_row, NULL AS tile_data FROM n",
)

RIGHT = (
    Right("two sheets", two_sheets),
    Right("a list of sheets", lambda folder: sorted(two_sheets(folder).glob("*.tif"))),
    Right("sheets in folders", lambda folder: joined(lambda f: sheet(f / "a" / "1.tif", 0), lambda f: sheet(f / "b" / "1.tif", 1))(folder)),
    Right("sheets with world files, one with a .prj, and --crs", without_systems, RasterHints(crs=UTM)),
    Right("one sheet twice", then(lambda folder: sheet(folder / "2.tif", 0))),
    Right("a resolution that differs by rounding", with_second(transform=Affine(0.2 + 1e-9, 0, 456_000, 0, -0.2, 5_428_000))),
    Right("an unnamed .tfw beside GeoTIFFs", then(lambda folder: world_file(folder / "0.tfw", ORIGIN))),
    Right("a virtual raster of relative paths", lambda folder: vrt(two_sheets(folder), "0.tif", "1.tif")),
    Right("a virtual raster of absolute paths", lambda folder: vrt(two_sheets(folder), f"{folder}/0.tif", f"{folder}/1.tif", relative=0)),
    Right("a virtual raster of files elsewhere", vrt_in_a_folder),
    Right("a virtual raster of virtual rasters", nested_vrt),
    Right("a virtual raster beside its sheets: the folder", then(lambda folder: vrt(folder, "0.tif", "1.tif"))),
    Right("a list of a virtual raster", lambda folder: [vrt(two_sheets(folder), "0.tif", "1.tif")]),
    Right("tiles in a folder", lambda folder: write_folder(folder, pair()), XYZ),
    Right("upper-case suffixes", lambda folder: write_folder(folder, pair(), suffix="PNG"), XYZ),
    Right("PNG and WebP in one folder", lambda folder: write_folder(write_folder(folder, dict(list(pair().items())[:1])), dict(list(pair("webp").items())[1:]), suffix="webp"), XYZ),
    Right("web pages and an empty zoom level beside tiles", joined(lambda f: write_folder(f, pair()), lambda f: (f / "20" / "1").mkdir(parents=True), lambda f: (f / "leaflet.html").touch(), lambda f: (f / "2024").mkdir(), lambda f: (f / str(ZOOM) / str(X) / "._1.png").touch()), XYZ),
    Right("tiles whose description says xyz", folder_that_says(tiles_json='{"tilejson": "3.0.0", "scheme": "xyz"}')),
    Right("tiles and --crs EPSG:3857", lambda folder: write_folder(folder, pair()), RasterHints(tile_scheme="xyz", crs="EPSG:3857")),
    Right("MBTiles", mbtiles_of(format="png", bounds=AREA)),
    Right("MBTiles by another name", lambda folder: mbtiles_of()(folder).rename(folder / "map.db")),  # type: ignore[union-attr]
    Right("MBTiles without metadata", mbtiles_of("DELETE FROM metadata")),
    Right("MBTiles as a view", by_a_view),
    Right("PMTiles", lambda folder: write_pmtiles(folder / "map.pmtiles", pair())),
    Right("PMTiles with leaf directories", archive([ROOT_OF_LEAVES, *LEAVES], FIRST + SECOND)),
    Right("PMTiles whose directories are not compressed", archive([PLAIN_ROOT], FIRST + SECOND, internal_compression=Compression.NONE)),
    Right("PMTiles whose tiles are compressed again", archive([serialize_directory(PACKED_ENTRIES)], b"".join(PACKED), tile_compression=Compression.GZIP)),
    Right("PMTiles and --tile-scheme xyz", lambda folder: write_pmtiles(folder / "map.pmtiles", pair()), XYZ),
)  # fmt: skip

REFUSED = (
    Refused("an empty folder", lambda folder: folder, "holds no imagery: no GeoTIFF or JPEG 2000, .*; name the folder or the file"),
    Refused("a map", lambda folder: ((folder / POINTER).write_text("{}"), folder)[1], "is a map of cvlnet map build; imagery is wanted here; name the image"),
    Refused("a list of nothing", lambda folder: [], "overhead imagery: no file is given; give at least one"),
    Refused("a list with a lost file", lambda folder: [*two_sheets(folder).glob("*.tif"), folder / "9.tif"], "9.tif: there is no such file"),
    Refused("sheets in two systems", with_second("EPSG:32633"), r"1.tif: is in another coordinate reference system than .*0.tif; warp one"),
    Refused("sheets of two resolutions", with_second(transform=ORIGIN @ Affine.scale(1.25)), r"1.tif: its pixels measure 0.25 x 0.25, those of .*0.tif 0.2 x 0.2; resample"),
    Refused("sheets of two heights of pixels", with_second(transform=ORIGIN @ Affine.scale(1.0, 1.04)), "1.tif: its pixels measure 0.2 x 0.208, those of"),
    Refused("a sheet without a system", without_systems, "1.tif: has coordinates, but no coordinate reference system"),
    Refused("a sheet in another system than --crs", two_sheets, "0.tif: is in ETRS89 / UTM zone 32N, not in", RasterHints(crs="EPSG:3857")),
    Refused("a sheet that nothing places", then(lambda folder: write(folder / "2.tif", BANDS)), "2.tif: the position of the overhead image is not stated"),
    Refused("a sheet in true metres", then(lambda f: (write(f / "2.png", BANDS), (f / "2.json").write_text('{"center": [49, 8], "m_per_px": 0.2}'))), "2.png: has its own system of true metres; give the corners"),
    Refused("sheets of two ranges of values", two_ranges, "1.tif: its values reach 65535, those of .*0.tif 4095; state the values of black and white by --value-range"),
    Refused("one description of two pictures", described_alike, "georef.json: describes one picture, and both 0.png and 1.png are there; give each an entry"),
    Refused("a damaged sheet", then(lambda folder: cut(folder / "1.tif", 0.001)), "1.tif: is not a whole picture"),
    Refused("half a sheet", then(lambda folder: cut(folder / "1.tif", 0.5)), "1.tif: is not a whole picture"),
    Refused("an empty sheet", then(lambda folder: (folder / "1.tif").write_bytes(b"")), r"1.tif: the picture file is empty \(0 bytes\)"),
    Refused("text for a sheet", then(lambda folder: (folder / "1.tif").write_text("tbd")), "1.tif: is not a whole picture .*not recognized"),
    Refused("sheets of 10 m", then(lambda f: [sheet(f / f"{i}.tif", i, transform=ORIGIN @ Affine.scale(50)) for i in range(2)]), "its pixels measure 10 x 10 m on the ground"),
    Refused("a mosaic and --tile-scheme", two_sheets, "is not made of tiles; leave --tile-scheme out", XYZ),
    Refused("a file and --tile-scheme", lambda folder: sheet(folder / "map.tif", 0), "map.tif: is not made of tiles; leave --tile-scheme out", XYZ),
    Refused("tiles and sheets", joined(two_sheets, lambda f: write_folder(f, pair())), r"holds tiles \(19/\) and georeferenced pictures \(0.tif\); put one"),
    Refused("only a virtual raster", lambda f: (vrt(f, "0.tif"), f)[1], "holds no imagery"),
    Refused("blocks of gigabytes", large_blocks, "is stored in blocks of 16384 x 16384 px, each of which has to be read as a whole; convert it to a tiled"),
    Refused("blocks of gigabytes in a virtual raster", lambda f: vrt(large_blocks(f).parent, "map.tif", name="all.vrt"), "map.tif: is stored in blocks of 16384 x 16384 px"),
    Refused("overviews elsewhere", overviews_elsewhere, "takes its overviews from /vsicurl/http://localhost/x.ovr, which is no file; delete the .aux.xml"),
    Refused("a service in a virtual raster", lambda f: vrt(f, "&lt;GDAL_WMS&gt;&lt;/GDAL_WMS&gt;"), "refers to <GDAL_WMS></GDAL_WMS>, which is no file"),
    Refused("a service by its prefix", lambda f: vrt(f, "WMS:http://localhost/"), "refers to WMS:http://localhost/, which is no file"),
    Refused("a description of a service in a file", vrt_of_text("<GDAL_WMS><Service name='TMS'/></GDAL_WMS>"), "refers to source.xml, which is no picture that is read here"),
    Refused("no picture in a virtual raster", vrt_of_text("root:x:0:0"), "refers to source.xml, which is no picture that is read here"),
    Refused("a virtual raster of itself", lambda f: vrt(f, "map.vrt"), "refers to map.vrt, a virtual raster 4 levels deep"),
    Refused("a virtual raster of a virtual raster that is remote", lambda f: (vrt(f, "/vsis3/x", name="1.vrt"), vrt(f, "1.vrt"))[1], "1.vrt: refers to /vsis3/x, which is no file"),
    Refused("a terrain model elsewhere", lambda f: vrt(two_sheets(f), "0.tif", inside="<DEMPath>/vsicurl/x</DEMPath>"), "refers to /vsicurl/x, which is no file"),
    Refused("coordinates of pixels elsewhere", lambda f: vrt(two_sheets(f), "0.tif", inside='<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">/vsicurl/x</MDI></Metadata>'), "refers to /vsicurl/x, which is no file"),
    Refused("entities in a virtual raster", lambda f: vrt(two_sheets(f), "0.tif", more='<!DOCTYPE x [<!ENTITY a "b">]>'), "declares XML entities; make it again"),
    Refused("half a virtual raster", then(lambda path: cut(path, 0.5), lambda f: vrt(two_sheets(f), "0.tif")), "is no virtual raster"),
    Refused("rows that could be counted either way", lambda folder: write_folder(folder, pair()), "it is not stated whether rows of tiles are counted from the north or from the south; give --tile-scheme"),
    Refused("--tile-scheme against the description", folder_that_says(tiles_json='{"scheme": "tms"}'), 'tiles.json: says "tms", not "xyz" as --tile-scheme says', XYZ),
    Refused("a scheme against the area", folder_that_says(tiles_json=f'{{"scheme": "tms", "bounds": [{AREA}]}}'), r"holds none of the tiles where rows are counted as tms; correct .*\(--tile-scheme xyz would fit\)"),
    Refused("--tile-scheme against the area", folder_that_says(tiles_json=f'{{"bounds": [{AREA}]}}'), "holds none of the tiles where rows are counted as tms", RasterHints(tile_scheme="tms")),
    Refused("another area", folder_that_says(tiles_json=f'{{"bounds": [{ELSEWHERE}]}}'), "the area that it states holds none of the tiles; correct the bounds"),
    Refused("two descriptions that differ", folder_that_says(tiles_json='{"scheme": "xyz"}', tilemapresource_xml=TMS_XML.format("EPSG:3857")), "its rows are counted as tilemapresource.xml and as tiles.json say, which differ"),
    Refused("an unknown scheme", folder_that_says(tiles_json='{"scheme": "zyx"}'), "its scheme is 'zyx', neither \"xyz\" nor \"tms\""),
    Refused("an area of three numbers", folder_that_says(tiles_json='{"bounds": [8, 48, 9]}'), r"its bounds are \[8, 48, 9\], no west, south, east, north"),
    Refused("an area that is not a number", folder_that_says(tiles_json='{"bounds": "a,b,c,d"}'), "its bounds are 'a,b,c,d', no west"),
    Refused("an area upside down", folder_that_says(tiles_json='{"bounds": [8, 50, 9, 48]}'), "no west, south, east, north"),
    Refused("a description that is no JSON", folder_that_says(metadata_json="{"), "metadata.json: is no JSON"),
    Refused("tiles in degrees", folder_that_says(tilemapresource_xml=TMS_XML.format("EPSG:4326")), "its tiles are in EPSG:4326, not in Web Mercator"),
    Refused("a TMS description that is no XML", folder_that_says(tilemapresource_xml="<TileMap>"), "tilemapresource.xml: is no XML"),
    Refused("entities in a TMS description", folder_that_says(tilemapresource_xml="<!DOCTYPE x [<!ENTITY a 'b'>]><TileMap/>"), "declares XML entities"),
    Refused("tiles and --bands", lambda folder: write_folder(folder, pair()), "tiles are pictures of 8 bits in RGB or grey; leave --bands", RasterHints(tile_scheme="xyz", bands=(1, 2, 3))),
    Refused("tiles and another --crs", lambda folder: write_folder(folder, pair()), f"tiles are in Web Mercator, not in {UTM} as --crs says", RasterHints(tile_scheme="xyz", crs=UTM)),
    Refused("vectors in a folder", lambda folder: write_folder(folder, pair(), suffix="pbf"), ".pbf: is a vector tile, no picture", XYZ),
    Refused("vectors by their description", folder_that_says(tiles_json='{"vector_layers": []}'), "tiles.json: holds vector tiles, no pictures"),
    Refused("folders without tiles", lambda folder: ((folder / "3" / "1").mkdir(parents=True), folder)[1], "holds no tiles; give PNG, JPEG or WebP pictures", XYZ),
    Refused("a column that the level does not have", lambda folder: write_folder(folder, {(3, 8, 1): FIRST}), "3: has a column or row above 7, the last one of zoom level 3", XYZ),
    Refused("a row that the level does not have", lambda folder: write_folder(folder, {(3, 1, 8): FIRST}), "3: has a column or row above 7", XYZ),
    Refused("a zoom level of 76 m", lambda folder: write_folder(folder, {(10, 535, 351): FIRST}), r"its pixels measure 100\..* x 100\..* m on the ground", XYZ),
    Refused("tiles all around the earth", lambda folder: write_folder(folder, {(ZOOM, i * 2**17, Y): FIRST for i in range(4)}), "reaches beyond its coordinate reference system", XYZ),
    Refused("an empty tile", one_tile(b""), rf"{Y}.png: is empty \(0 bytes\); download it again, or delete it", XYZ),
    Refused("a page instead of a tile", one_tile(b"<html>403</html>"), f"{Y}.png: is no PNG, JPEG or WebP picture", XYZ),
    Refused("half a tile", one_tile(FIRST[: len(FIRST) // 2]), f"{Y}.png: is not a whole picture", XYZ),
    Refused("a flipped bit in a tile", one_tile(FIRST[:5000] + bytes([FIRST[5000] ^ 8]) + FIRST[5001:]), f"{Y}.png: is not a whole picture", XYZ),
    Refused("a tile of 300 px", one_tile(encoded(np.zeros((300, 300, 3), np.uint8))), "measures 300 x 300 px, not 256 or 512 px square", XYZ),
    Refused("a tile that is not square", one_tile(encoded(np.zeros((256, 512, 3), np.uint8))), "measures 512 x 256 px, not", XYZ),
    Refused("a tile that states 300 MB", one_tile(large_header(FIRST, 10_000)), "measures 10000 x 10000 px, not 256 or 512 px square", XYZ),
    Refused("a tile that states gigabytes", one_tile(large_header(FIRST, 60_000)), "is far larger than a tile; give tiles", XYZ),
    Refused("a tile of 16 bits", one_tile(deep_tile()), "has more than 8 bits per channel; convert the tiles", XYZ),
    Refused("vectors in MBTiles, by their format", mbtiles_of(format="pbf"), "map.mbtiles: holds vector tiles, no pictures"),
    Refused("vectors in MBTiles, by their bytes", mbtiles_of(contents={(ZOOM, X, Y): gzip.compress(b"x")}), rf"map.mbtiles, tile 19/{X}/{Y}: is no picture; it may be a vector tile"),
    Refused("MBTiles with rows from the north", lambda f: write_mbtiles(f / "map.mbtiles", pair(), xyz=True, bounds=AREA), r"where rows are counted as tms; .*\(--tile-scheme xyz would fit\)"),
    Refused("MBTiles that say xyz", mbtiles_of(scheme="xyz"), "it is not stated whether rows of tiles are counted"),
    Refused("another data base", mbtiles_of("DROP TABLE tiles"), r"is no whole MBTiles file \(no such table: tiles\)"),
    Refused("MBTiles of nothing", mbtiles_of(contents={}), "map.mbtiles: holds no tiles"),
    Refused("a negative column", mbtiles_of("UPDATE tiles SET tile_column = tile_column - 274378"), "numbers a tile -1, not from 0 to 524287"),
    Refused("a column that is a word", mbtiles_of("UPDATE tiles SET tile_column = 'west' || tile_column"), "numbers a tile 'west274377', not from 0 to"),
    Refused("a zoom level that is a fraction", mbtiles_of("UPDATE tiles SET zoom_level = 3.5"), "numbers a tile 3.5, not from 0 to 26"),
    Refused("a zoom level of thousands", mbtiles_of("UPDATE tiles SET zoom_level = 9000"), "numbers a tile 9000, not from 0 to 26"),
    Refused("a tile that is a text", mbtiles_of("UPDATE tiles SET tile_data = 'x'"), rf"tile 19/{X}/{Y}: is no picture; copy"),
    Refused("a view without end", mbtiles_of(*ENDLESS_VIEW), r"is no whole MBTiles file \(interrupted\)"),
    Refused("half a data base", then(lambda path: cut(path, 0.5), mbtiles_of()), "is no whole MBTiles file"),  # type: ignore[arg-type]
    Refused("a data base that is being written", then(lambda path: Path(f"{path}-wal").write_bytes(b"x"), mbtiles_of()), "map.mbtiles-wal: has changes that are not written yet"),  # type: ignore[arg-type]
    Refused("PMTiles of vectors", pmtiles_of(set_number(99, TileType.MVT.value, 1)), "holds tiles of type MVT, no PNG, JPEG or WebP pictures"),
    Refused("PMTiles of version 2", pmtiles_of(set_number(7, 2, 1)), "is PMTiles of version 2, not 3; convert it"),
    Refused("a cut header", pmtiles_of(lambda content: content[:100]), r"is no whole PMTiles file \(it is cut short\)"),
    Refused("half of PMTiles", pmtiles_of(lambda content: content[: len(content) // 2]), "is no whole PMTiles file"),
    Refused("an unknown compression", pmtiles_of(set_number(97, 77, 1)), "is no whole PMTiles file .*77 is not a valid Compression"),
    Refused("compression by Brotli", pmtiles_of(set_number(98, Compression.BROTLI.value, 1)), "is compressed by brotli; make it with gzip"),
    Refused("a directory of exabytes", pmtiles_of(set_number(16, 2**60)), "a part of it has 1,152,921,504,606,846,976 bytes, more than 2,097,152"),
    Refused("a directory behind the end", pmtiles_of(set_number(8, 2**63)), "it is cut short"),
    Refused("metadata of exabytes", pmtiles_of(set_number(32, 2**60)), "a part of it has 1,152,921,504,606,846,976 bytes"),
    Refused("a directory that unpacks to 64 MB", archive([BOMB], FIRST), "a part of it does not end within 2 MB"),
    Refused("endless numbers", archive([ENDLESS], FIRST), "a directory has numbers of more than 64 bits"),
    Refused("directories in a circle", archive([CYCLE, CYCLE + bytes(60 - len(CYCLE))], FIRST), "its directories lie in each other"),
    Refused("PMTiles of nothing", archive([serialize_directory([])], b"x"), "map.pmtiles: holds no tiles"),
    Refused("a tile of gigabytes", archive([serialize_directory([Entry(IDS[0][0], 0, 2**32, 1)])], FIRST), "a part of it has 4,294,967,296 bytes, more than 16,777,216"),
    Refused("a tile that unpacks to 64 MB", archive([serialize_directory([Entry(IDS[0][0], 0, len(BOMB), 1)])], BOMB, tile_compression=Compression.GZIP), "a part of it does not end within 16 MB"),
    Refused("PMTiles and --tile-scheme tms", lambda folder: write_pmtiles(folder / "map.pmtiles", pair()), "PMTiles count rows from the north; leave --tile-scheme out", RasterHints(tile_scheme="tms")),
)  # fmt: skip


def whole(source: Source, hints: RasterHints) -> Patch:
    """All pixels: what is damaged may be noticed only where it is read."""
    image = open_overhead(source, hints)
    rows, cols = image.shape
    assert rows * cols <= 2**22
    return image.read(slice(0, rows), slice(0, cols))


@pytest.fixture(autouse=True)
def short_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.imagery.tiles.mbtiles._MOST_STEPS", 5)


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_read_rightly(case: Right, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    patch = whole(case.make(tmp_path), case.hints)
    assert patch.valid is None or patch.valid.all()
    assert np.array_equal(patch.pixels, PIXELS)
    assert not caplog.records


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_in_one_line(case: Refused, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        whole(case.make(tmp_path), case.hints)
    assert re.search(case.line, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_a_virtual_raster_is_refused_before_gdal_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL opens some sources as soon as it opens a virtual raster, so that a connection would have been made."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError

    path = vrt(tmp_path, "WMS:http://localhost/")
    monkeypatch.setattr("cvlnet.imagery.raster_file.DatasetReader", opened)
    with pytest.raises(InputError, match="is no file"):
        open_overhead(path)


def test_directories_are_bounded_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive([ROOT_OF_LEAVES, *LEAVES], FIRST + SECOND)(tmp_path)
    monkeypatch.setattr("cvlnet.imagery.tiles.pmtiles._MOST_BYTES_OF_DIRECTORIES", 8)
    assert np.array_equal(whole(path, NO_HINTS).pixels, PIXELS)
    monkeypatch.setattr("cvlnet.imagery.tiles.pmtiles._MOST_BYTES_OF_DIRECTORIES", 7)
    with pytest.raises(InputError, match="MB of directories; cut a part of it"):
        open_overhead(path)
