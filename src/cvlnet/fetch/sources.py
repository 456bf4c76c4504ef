"""The table of sources: public servers of overhead imagery, each with its licence and the credit that it asks for.

None of them was contacted while this was written. Addresses, grids and formats come from the providers' pages and from
other people's code, and a source that has changed is refused with a message. docs/imagery.md says how to add one.
"""

from __future__ import annotations

from math import inf
from urllib.parse import urlsplit

from pyproj import CRS
from pyproj.exceptions import CRSError

from cvlnet.errors import InputError
from cvlnet.fetch.source import Source, plain
from cvlnet.fetch.stac import StacCollection
from cvlnet.fetch.web_map import WebMap
from cvlnet.fetch.web_tiles import WebTiles
from cvlnet.fetch.zip_cells import ZipCells
from cvlnet.io.text import did_you_mean

_GB, _MB = 10**9, 10**6


SOURCES = (
    Source(
        name="bw-dop20",
        title="Baden-Württemberg, orthophotos DOP20 (LGL)",
        crs="EPSG:25832",
        m_per_px=0.2,
        licence="dl-de/by-2-0, https://www.govdata.de/dl-de/by-2-0",
        credit="Datenquelle: LGL, www.lgl-bw.de, dl-de/by-2-0",
        access=ZipCells(
            address="https://opengeodata.lgl-bw.de/data/dop20/dop20rgb_32_{E}_{N}_2_bw.zip",
            side_km=2,
            first_km=(1, 0),
            about_bytes=300 * _MB,
            most_bytes=_GB,
            most_unpacked_bytes=_GB,
            dated_by=("Bildflugdatum", "Befliegungsdatum", "Aktualitaet"),
        ),
    ),
    Source(
        name="ch-swissimage",
        title="Switzerland, SWISSIMAGE 10 cm (swisstopo)",
        crs="EPSG:2056",
        m_per_px=0.1,
        licence="open data of swisstopo, https://www.swisstopo.admin.ch/en/terms-of-use-free-geodata-and-geoservices",
        credit="© swisstopo",
        access=StacCollection(
            address="https://data.geo.admin.ch/api/stac/v1",
            collection="ch.swisstopo.swissimage-dop10",
            side_m=1000.0,
            about_bytes=60 * _MB,
            most_bytes=_GB,
        ),
    ),
    Source(
        name="nw-dop",
        title="North Rhine-Westphalia, orthophotos DOP (Geobasis NRW)",
        crs="EPSG:25832",
        m_per_px=0.2,
        licence="dl-de/zero-2-0, https://www.govdata.de/dl-de/zero-2-0",
        credit="Geobasis NRW",
        access=WebMap("https://www.wms.nrw.de/geobasis/wms_nw_dop", "nw_dop_rgb"),
    ),
    Source(
        name="at-basemap",
        title="Austria, orthophotos of basemap.at",
        crs="EPSG:3857",
        m_per_px=0.2986,
        licence="CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
        credit="Datenquelle: basemap.at",
        access=WebTiles("https://mapsneu.wien.gv.at/basemapneu/1.0.0/WMTSCapabilities.xml", "bmaporthofoto30cm"),
    ),
)


def source_of(name: str) -> Source:
    """A source of the table. Raises InputError if there is none of that name."""
    by_name = {source.name: source for source in SOURCES}
    if name not in by_name:
        what = f"there is no source {name}{did_you_mean(name, by_name)}"
        remedy = f"choose one of {', '.join(by_name)}, or wms or wmts with --url and --layer"
        raise InputError(what, where="SOURCE", remedy=remedy)
    return by_name[name]


def own_service(kind: str, address: str, layer: str, crs: str, m_per_px: float, credit: str, licence: str) -> Source:
    """A map service that is not in the table; kind is wms or wmts.

    Raises InputError for an address that is none, a coordinate reference system that is none or is in degrees, or a
    resolution that is not positive.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise InputError(f"{address} is no address", where="--url", remedy="start it with https://")
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        remedy = "say EPSG:CODE"
        raise InputError(f"{crs} names no coordinate reference system", where="--crs", remedy=remedy) from error
    code = system.to_authority()
    if (
        not system.is_projected
        or system.axis_info[0].unit_conversion_factor != 1.0
        or code is None
        or code[0] != "EPSG"
    ):
        remedy = "choose one of the service that is in metres, such as EPSG:3857"
        raise InputError(f"{crs} is no EPSG system in metres", where="--crs", remedy=remedy)
    if not 0 < m_per_px < inf:
        remedy = "give the size of a pixel in metres, such as 0.2"
        raise InputError(f"{m_per_px:g} is no resolution", where="--m-per-px", remedy=remedy)
    access = WebMap(address, layer) if kind == "wms" else WebTiles(address, layer)
    title = f"{layer} of {address}"
    return Source(f"{kind}-{plain(layer)}", title, ":".join(code), m_per_px, licence, credit, access)
