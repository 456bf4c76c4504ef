import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area
from cvlnet.fetch.connection import NotThereError
from cvlnet.fetch.fetch import connect
from cvlnet.fetch.source import Piece, Source
from cvlnet.fetch.sources import own_service, source_of
from cvlnet.fetch.web_map import WebMap, has_north_first
from cvlnet.imagery.georef import open_overhead
from map_servers import Answer, MapServer, body, geotiff, lies_right, painted, status

COLOGNE = Area.between(50.9400, 6.9580, 50.9410, 6.9600)
EXCEPTION = b"""<?xml version="1.0"?>
<ServiceExceptionReport version="1.3.0" xmlns="http://www.opengis.net/ogc">
  <ServiceException code="LayerNotDefined">Layer is <![CDATA[out]]> of order.</ServiceException>
</ServiceExceptionReport>"""


def capabilities(
    *, layer: str = "nw_dop_rgb", crs: str = "EPSG:25832", picture: str = "image/png", limit: str = ""
) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<WMS_Capabilities version="1.3.0" xmlns="http://www.opengis.net/wms" xmlns:xlink="http://www.w3.org/1999/xlink">
  <Service><Name>WMS</Name><Title>DOP</Title>
    <OnlineResource xlink:href="http://internal.example.org/"/>{limit}</Service>
  <Capability>
    <Request>
      <GetCapabilities><Format>text/xml</Format><DCPType><HTTP><Get>
        <OnlineResource xlink:href="http://internal.example.org/wms?"/></Get></HTTP></DCPType></GetCapabilities>
      <GetMap><Format>{picture}</Format><DCPType><HTTP><Get>
        <OnlineResource xlink:href="http://internal.example.org/wms?"/></Get></HTTP></DCPType></GetMap>
    </Request>
    <Exception><Format>XML</Format></Exception>
    <Layer><Title>all</Title><CRS>{crs}</CRS>
      <Layer queryable="0"><Name>{layer}</Name><Title>RGB</Title>
        <EX_GeographicBoundingBox><westBoundLongitude>5</westBoundLongitude><eastBoundLongitude>10</eastBoundLongitude>
          <southBoundLatitude>50</southBoundLatitude><northBoundLatitude>53</northBoundLatitude>
        </EX_GeographicBoundingBox>
      </Layer>
    </Layer>
  </Capability>
