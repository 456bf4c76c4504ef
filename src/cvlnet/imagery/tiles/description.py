"""What stands beside tiles: how their rows are counted, what area they cover, whom they are credited to."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cvlnet.config import RasterHints, TileScheme
from cvlnet.errors import InputError
from cvlnet.imagery.credit import one_line
from cvlnet.imagery.tiles.pyramid import TileRange, counted_from_north, level_raster
from cvlnet.io.text import read_json

_NAMES = ("tiles.json", "tilejson.json", "metadata.json")
_TMS = "tilemapresource.xml"  # by gdal2tiles and other makers of TMS folders
_LARGEST_BYTES = 2**22
_SCHEMES: tuple[TileScheme, ...] = ("xyz", "tms")
_VECTOR_FORMATS = ("pbf", "mvt", "mlt")
_WEB_MERCATOR = re.compile(r"EPSG:+(3857|900913|3785)|OSGEO:41001", re.IGNORECASE)
_SEE = "see the section on tiles in docs/conventions.md"


@dataclass(frozen=True)
class Bounds:
    """An area in degrees. west is greater than east where it crosses the antimeridian."""

    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float


@dataclass(frozen=True)
class Description:
    """What is said of tiles; None where nothing is said. where: the file that says it."""

    where: Path
    scheme: TileScheme | None = None
    bounds: Bounds | None = None
    credit: str | None = None


def description_in(folder: Path) -> Description | None:
    """What the files beside a folder's zoom levels say of its tiles. Raises InputError if they differ."""
    found = [_of_json(folder / name) for name in _NAMES if (folder / name).is_file()]
    if (folder / _TMS).is_file():
        found.append(_of_tms(folder / _TMS))
    schemes = {each.scheme: each.where for each in found if each.scheme is not None}
    if len(schemes) > 1:
        what = f"its rows are counted as {schemes['tms'].name} and as {schemes['xyz'].name} say, which differ"
        raise InputError(what, where=folder, remedy="delete the wrong one")
    if not found:
        return None
    return Description(
        next((each.where for each in found if each.scheme), found[0].where),
        next((each.scheme for each in found if each.scheme), None),
        next((each.bounds for each in found if each.bounds), None),
        next((each.credit for each in found if each.credit), None),
    )


def described(entries: Mapping[str, Any], where: Path) -> Description:
    """What TileJSON, or the metadata of an archive, says of tiles.

    Raises InputError if it says that these are vectors, or is malformed.
    """
    image_format = str(entries.get("format", "")).lower()
    if image_format in _VECTOR_FORMATS or "vector_layers" in entries:
        raise InputError("holds vector tiles, no pictures", where=where, remedy="give tiles of imagery")
    scheme = entries.get("scheme")
    templates = entries.get("tiles")
    if scheme is None and isinstance(templates, list) and any("{-y}" in str(address) for address in templates):
        scheme = "tms"
    if scheme is not None and scheme not in _SCHEMES:
        raise InputError(f'its scheme is {scheme!r:.40}, neither "xyz" nor "tms"', where=where, remedy=_SEE)
    credit = entries.get("attribution")
    return Description(where, scheme, _bounds(entries.get("bounds"), where), _plain(credit))


def scheme_of(described_as: Description | None, hints: RasterHints, extent: TileRange, source: Path) -> TileScheme:
    """How rows are counted: as the user or a description says, or as fits the area that a description states.

    ``extent``: of the tiles as they are numbered.
    Raises InputError if nothing says it, or if what says it contradicts the area.
    """
    stated = None if described_as is None else described_as.scheme
    if stated is not None and hints.tile_scheme not in (None, stated):
        assert described_as is not None
        what = f'says "{stated}", not "{hints.tile_scheme}" as --tile-scheme says'
        raise InputError(what, where=described_as.where, remedy="leave --tile-scheme out, or correct the file")
    bounds = None if described_as is None else described_as.bounds
    fitting = [scheme for scheme in _SCHEMES if bounds is None or _meets(bounds, extent, scheme)]
    chosen = hints.tile_scheme or stated
    if not fitting or (chosen is not None and chosen not in fitting):
        assert described_as is not None
        counted = "" if chosen is None else f" where rows are counted as {chosen}"
        what = f"the area that it states holds none of the tiles{counted}"
        other = "" if not fitting else f" (--tile-scheme {fitting[0]} would fit)"
        raise InputError(what, where=described_as.where, remedy=f"correct the bounds or the scheme{other}")
    if chosen is not None:
        return chosen
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(
        "it is not stated whether rows of tiles are counted from the north or from the south",
        where=source,
        remedy="give --tile-scheme xyz (from the north, as most web maps) or tms (from the south)",
    )


def _of_json(path: Path) -> Description:
    _require_small(path)
    return described(read_json(path, _SEE), path)


def _of_tms(path: Path) -> Description:
    _require_small(path)
    text = path.read_bytes()
    try:
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # a few lines of entities make gigabytes
            raise InputError("declares XML entities", where=path, remedy=_SEE)
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"is no XML ({error})", where=path, remedy=_SEE) from error
    srs = (root.findtext("SRS") or "").strip()
    if not _WEB_MERCATOR.search(srs):
        what = f"its tiles are in {srs or 'no named system':.60}, not in Web Mercator"
        raise InputError(what, where=path, remedy="make them by gdal2tiles --profile=mercator")
    return Description(path, "tms")


def _require_small(path: Path) -> None:
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"is larger than {_LARGEST_BYTES >> 20} MB", where=path, remedy=_SEE)


def _bounds(value: Any, where: Path) -> Bounds | None:
    """Four numbers, in a list or separated by commas."""
    if value is None:
        return None
    fields = value.split(",") if isinstance(value, str) else value
    try:
        west, south, east, north = (float(field) for field in fields)
    except (TypeError, ValueError, OverflowError):
        west = south = east = north = float("nan")
    if not all(map(isfinite, (west, south, east, north))) or not -90 <= south <= north <= 90:
        raise InputError(f"its bounds are {value!r:.80}, no west, south, east, north", where=where, remedy=_SEE)
    return Bounds(west, south, east, north)


def _meets(bounds: Bounds, extent: TileRange, scheme: TileScheme) -> bool:
    """Whether an area touches that of tiles."""
    rows = counted_from_north(extent, scheme)
    level = level_raster(rows.zoom)
    (north, west_deg), (south, _) = level.latlon_deg(
        [[rows.left, rows.top], [rows.left, rows.top + rows.rows]]
    ).tolist()
    if bounds.south_deg > north or bounds.north_deg < south:
        return False
    width_deg = 360 * extent.cols / 2**extent.zoom
    east_of_bounds = (west_deg - bounds.west_deg) % 360  # the tiles' western edge from that of the area
    area_deg = (bounds.east_deg - bounds.west_deg) % 360 or (360.0 if bounds.east_deg > bounds.west_deg else 0.0)
    return bool(east_of_bounds <= area_deg or east_of_bounds + width_deg >= 360)


def _plain(value: Any) -> str | None:
    """An attribution without the tags of HTML."""
    return one_line(html.unescape(re.sub(r"<[^>]*>", "", value[:10_000]))) if isinstance(value, str) else None
