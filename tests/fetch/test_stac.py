import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyproj import Transformer

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area
from cvlnet.fetch.connection import StoppedError
from cvlnet.fetch.fetch import connect
from cvlnet.fetch.source import Piece, Source
from cvlnet.fetch.sources import source_of
from cvlnet.imagery.georef import open_overhead
from map_servers import Answer, MapServer, body, file, first, geotiff, lies_right, status

TO_WGS84 = Transformer.from_crs("EPSG:2056", "EPSG:4326", always_xy=True)


def box(west_m: float, south_m: float, east_m: float, north_m: float) -> list[float]:
    west, south = TO_WGS84.transform(west_m, south_m)
    east, north = TO_WGS84.transform(east_m, north_m)
    return [west, south, east, north]


def area(west_m: float, south_m: float, east_m: float, north_m: float) -> Area:
    west, south, east, north = box(west_m, south_m, east_m, north_m)
    return Area.between(south, west, north, east)


BERN = area(2_600_200.0, 1_199_200.0, 2_600_800.0, 1_199_800.0)


def item(year: int, east: int, north: int, **asset: Any) -> dict[str, Any]:
    """An item as swisstopo lists it: two pictures, of 2 m and of 0.1 m."""
    name = f"swissimage-dop10_{year}_{east}-{north}"
    common = {"type": "image/tiff; application=geotiff; profile=cloud-optimized", "proj:epsg": 2056}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": box(east * 1000.0, north * 1000.0, (east + 1) * 1000.0, (north + 1) * 1000.0),
        "geometry": None,
        "properties": {"datetime": f"{year}-06-01T00:00:00Z"},
        "links": [],
        "assets": {
            f"{name}_2_2056.tif": {"href": f"/files/{name}_2_2056.tif", "gsd": 2.0, **common},
            f"{name}_0.1_2056.tif": {"href": f"/files/{name}_0.1_2056.tif", "gsd": 0.1, **common, **asset},
        },
    }


def page(*items: dict[str, Any], following: dict[str, Any] | None = None) -> Answer:
    links = [] if following is None else [{"rel": "next", "type": "application/geo+json", **following}]
    collection = {"type": "FeatureCollection", "features": items, "links": links}
    return body(json.dumps(collection).encode(), "application/geo+json")


@pytest.fixture
def source(server: MapServer) -> Source:
    source = source_of("ch-swissimage")
    return replace(source, access=replace(source.access, address=f"{server.address}/api/stac/v1"))


def pieces(source: Source, wanted: Area = BERN, most_bytes: int = 10**9) -> list[Piece]:
    connection = connect(source, most_bytes)
    connection.wait = lambda _: None
    return source.access.pieces(source, wanted, connection)


def test_the_newest_picture_of_the_finest_resolution(server: MapServer, source: Source) -> None:
    years = [item(year, 2600, 1199) for year in (2018, 2024, 2021)]
    server.answers["/api/stac/v1/search"] = page(*years)
    (piece,) = pieces(source)
    assert piece == Piece(
        "ch-swissimage_2600_1199",
        f"{server.address}/files/swissimage-dop10_2024_2600-1199_0.1_2056.tif",
        (2_600_000.0, 1_199_000.0, 2_601_000.0, 1_200_000.0),
        60_000_000,
        None,
        "2024-06-01",
    )
    (asked,) = server.paths
    assert "collections=ch.swisstopo.swissimage-dop10" in asked
    assert "bbox=7.4" in asked


def test_pages_are_followed(server: MapServer, source: Source) -> None:
    server.answers |= {
        "/api/stac/v1/search": page(item(2021, 2600, 1199), following={"href": f"{server.address}/page2"}),
        "/page2": page(item(2024, 2600, 1199), item(2024, 2601, 1199)),
    }
    (piece,) = pieces(source)
    assert piece.flown == "2024-06-01"
    assert [path.partition("?")[0] for path in server.paths] == ["/api/stac/v1/search", "/page2"]


def test_cells_that_are_not_listed(server: MapServer, source: Source) -> None:
    server.answers["/api/stac/v1/search"] = page(item(2024, 2600, 1199))
    found = pieces(source, area(2_600_200.0, 1_199_200.0, 2_601_800.0, 1_199_800.0))
    assert [(piece.name, piece.listed) for piece in found] == [
        ("ch-swissimage_2600_1199", True),
        ("ch-swissimage_2601_1199", False),
    ]


def test_nothing_listed(server: MapServer, source: Source) -> None:
    server.answers["/api/stac/v1/search"] = page()
    assert [piece.listed for piece in pieces(source)] == [False]


