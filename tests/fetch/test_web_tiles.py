import io
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
from cvlnet.fetch.sources import source_of
from cvlnet.fetch.web_tiles import WebTiles
from cvlnet.imagery.georef import open_overhead
from map_servers import Answer, MapServer, body, lies_right, painted, status

VIENNA = Area.between(48.2084, 16.3730, 48.2086, 16.3732)
ORIGIN_M = 20037508.3428
PIXEL_M = 2.388657  # of zoom level 16, in projected metres
TILE_M = 256 * PIXEL_M


def capabilities(
    address: str,
    *,
    layer: str = "bmaporthofoto30cm",
    crs: str = "urn:ogc:def:crs:EPSG:6.18:3:3857",
    tile_px: int = 256,
    rest: bool = True,
    corner: str = f"-{ORIGIN_M} {ORIGIN_M}",
) -> bytes:
    matrices = "".join(
        f"""<TileMatrix><ows:Identifier>{zoom}</ows:Identifier>
        <ScaleDenominator>{PIXEL_M * 2 ** (16 - zoom) / 0.00028!r}</ScaleDenominator>
        <TopLeftCorner>{corner}</TopLeftCorner><TileWidth>{tile_px}</TileWidth><TileHeight>256</TileHeight>
        <MatrixWidth>{2**zoom}</MatrixWidth><MatrixHeight>{2**zoom}</MatrixHeight></TileMatrix>"""
        for zoom in (14, 15, 16, 17)
    )
    template = f"{address}/tiles/{layer}/{{Style}}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}.png"
    resource = f'<ResourceURL format="image/png" resourceType="tile" template="{template}"/>' if rest else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Capabilities version="1.0.0" xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
    xmlns:xlink="http://www.w3.org/1999/xlink">
  <Contents>
    <Layer><ows:Title>Orthofoto</ows:Title><ows:Identifier>{layer}</ows:Identifier>
      <Style isDefault="true"><ows:Identifier>normal</ows:Identifier></Style>
      <Format>image/png</Format>
      <TileMatrixSetLink><TileMatrixSet>google3857</TileMatrixSet></TileMatrixSetLink>
      {resource}
    </Layer>
    <TileMatrixSet><ows:Identifier>google3857</ows:Identifier>
      <ows:SupportedCRS>{crs}</ows:SupportedCRS>{matrices}
    </TileMatrixSet>
  </Contents>
</Capabilities>""".encode()


def tile(row: int, col: int) -> bytes:
    stream = io.BytesIO()
    pixels = painted(-ORIGIN_M + col * TILE_M, ORIGIN_M - row * TILE_M, TILE_M, 256)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def source(server: MapServer) -> Source:
    """With tiles of zoom level 16 around Vienna, as far as they are there."""
    server.answers["/WMTSCapabilities.xml"] = body(capabilities(server.address), "application/xml")
    access = WebTiles(f"{server.address}/WMTSCapabilities.xml", "bmaporthofoto30cm")
    return replace(source_of("at-basemap"), m_per_px=2.4, access=access)


def pieces(source: Source) -> list[Piece]:
    return source.access.pieces(source, VIENNA, connect(source, 10**9))


def obtain(source: Source, piece: Piece, folder: Path) -> Path:
    (obtained,) = source.access.obtain(source, piece, folder, connect(source, 10**9))
    return obtained.path


def serve_tiles(server: MapServer, piece: Piece, without: tuple[int, ...] = ()) -> None:
    for number, place in enumerate(piece.tiles):
        path = place.address.removeprefix(server.address)
        row, col = map(int, path.removesuffix(".png").split("/")[-2:])
        server.answers[path] = status(404) if number in without else body(tile(row, col), "image/png")


def test_the_block_of_tiles_around_a_place(source: Source, server: MapServer) -> None:
    """Vienna's cathedral is on tile 35748, 22724 of zoom level 16, as in every map with these tiles."""
    (piece,) = pieces(source)
    addresses = [place.address for place in piece.tiles]
    assert len(addresses) == 64
    assert f"{server.address}/tiles/bmaporthofoto30cm/normal/google3857/16/22724/35748.png" in addresses
    assert piece.side_px == 2048
    assert piece.name == "at-basemap_16_4468_2840"