</WMS_Capabilities>""".encode()


def encoded(pixels: np.ndarray, picture_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, picture_format, quality=98)
    return stream.getvalue()


def service(document: bytes, draw: Callable[[dict[str, str]], bytes]) -> Answer:
    def answer(handler, query):
        content = document if query["REQUEST"] == "GetCapabilities" else draw(query)
        body(content, "application/octet-stream")(handler, query)

    return answer


def drawn(query: dict[str, str]) -> bytes:
    west, south, east, north = map(float, query["BBOX"].split(","))
    assert query["WIDTH"] == query["HEIGHT"]
    assert east - west == north - south
    return encoded(painted(west, north, east - west, int(query["WIDTH"])))


@pytest.fixture
def source(server: MapServer) -> Source:
    """In squares of 400 m, of 200 px."""
    access = WebMap(f"{server.address}/geobasis/wms_nw_dop", "nw_dop_rgb", side_px=200)
    server.answers["/geobasis/wms_nw_dop"] = service(capabilities(), drawn)
    return replace(source_of("nw-dop"), m_per_px=2.0, access=access)


def pieces(source: Source) -> list[Piece]:
    return source.access.pieces(source, COLOGNE, connect(source, 10**9))


def test_squares_of_a_grid(source: Source, server: MapServer) -> None:
    piece, above = pieces(source)
    assert (piece.name, above.name) == ("nw-dop_891_14112", "nw-dop_891_14113")
    assert piece.bounds == (356_400.0, 5_644_800.0, 356_800.0, 5_645_200.0)
    query = piece.address.partition("?")[2].split("&")
    assert {
        "SERVICE=WMS",
        "VERSION=1.3.0",
        "REQUEST=GetMap",
        "LAYERS=nw_dop_rgb",
        "CRS=EPSG%3A25832",
        "BBOX=356400%2C5644800%2C356800%2C5645200",
        "WIDTH=200",
        "FORMAT=image%2Fpng",
        "TRANSPARENT=TRUE",
    } <= set(query)
    assert piece.address.startswith(server.address)  # not where the service believes to be


def test_a_picture_lies_right(source: Source, tmp_path: Path) -> None:
    for piece in pieces(source):
        (obtained,) = source.access.obtain(source, piece, tmp_path, connect(source, 10**9))
        image = open_overhead(obtained.path)
        assert image.shape == (200, 200)
        assert lies_right(image, "EPSG:25832")
        assert not image.may_lack_pixels


def test_the_services_limit_makes_squares_smaller(source: Source, server: MapServer) -> None:
    document = capabilities(limit="<MaxWidth>150</MaxWidth><MaxHeight>100</MaxHeight>")
    server.answers["/geobasis/wms_nw_dop"] = service(document, drawn)
    assert {piece.side_px for piece in pieces(source)} == {100}
    assert {piece.bounds[2] - piece.bounds[0] for piece in pieces(source)} == {200.0}


def test_northings_come_first_where_the_system_says_so(server: MapServer) -> None:
    """EPSG:31467, Gauss-Kruger, is defined as northing, easting."""
    source = own_service("wms", f"{server.address}/wms", "ortho", "EPSG:31467", 2.0, "credit", "licence")
    server.answers["/wms"] = service(capabilities(layer="ortho", crs="EPSG:31467"), drawn)
    piece = source.access.pieces(source, Area.between(49.008, 8.402, 49.009, 8.403), connect(source, 10**9))[0]
    assert piece.bounds == (3_456_000.0, 5_428_000.0, 3_460_000.0, 5_432_000.0)
    assert "BBOX=5428000%2C3456000%2C5432000%2C3460000" in piece.address


@pytest.mark.parametrize(
    ("code", "north_first"),
    [
        *((code, False) for code in (3031, 5042, 5041, 3413, 3995, 25832, 3857)),
        *((code, True) for code in (32761, 32661, 31467, 2193, 4326)),
    ],
)
def test_which_coordinate_comes_first(code: int, north_first: bool) -> None:
    """Around the poles, too, where both axes point the same way."""
    assert has_north_first(f"EPSG:{code}") is north_first


def test_a_part_that_is_missing_is_transparent(source: Source, server: MapServer, tmp_path: Path) -> None:
    def draw(query):
        pixels = np.full((200, 200, 4), 255, np.uint8)
        pixels[..., :3] = painted(0.0, 0.0, 400.0, 200)
        pixels[:50, :, 3] = 0
        return encoded(pixels)

    server.answers["/geobasis/wms_nw_dop"] = service(capabilities(), draw)
    (obtained,) = source.access.obtain(source, pieces(source)[0], tmp_path, connect(source, 10**9))
    valid = open_overhead(obtained.path).read(slice(0, 200), slice(0, 200)).valid
    assert valid is not None
    assert not valid[:50].any()
    assert valid[50:].all()


@pytest.mark.parametrize("value", [(255, 255, 255, 255), (0, 0, 0, 255), (9, 9, 9, 0)])
def test_a_blank_picture_is_no_imagery(
    source: Source, server: MapServer, tmp_path: Path, value: tuple[int, int, int, int]
) -> None:
    blank = encoded(np.full((200, 200, 4), value, np.uint8))
    server.answers["/geobasis/wms_nw_dop"] = service(capabilities(), lambda _: blank)
    with pytest.raises(NotThereError):
        source.access.obtain(source, pieces(source)[0], tmp_path, connect(source, 10**9))
    assert list(tmp_path.iterdir()) == []


def test_noise_that_is_transparent_is_blank(source: Source, server: MapServer, tmp_path: Path) -> None:
    pixels = np.zeros((200, 200, 4), np.uint8)
    pixels[..., :3] = painted(0.0, 0.0, 400.0, 200)
    server.answers["/geobasis/wms_nw_dop"] = service(capabilities(), lambda _: encoded(pixels))
    with pytest.raises(NotThereError):
        source.access.obtain(source, pieces(source)[0], tmp_path, connect(source, 10**9))


@pytest.mark.parametrize("kind", ["JPEG", "palette", "grey"])
def test_pictures_of_other_kinds(source: Source, server: MapServer, tmp_path: Path, kind: str) -> None:
    grey = painted(0.0, 0.0, 400.0, 200)[..., 0]
    picture = Image.fromarray(grey) if kind == "grey" else Image.fromarray(np.stack([grey] * 3, axis=-1))
    stream = io.BytesIO()
    (picture.convert("P") if kind == "palette" else picture).save(stream, "JPEG" if kind == "JPEG" else "PNG")
    document = capabilities(picture="image/jpeg" if kind == "JPEG" else "image/png")
    server.answers["/geobasis/wms_nw_dop"] = service(document, lambda _: stream.getvalue())
    (obtained,) = source.access.obtain(source, pieces(source)[0], tmp_path, connect(source, 10**9))
    pixels = open_overhead(obtained.path).read(slice(0, 200), slice(0, 200)).pixels
    assert np.abs(pixels.astype(int) - grey[..., None]).max() <= (60 if kind == "palette" else 12)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (EXCEPTION, "answers: .*of order"),
        (b"  \n<?xml version='1.0'?><a/>", "answers: an empty document"),
        (encoded(painted(0.0, 0.0, 400.0, 100)), "sends 100 x 100 px instead of 200 x 200"),
        (encoded(painted(0.0, 0.0, 400.0, 200))[:-3000], "does not send a whole picture"),
        (encoded(painted(0.0, 0.0, 400.0, 200), "JPEG")[:-3000], "does not send a whole picture"),
        (geotiff(0.0, 0.0, 400.0, 200, "EPSG:25832"), "does not send a whole picture"),
        (b"", "does not send a whole picture"),
        (bytes(10**6), "is larger than"),
    ],
)
def test_what_is_no_picture(source: Source, server: MapServer, tmp_path: Path, content: bytes, what: str) -> None:
    server.answers["/geobasis/wms_nw_dop"] = service(capabilities(), lambda _: content)
    with pytest.raises(InputError, match=what):
        source.access.obtain(source, pieces(source)[0], tmp_path, connect(source, 10**9))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (EXCEPTION, r"does not answer as WMS 1.3.0 \(.*of order"),
        (b"nonsense", r"does not answer as WMS 1.3.0 \(nonsense"),
        (b"", "does not answer as WMS 1.3.0"),
        (b"<WMS_Capabilities/>", "does not answer as WMS 1.3.0"),
        (b"<!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;</a>", "does not answer as WMS 1.3.0"),
        (capabilities(layer="nw_dop_nir"), r"has no layer nw_dop_rgb \(did you mean nw_dop_nir\?\)"),
        (capabilities(crs="EPSG:4326"), "nw_dop_rgb is not offered in EPSG:25832; choose one of EPSG:4326"),
        (capabilities().replace(b"GetMap", b"GetMop"), "offers pictures as nothing only"),
        (capabilities(picture="image/svg+xml"), r"offers pictures as image/svg\+xml only"),
    ],
)
def test_capabilities_that_do_not_fit(source: Source, server: MapServer, document: bytes, what: str) -> None:
    server.answers["/geobasis/wms_nw_dop"] = service(document, drawn)
    with pytest.raises(InputError, match=what):
        pieces(source)


def test_a_service_that_is_not_there(source: Source, server: MapServer) -> None:
    server.answers["/geobasis/wms_nw_dop"] = status(404)
    with pytest.raises(NotThereError):
        pieces(source)