@pytest.mark.parametrize(
    "asset",
    [{"gsd": 0.25}, {"gsd": None}, {"proj:epsg": 21781}, {"proj:code": "EPSG:21781"}, {"type": "image/png"}],
)
def test_other_pictures_are_not_taken(server: MapServer, source: Source, asset: dict[str, Any]) -> None:
    server.answers["/api/stac/v1/search"] = page(item(2024, 2600, 1199, **asset))
    assert [piece.listed for piece in pieces(source)] == [False]


def test_size_and_checksum_are_as_stated(server: MapServer, source: Source) -> None:
    stated = {"file:checksum": f"1220{'AB' * 32}", "file:size": 1234}
    server.answers["/api/stac/v1/search"] = page(item(2024, 2600, 1199, **stated))
    (piece,) = pieces(source)
    assert (piece.checksum, piece.about_bytes) == (("sha256", "ab" * 32), 1234)


@pytest.mark.parametrize("checksum", ["d510ab", "1220ab", f"1220{'xy' * 32}", ""])
def test_an_unknown_checksum_is_pointed_out(
    server: MapServer, source: Source, checksum: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/api/stac/v1/search"] = page(item(2024, 2600, 1199, **{"file:checksum": checksum}))
    assert pieces(source)[0].checksum is None
    assert "its checksum is of an unknown kind" in caplog.text


def test_a_file_is_fetched(server: MapServer, source: Source, tmp_path: Path) -> None:
    content = geotiff(2_600_000.0, 1_200_000.0, 1000.0, 500, "EPSG:2056")
    stated = {"file:checksum": f"1220{hashlib.sha256(content).hexdigest()}"}
    server.answers |= {
        "/api/stac/v1/search": page(item(2024, 2600, 1199, **stated)),
        "/files/swissimage-dop10_2024_2600-1199_0.1_2056.tif": file(content),
    }
    connection = connect(source, 10**9)
    (piece,) = source.access.pieces(source, BERN, connection)
    (obtained,) = source.access.obtain(source, piece, tmp_path, connection)
    assert obtained.path == tmp_path / "ch-swissimage_2600_1199.tif"
    assert obtained.flown == "2024-06-01"
    assert lies_right(open_overhead(obtained.path), "EPSG:2056")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (body(b"<Error/>", "application/xml"), "does not answer as STAC"),
        (body(b"\xff\xff"), "does not answer as STAC"),
        (body(b"[" * 100_000), "does not answer as STAC"),
        (body(b"[]"), "does not answer as STAC"),
        (body(b'{"features": [1]}'), "does not answer as STAC"),
        (body(b'{"features": [{"id": "a"}]}'), "does not answer as STAC"),
        (page({**item(2024, 2600, 1199), "bbox": None}), "has no place"),
        (page({**item(2024, 2600, 1199), "bbox": [1.0, 2.0]}), "has no place"),
        (page({**item(2024, 2600, 1199), "bbox": [500.0, 95.0, 501.0, 96.0]}), "has no place"),
        (page(item(2024, 2600, 1199), following={"href": "file:///etc/passwd"}), "is not on a server of this source"),
        (page(item(2024, 2600, 1199), following={"href": "/etc/passwd"}), "/etc/passwd: is no address"),
        (page(item(2024, 2600, 1199), following={"href": "http://example.org/"}), "is not on a server of this source"),
        (page(item(2024, 2600, 1199), following={"href": "http://x/", "method": "POST"}), "in a way that is not known"),
        (status(400), "answers with status 400"),
    ],
)
def test_malformed_and_hostile_answers(server: MapServer, source: Source, answer: Answer, what: str) -> None:
    server.answers["/api/stac/v1/search"] = answer
    with pytest.raises(InputError, match=what):
        pieces(source)


def test_pages_without_end(server: MapServer, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.fetch.stac._MOST_ITEMS", 10)
    again = {"href": f"{server.address}/api/stac/v1/search"}
    server.answers["/api/stac/v1/search"] = page(item(2024, 2600, 1199), following=again)
    with pytest.raises(InputError, match="lists 10 items or more"):
        pieces(source)
    assert len(server.asked) == 10


def test_pages_are_bounded_and_waited_for(server: MapServer, source: Source) -> None:
    server.answers["/api/stac/v1/search"] = first(status(503), page(item(2024, 2600, 1199)))
    assert len(pieces(source)) == 1
    with pytest.raises(StoppedError, match="may be received in total"):
        pieces(source, most_bytes=100)