def test_tiles_are_put_together_and_lie_right(source: Source, server: MapServer, tmp_path: Path) -> None:
    (piece,) = pieces(source)
    serve_tiles(server, piece)
    image = open_overhead(obtain(source, piece, tmp_path))
    assert image.shape == (2048, 2048)
    assert lies_right(image, "EPSG:3857")


def test_tiles_that_are_missing_are_transparent(source: Source, server: MapServer, tmp_path: Path) -> None:
    (piece,) = pieces(source)
    serve_tiles(server, piece, without=(1, 63))
    valid = open_overhead(obtain(source, piece, tmp_path)).read(slice(0, 2048), slice(0, 2048)).valid
    assert valid is not None
    by_tile = valid.reshape(8, 256, 8, 256).mean(axis=(1, 3)).ravel()
    assert by_tile.tolist() == [0.0 if number in (1, 63) else 1.0 for number in range(64)]


def test_tiles_that_are_blank_are_transparent(source: Source, server: MapServer, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((256, 256, 3), 255, np.uint8)).save(stream, "PNG")
    (piece,) = pieces(source)
    serve_tiles(server, piece)
    server.answers[piece.tiles[0].address.removeprefix(server.address)] = body(stream.getvalue())
    valid = open_overhead(obtain(source, piece, tmp_path)).read(slice(0, 2048), slice(0, 2048)).valid
    assert valid is not None
    assert not valid[:256, :256].any()
    assert valid.sum() == 63 * 256**2


def test_no_tiles_are_no_imagery(source: Source, tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        obtain(source, pieces(source)[0], tmp_path)


def test_blank_tiles_are_no_imagery(source: Source, server: MapServer, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((256, 256, 3), 255, np.uint8)).save(stream, "PNG")
    (piece,) = pieces(source)
    for place in piece.tiles:
        server.answers[place.address.removeprefix(server.address)] = body(stream.getvalue())
    with pytest.raises(NotThereError):
        obtain(source, piece, tmp_path)


def test_a_service_without_a_template(source: Source, server: MapServer) -> None:
    server.answers["/WMTSCapabilities.xml"] = body(capabilities(server.address, rest=False), "application/xml")
    address = pieces(source)[0].tiles[0].address
    assert address.startswith(f"{server.address}/WMTSCapabilities.xml?SERVICE=WMTS&REQUEST=GetTile&")
    assert "&TILEMATRIX=16&FORMAT=image%2Fpng&TILEROW=22720&TILECOL=35744" in address


def test_tiles_on_another_server_are_not_asked_for(source: Source, server: MapServer) -> None:
    server.answers["/WMTSCapabilities.xml"] = body(capabilities("http://other.example.org"), "application/xml")
    assert pieces(source)[0].tiles[0].address.startswith(server.address)
    known = replace(source, access=replace(source.access, other_hosts=("other.example.org",)))
    assert pieces(known)[0].tiles[0].address.startswith("http://other.example.org/tiles/")


def test_the_nearest_resolution(source: Source) -> None:
    assert "/16/" in pieces(replace(source, m_per_px=3.3))[0].address
    assert "/15/" in pieces(replace(source, m_per_px=3.5))[0].address
    with pytest.raises(InputError, match=r"has no tiles in EPSG:3857 with about 0\.3 m per pixel"):
        pieces(replace(source, m_per_px=0.3))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"layer": "bmapgrau"}, "has no layer bmaporthofoto30cm"),
        ({"crs": "urn:ogc:def:crs:EPSG::25832"}, "has no tiles in EPSG:3857"),
        ({"tile_px": 512}, "tiles that are not square"),
        ({"tile_px": 0}, "tiles that are not square"),
        ({"corner": "nan nan"}, "describes its tiles in a way that is not understood"),
        ({"corner": "1"}, "does not answer as WMTS"),
    ],
)
def test_capabilities_that_do_not_fit(source: Source, server: MapServer, change: dict[str, object], what: str) -> None:
    server.answers["/WMTSCapabilities.xml"] = body(capabilities(server.address, **change), "application/xml")
    with pytest.raises(InputError, match=what):
        pieces(source)


@pytest.mark.parametrize("answer", [body(b"nonsense"), body(b"<a/>"), body(b"")])
def test_what_is_no_wmts(source: Source, server: MapServer, answer: Answer) -> None:
    server.answers["/WMTSCapabilities.xml"] = answer
    with pytest.raises(InputError, match="does not answer as WMTS"):
        pieces(source)
