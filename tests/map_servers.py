"""A server on this machine that answers as the sources of imagery do, well and badly, and what it serves."""

from __future__ import annotations

import io
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from cvlnet.imagery.overhead import Imagery

Answer = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]


@dataclass
class MapServer:
    """answers: by path; the rest is 404. asked: path with query, and headers, of every request."""

    address: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def running() -> Iterator[MapServer]:
    """A server on a free port, as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # or each small answer waits for an acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            known.asked.append((self.path, dict(self.headers)))
            query = {key.upper(): values[0] for key, values in parse_qs(parts.query).items()}
            known.answers.get(parts.path, status(404))(self, query)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """Clients hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    known = MapServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, **headers: str) -> Answer:
    """An answer without a body."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
        _send(handler, code, b"", {key.replace("_", "-"): value for key, value in headers.items()})

    return answer


def body(content: bytes, content_type: str = "application/octet-stream", **headers: str) -> Answer:
    """The same bytes always, whatever range is asked for."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        _send(handler, 200, content, {"Content-Type": content_type, **named})

    return answer


def file(content: bytes, etag: str = '"1"') -> Answer:
    """A file, or the range of it that is asked for, as long as its ETag is the same."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
        asked = handler.headers.get("Range")
        if asked is None or handler.headers.get("If-Range", etag) != etag:
            _send(handler, 200, content, {"ETag": etag})
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            _send(handler, 416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
        _send(handler, 206, content[start:], {"ETag": etag, "Content-Range": extent})

    return answer


def cut(content: bytes, after: int, etag: str = '"1"') -> Answer:
    """Promises all of a file, and closes the connection after some of it."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
        _send(handler, 200, content[:after], {"ETag": etag, "Content-Length": str(len(content))})
        handler.close_connection = True

    return answer


def endless(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
    """A body without a stated length that goes on until the client hangs up."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def first(*answers: Answer) -> Answer:
    """These answers in turn, and the last of them from then on."""
    rest = list(answers)

    def answer(handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        (rest.pop(0) if len(rest) > 1 else rest[0])(handler, query)

    return answer


def _send(handler: BaseHTTPRequestHandler, code: int, content: bytes, headers: dict[str, str]) -> None:
    handler.send_response(code)
    for key, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(key, value)
    handler.end_headers()
    handler.wfile.write(content)


def painted(west: float, north: float, side: float, side_px: int) -> np.ndarray:
    """RGB [side_px, side_px, 3] whose colours depend on the place in the coordinate reference system."""
    centers = (np.arange(side_px) + 0.5) * (side / side_px)
    return color_at(*np.meshgrid(west + centers, north - centers))


def color_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    waves = np.stack([np.sin(x / 40), np.sin(y / 40), np.sin((x + y) / 60)], axis=-1)
    return (128 + 100 * waves).round().astype(np.uint8)


def lies_right(image: Imagery, crs: str) -> bool:
    """Whether the pixels of a picture have the colours of the places where it says that they lie."""
    rows, cols = image.shape
    col, row = (n.ravel() for n in np.meshgrid(np.linspace(0, cols - 1, 7), np.linspace(0, rows - 1, 7)))
    col, row = col.astype(int), row.astype(int)
    lat, lon = image.raster.latlon_deg(np.stack([col + 0.5, row + 0.5], axis=-1)).T
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    seen = image.read(slice(0, rows), slice(0, cols)).pixels[row, col].astype(int)
    return bool(np.abs(seen - color_at(x, y)).max() <= 2)


def geotiff(west: float, north: float, side: float, side_px: int, crs: str) -> bytes:
    """A painted GeoTIFF."""
    place = Affine(side / side_px, 0.0, west, 0.0, -side / side_px, north)
    return _tiff(painted(west, north, side, side_px), crs=crs, transform=place)


def _tiff(pixels: np.ndarray, **georeference: object) -> bytes:
    with rasterio.MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shape = {"width": pixels.shape[1], "height": pixels.shape[0], "count": 3, "dtype": "uint8"}
        with memory.open(driver="GTiff", photometric="RGB", **shape, **georeference) as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())


def dop20_zip(east_km: int, north_km: int, flown: str = "2023-06-14", side_px: int = 500) -> bytes:
    """An archive as Baden-Württemberg's: four pictures of a kilometre without a place, .tfw and .csv beside each."""
    members: dict[str, bytes] = {}
    for east in (east_km, east_km + 1):
        for north in (north_km, north_km + 1):
            stem = f"dop20rgb_32_{east}_{north}_1_bw_2023"
            west_m, north_m, pixel_m = 1000.0 * east, 1000.0 * (north + 1), 1000.0 / side_px
            members[f"{stem}.tif"] = _tiff(painted(west_m, north_m, 1000.0, side_px))
            values = [pixel_m, 0.0, 0.0, -pixel_m, west_m + pixel_m / 2, north_m - pixel_m / 2]
            members[f"{stem}.tfw"] = "\n".join(map(repr, values)).encode()
            members[f"{stem}.csv"] = (
                f"Kachelname;Aktualitaet;Bodenpixelgroesse;Koordinatenreferenzsystem_Lage\n{stem};{flown};20;25832\n"
            ).encode()
    return zipped(members)


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
