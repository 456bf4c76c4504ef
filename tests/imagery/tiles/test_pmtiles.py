"""Directories of PMTiles: which tiles they hold, by places along a Hilbert curve."""

import tempfile
from pathlib import Path

import numpy as np
from ground import encoded, write_pmtiles
from hypothesis import given, settings
from hypothesis import strategies as st
from pmtiles.tile import (
    Compression,
    Entry,
    TileType,
    serialize_directory,
    serialize_header,
    tileid_to_zxy,
    zxy_to_tileid,
)

from cvlnet.config import RasterHints
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.tiles.pmtiles import Archive, _squares, open_pmtiles

ZOOM, X, Y = 19, 274377, 180052
GREY = encoded(np.full((256, 256, 3), 90, np.uint8))


@given(st.integers(0, 4000), st.integers(1, 500))
def test_a_range_along_the_curve_is_a_set_of_squares(start: int, count: int) -> None:
    zoom = 6
    base = zxy_to_tileid(zoom, 0, 0)
    expected = [tileid_to_zxy(base + place)[1:] for place in range(start, min(start + count, 4**zoom))]
    seen = []
    for place, side in _squares(start, min(start + count, 4**zoom)):
        left, top = (value // side * side for value in tileid_to_zxy(base + place)[1:])
        seen += [(left + right, top + down) for right in range(side) for down in range(side)]
    assert sorted(seen) == sorted(expected)


@given(st.sets(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_extent_and_the_tiles_are_those_that_were_written(places: set[tuple[int, int]], alike: bool) -> None:
    """Also where neighbours along the curve are the same picture, which is then there once for all of them."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = {
            (ZOOM, X + x, Y + y): GREY
            if alike
            else encoded(np.full((256, 256, 3), 41 * y + x, np.uint16).astype(np.uint8))
            for x, y in places
        }
        coarse = {(ZOOM - 1, X // 2, Y // 2): GREY}
        image = open_pmtiles(write_pmtiles(Path(folder) / "map.pmtiles", pictures | coarse), RasterHints())
        xs, ys = zip(*places, strict=True)
        extent = image.store.extent
        assert (extent.zoom, extent.left, extent.top) == (ZOOM, X + min(xs), Y + min(ys))
        assert (extent.cols, extent.rows) == (max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
        for at, picture in pictures.items():
            assert image.store.encoded(*at[1:]) == picture
        absent = {(x, y) for x in range(41) for y in range(41)} - places
        assert all(image.store.encoded(X + x, Y + y) is None for x, y in sorted(absent)[:20])


def test_one_picture_for_a_whole_level_costs_nothing(tmp_path: Path) -> None:
    """A single entry stands for a quarter of a million tiles."""
    first = min(
        zxy_to_tileid(ZOOM, X // 512 * 512 + right, Y // 512 * 512 + down) for right in (0, 511) for down in (0, 511)
    )
    root = serialize_directory([Entry(first, 0, len(GREY), 512 * 512)])
    header = {
        "root_offset": 127, "root_length": len(root), "metadata_offset": 127, "metadata_length": 0,
        "tile_data_offset": 127 + len(root), "tile_data_length": len(GREY), "clustered": True, "min_zoom": ZOOM,
        "max_zoom": ZOOM, "tile_type": TileType.PNG, "internal_compression": Compression.GZIP,
        "tile_compression": Compression.NONE,
    }  # fmt: skip
    path = tmp_path / "map.pmtiles"
    path.write_bytes(serialize_header(header) + root + GREY)
    image = open_overhead(path)
    assert image.shape == (512 * 256, 512 * 256)
    patch = image.read(slice(100_000, 100_600), slice(70_000, 70_600))
    assert patch.valid is None
    assert (patch.pixels == 90).all()
    assert Archive(path).highest_zoom() == ZOOM
