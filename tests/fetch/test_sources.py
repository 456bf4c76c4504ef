from urllib.parse import urlsplit

import pytest
from pyproj import CRS

from cvlnet.errors import InputError
from cvlnet.fetch.source import Source, plain
from cvlnet.fetch.sources import SOURCES, own_service, source_of
from cvlnet.fetch.web_map import WebMap
from cvlnet.fetch.web_tiles import WebTiles


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_is_complete(source: Source) -> None:
    assert source_of(source.name) is source
    assert source.stem == source.name == plain(source.name)
    assert urlsplit(source.access.address).scheme == "https"
    assert urlsplit(source.access.address).hostname in source.access.hosts
    assert CRS.from_user_input(source.crs).axis_info[0].unit_name == "metre"
    assert 0 < source.m_per_px < 0.5
    assert source.credit
    assert "https://" in source.licence


def test_names_are_unique() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)


def test_an_unknown_source() -> None:
    with pytest.raises(InputError, match=r"no source bw-dop10 \(did you mean bw-dop20\?\); choose one of bw-dop20, "):
        source_of("bw-dop10")


def test_a_service_of_ones_own() -> None:
    source = own_service("wms", "https://example.org/wms", "a:b/../c", "epsg:25833", 0.2, "credit", "licence")
    assert source.access == WebMap("https://example.org/wms", "a:b/../c")
    assert (source.crs, source.stem) == ("EPSG:25833", "wms-a-b-c")
    tiles = own_service("wmts", "http://localhost/wmts", "c", "EPSG:3857", 0.2, "credit", "licence")
    assert tiles.access == WebTiles("http://localhost/wmts", "c")


@pytest.mark.parametrize(
    ("address", "crs", "m_per_px", "what"),
    [
        ("example.org", "EPSG:3857", 0.2, "--url: example.org is no address"),
        ("file:///etc/passwd", "EPSG:3857", 0.2, "--url: file:///etc/passwd is no address"),
        ("https://", "EPSG:3857", 0.2, "--url: https:// is no address"),
        ("https://example.org", "EPSG:0", 0.2, "--crs: EPSG:0 names no coordinate reference system"),
        ("https://example.org", "EPSG:4326", 0.2, "--crs: EPSG:4326 is no EPSG system in metres"),
        ("https://example.org", "EPSG:2263", 0.2, "--crs: EPSG:2263 is no EPSG system in metres"),
        ("https://example.org", "+proj=aeqd +lat_0=49", 0.2, "is no EPSG system in metres"),
        ("https://example.org", "EPSG:3857", 0.0, "--m-per-px: 0 is no resolution"),
        ("https://example.org", "EPSG:3857", float("nan"), "--m-per-px: nan is no resolution"),
    ],
)
def test_a_service_that_cannot_be(address: str, crs: str, m_per_px: float, what: str) -> None:
    with pytest.raises(InputError, match=what):
        own_service("wms", address, "layer", crs, m_per_px, "credit", "licence")
