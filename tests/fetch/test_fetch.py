import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, Bounds
from cvlnet.fetch.connection import Connection, StoppedError
from cvlnet.fetch.fetch import Fetched, connect, fetch_imagery
from cvlnet.fetch.manifest import read_manifest
from cvlnet.fetch.source import Obtained, Piece, Source
from cvlnet.fetch.sources import source_of
from cvlnet.imagery.georef import open_overhead
from map_servers import (
    Answer,
    MapServer,
    body,
    cut,
    dop20_zip,
    endless,
    file,
    files_below,
    geotiff,
    lies_right,
    status,
    zipped,
)

ONE = Area.between(49.008, 8.402, 49.010, 8.404)  # in cell 455_5428
TWO = Area.between(49.008, 8.402, 49.010, 8.424)  # in cell 457_5428, too


def path_of(east_km: int, north_km: int = 5428) -> str:
    return f"/data/dop20/dop20rgb_32_{east_km}_{north_km}_2_bw.zip"


@pytest.fixture(scope="session")
def archives() -> dict[int, bytes]:
    return {east_km: dop20_zip(east_km, 5428) for east_km in (455, 457)}


@pytest.fixture
def source(server: MapServer, archives: dict[int, bytes]) -> Source:
    server.answers |= {path_of(east_km): file(archive) for east_km, archive in archives.items()}
    source = source_of("bw-dop20")
    address = server.address + "/data/dop20/dop20rgb_32_{E}_{N}_2_bw.zip"
    return replace(source, access=replace(source.access, address=address, about_bytes=10**6))


def fetch(source: Source, area: Area, out: Path, most_bytes: int = 10**9) -> Fetched:
    connection = connect(source, most_bytes)
    connection.wait = lambda _: None
    return fetch_imagery(source, area, out, connection)


def test_a_folder_of_imagery(source: Source, tmp_path: Path, archives: dict[int, bytes]) -> None:
    out = tmp_path / "deep" / "imagery"
    fetched = fetch(source, TWO, out)
    assert (fetched.new, fetched.kept, fetched.not_there) == (2, 0, ())
    stems = {f"dop20rgb_32_{east}_{north}_1_bw_2023" for east in range(455, 459) for north in (5428, 5429)}
    names = {f"{stem}{suffix}" for stem in stems for suffix in (".tif", ".tfw", ".csv", ".prj")}
    assert files_below(out) == {*names, "manifest.json"}
    assert not any(path.is_dir() for path in out.iterdir())
    assert all(lies_right(open_overhead(out / f"{stem}.tif"), "EPSG:25832") for stem in stems)


def test_the_manifest_says_whose_and_what_it_is(source: Source, server: MapServer, tmp_path: Path) -> None:
    fetch(source, ONE, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == "bw-dop20"
    assert manifest["credit"] == "Datenquelle: LGL, www.lgl-bw.de, dl-de/by-2-0"
    assert manifest["licence"].startswith("dl-de/by-2-0")
    assert manifest["files"].keys() == files_below(tmp_path / "out") - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        assert entry["address"] == server.address + path_of(455)
        assert (entry["flown"], entry["crs"]) == ("2023-06-14", "EPSG:25832")
        assert datetime.fromisoformat(entry["retrieved"]).utcoffset() is not None
        is_picture = name.endswith(".tif")
        assert entry["ground_m2"] == pytest.approx(1e6, rel=2e-3) if is_picture else entry["ground_m2"] is None


def test_the_summary(source: Source, tmp_path: Path, server: MapServer) -> None:
    fetch(source, ONE, tmp_path / "out")
    server.answers[path_of(457)] = file(dop20_zip(457, 5428, "2024-07-01"))
    lines = fetch(source, TWO, tmp_path / "out").summary.splitlines()
    assert lines[0].startswith(f"{tmp_path}/out: 8 pictures, 8.0")
    assert lines[0].endswith("(1 pieces fetched, 1 were there)")
    assert lines[1:] == [
        "date of flight: 2023-06-14 to 2024-07-01",
        "credit: Datenquelle: LGL, www.lgl-bw.de, dl-de/by-2-0",
        "licence: dl-de/by-2-0, https://www.govdata.de/dl-de/by-2-0",
    ]


def test_what_is_there_is_not_fetched_again(source: Source, server: MapServer, tmp_path: Path) -> None:
    fetch(source, ONE, tmp_path)
    server.asked.clear()
    assert (fetch(source, TWO, tmp_path).new, server.paths) == (1, [path_of(457)])
    server.asked.clear()
    fetched = fetch(source, TWO, tmp_path)
    assert (fetched.new, fetched.kept, server.paths) == (0, 2, [])


@pytest.mark.parametrize("damage", ["changed", "cut", "deleted"])
def test_what_is_damaged_is_fetched_again(source: Source, server: MapServer, tmp_path: Path, damage: str) -> None:
    fetch(source, TWO, tmp_path)
    path = tmp_path / "dop20rgb_32_456_5428_1_bw_2023.tif"
    content = path.read_bytes()
    path.write_bytes({"changed": content[:-1] + b"x", "cut": content[:1000], "deleted": b""}[damage])
    if damage == "deleted":
        path.unlink()
    server.asked.clear()
    fetched = fetch(source, TWO, tmp_path)
    assert (fetched.new, server.paths) == (1, [path_of(455)])
    assert path.read_bytes() == content


def test_a_cell_beyond_the_border_is_left_out(
    source: Source, server: MapServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del server.answers[path_of(455)]
    fetched = fetch(source, TWO, tmp_path)
    assert (fetched.new, fetched.not_there) == (1, ("dop20rgb_32_455_5428_2_bw",))
    assert "has no imagery of 1 of 2 pieces (dop20rgb_32_455_5428_2_bw)" in caplog.text
    assert fetched.manifest.not_there == ("dop20rgb_32_455_5428_2_bw",)


def test_nothing_at_all(source: Source, server: MapServer, tmp_path: Path) -> None:
    server.answers.clear()
    with pytest.raises(InputError, match=r"bw-dop20: has no imagery of the area \(dop20rgb_32_455_5428_2_bw, "):
        fetch(source, TWO, tmp_path)


def test_a_broken_connection_goes_on_in_the_next_call(
    source: Source, server: MapServer, tmp_path: Path, archives: dict[int, bytes]
) -> None:
    half = len(archives[457]) // 2
    server.answers[path_of(457)] = cut(archives[457], half)
    with pytest.raises(StoppedError, match="cannot be reached, after 5 attempts"):
        fetch(source, TWO, tmp_path)
    server.answers[path_of(457)] = file(archives[457])
    server.asked.clear()
    assert fetch(source, TWO, tmp_path).new == 1
    ((path, headers),) = server.asked
    assert path == path_of(457)
    assert int(headers["Range"].removeprefix("bytes=").removesuffix("-")) > 0
    assert not [name for name in files_below(tmp_path) if ".part" in name or name.startswith(".")]


def test_a_process_that_is_killed_resumes(source: Source, server: MapServer, tmp_path: Path) -> None:
    """While the second cell arrives."""
    arrived, stopped = threading.Event(), threading.Event()

    def slow(handler, query):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.send_header("ETag", '"0"')
        handler.end_headers()
        handler.wfile.write(bytes(200_000))
        handler.wfile.flush()
        arrived.set()
        stopped.wait(30)
        handler.close_connection = True

    whole = server.answers[path_of(457)]
    server.answers[path_of(457)] = slow
    program = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from cvlnet.fetch import fetch\n"
        "from cvlnet.fetch.area import Area\n"
        "from cvlnet.fetch.sources import source_of\n"
        "source = source_of('bw-dop20')\n"
        "access = replace(source.access, address=sys.argv[1], about_bytes=1)\n"
        "source = replace(source, access=access)\n"
        "connection = fetch.connect(source, 10**9)\n"
        "area = Area.between(49.008, 8.402, 49.010, 8.424)\n"
        "fetch.fetch_imagery(source, area, Path(sys.argv[2]), connection)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, source.access.address, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    try:
        assert arrived.wait(60)
    finally:
        process.kill()
        process.wait()
        stopped.set()
    assert len(read_manifest(tmp_path).files) == 16
    server.answers[path_of(457)] = whole
    server.asked.clear()
    fetched = fetch(source, TWO, tmp_path)
    assert (fetched.new, fetched.kept, server.paths) == (1, 1, [path_of(457)])
    assert not [name for name in files_below(tmp_path) if name.startswith(".")]


def moved(east_km: int) -> bytes:
    """An archive whose world files lie a cell further east than its name says."""
    return dop20_zip(east_km + 2, 5428)


def without_world_files(east_km: int) -> bytes:
    """An archive whose pictures are placed by nothing."""
    with zipfile.ZipFile(io.BytesIO(dop20_zip(east_km, 5428))) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist() if not name.endswith(".tfw")})


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (body(moved(455)), "does not lie in the cell that was asked for"),
        (body(without_world_files(455)), "the position of the overhead image is not stated"),
        (body(zipped({"a.tif": b"II*\0nonsense"})), "a.tif: is not a whole picture"),
        (body(zipped({"../../a.tif": b"x"})), "leaves its folder"),
        (body(b"<html>Wartung</html>", "text/html"), "answers with a web page instead of data"),
        (body(b"<html>Wartung</html>"), "is no whole ZIP file"),
        (status(302, Location="file:///etc/passwd"), "which is another server"),
        (status(403), "answers with status 403"),
    ],
)
def test_what_cannot_be_used_is_named_after_the_others_are_fetched(
    source: Source, server: MapServer, tmp_path: Path, answer: Answer, what: str
) -> None:
    server.answers[path_of(455)] = answer
    with pytest.raises(InputError, match="1 of 2 pieces could not be fetched, such as .*" + re.escape(what)):
        fetch(source, TWO, tmp_path / "two" / "out")
    manifest = read_manifest(tmp_path / "two" / "out")
    assert manifest is not None
    assert {entry.piece for entry in manifest.files.values()} == {"dop20rgb_32_457_5428_2_bw"}
    assert files_below(tmp_path / "two" / "out") == {*manifest.files, "manifest.json"}
    with pytest.raises(InputError, match=re.escape(what)):
        fetch(source, ONE, tmp_path / "one" / "out")
    assert files_below(tmp_path / "one") == {"out/manifest.json"}


def test_an_archive_that_breaks_within_leaves_nothing(source: Source, server: MapServer, tmp_path: Path) -> None:
    content = zipped({"a.tif": bytes(1000), "b.tif": bytes(range(256)) * 4})
    middle = content.index(b"b.tif") + 30
    server.answers[path_of(455)] = body(content[:middle] + bytes(9) + content[middle + 9 :])
    with pytest.raises(InputError, match="is no whole ZIP file"):
        fetch(source, ONE, tmp_path / "out")
    assert files_below(tmp_path) == {"out/manifest.json"}


def test_a_file_of_another_piece_is_not_replaced(source: Source, server: MapServer, tmp_path: Path) -> None:
    """An archive with a picture of its own cell under the name of one of the other cell."""
    fetch(source, ONE, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)}
    with zipfile.ZipFile(io.BytesIO(dop20_zip(457, 5428))) as archive:
        renamed = {name.replace("_457_", "_455_"): archive.read(name) for name in archive.namelist()}
    server.answers[path_of(457)] = body(zipped(renamed))
    with pytest.raises(InputError, match="which dop20rgb_32_455_5428_2_bw has, too"):
        fetch(source, TWO, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@dataclass(frozen=True)
class OneFile:
    """A source of a single file."""

    address: str
    checksum: tuple[str, str] | None
    bounds: tuple[float, float, float, float]
    hosts: tuple[str, ...] = ("127.0.0.1",)

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        return [Piece("a", self.address, self.bounds, 100, self.checksum)]

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> list[Obtained]:
        connection.download(piece.address, folder / "a.tif", 10**7)
        return [Obtained(folder / "a.tif", None)]


PICTURE = geotiff(2_600_000.0, 1_200_000.0, 1000.0, 500, "EPSG:2056")
BOUNDS = (2_600_000.0, 1_199_000.0, 2_601_000.0, 1_200_000.0)


def one_file(server: MapServer, checksum: tuple[str, str] | None, bounds: Bounds = BOUNDS) -> Source:
    server.answers["/a.tif"] = file(PICTURE)
    return replace(source_of("ch-swissimage"), access=OneFile(f"{server.address}/a.tif", checksum, bounds))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
def test_the_checksum_of_the_source_is_compared(server: MapServer, tmp_path: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, PICTURE).hexdigest()
    assert fetch(one_file(server, (algorithm, digest)), ONE, tmp_path / "right").new == 1
    with pytest.raises(InputError, match=f"does not have the {algorithm} checksum that the source states"):
        fetch(one_file(server, (algorithm, digest[:-1] + "x")), ONE, tmp_path / "wrong")
    assert files_below(tmp_path / "wrong") == {"manifest.json"}


@pytest.mark.parametrize("shift_m", [(11.0, 0.0), (-11.0, 0.0), (0.0, 11.0), (0.0, -11.0)])
def test_a_picture_that_reaches_out_of_its_cell(
    server: MapServer, tmp_path: Path, shift_m: tuple[float, float]
) -> None:
    """By more than a hundredth of its side."""
    west, south, east, north = BOUNDS
    for name, share in (("right", 0.8), ("wrong", 1.0)):
        dx, dy = (share * shift for shift in shift_m)
        source = one_file(server, None, (west + dx, south + dy, east + dx, north + dy))
        if name == "right":
            assert fetch(source, ONE, tmp_path / name).new == 1
        else:
            with pytest.raises(InputError, match=r"its picture a\.tif does not lie in the cell"):
                fetch(source, ONE, tmp_path / name)


def test_a_newer_address_is_fetched(server: MapServer, tmp_path: Path) -> None:
    source = one_file(server, None)
    fetch(source, ONE, tmp_path)
    server.answers["/b.tif"] = server.answers["/a.tif"]
    newer = replace(source, access=replace(source.access, address=f"{server.address}/b.tif"))
    fetched = fetch(newer, ONE, tmp_path)
    assert fetched.new == 1
    assert fetched.manifest.files["a.tif"].address == f"{server.address}/b.tif"


def test_files_that_a_piece_no_longer_has_are_removed(
    source: Source, server: MapServer, archives: dict[int, bytes], tmp_path: Path
) -> None:
    """A newer flight, whose files have the year in their names; those of other pieces, and of nobody, stay."""
    fetch(source, TWO, tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "dop20rgb_32_455_5428_1_bw_2023.tif").write_bytes(b"damaged")
    newer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archives[455])) as had, zipfile.ZipFile(newer, "w") as has:
        for name in had.namelist():
            has.writestr(name.replace("_2023", "_2025"), had.read(name))
    server.answers[path_of(455)] = file(newer.getvalue())
    fetched = fetch(source, TWO, tmp_path)
    assert files_below(tmp_path) == {*fetched.manifest.files, "manifest.json", "notes.txt"}
    assert {name[-8:-4] for name in fetched.manifest.files if "_455_" in name} == {"2025"}
    assert len(fetched.manifest.files) == 32


def test_a_folder_with_something_else(source: Source, tmp_path: Path) -> None:
    (tmp_path / "holiday.tif").write_bytes(b"x")
    with pytest.raises(InputError, match="is no folder that imagery was fetched into, and not empty"):
        fetch(source, ONE, tmp_path)
    with pytest.raises(InputError, match="is no folder that imagery was fetched into"):
        fetch(source, ONE, tmp_path / "holiday.tif")
    assert files_below(tmp_path) == {"holiday.tif"}


def test_two_calls_at_once_are_refused(source: Source, tmp_path: Path) -> None:
    """Until the first has ended, which finds what another has fetched since it looked."""
    out = tmp_path / "out"
    obtain, pieces = source.access.obtain, source.access.pieces

    def while_another_calls(*arguments: object) -> Sequence[Obtained]:
        with pytest.raises(InputError, match="another process is fetching into this folder; wait until it has ended"):
            fetch(source, TWO, out)
        return obtain(*arguments)

    def after_another_has_ended(*arguments: object) -> list[Piece]:
        assert fetch(source, ONE, out).new == 1
        return pieces(*arguments)

    slow = Slow(source.access.hosts, source.access.address, after_another_has_ended, while_another_calls)
    fetched = fetch(replace(source, access=slow), TWO, out)
    assert (fetched.new, fetched.kept) == (1, 1)
    assert files_below(out) == {*fetched.manifest.files, "manifest.json"}
    assert len(fetched.manifest.files) == 32


@dataclass(frozen=True)
class Slow:
    """A source during whose work something else happens."""

    hosts: tuple[str, ...]
    address: str
    pieces: Callable[..., list[Piece]]
    obtain: Callable[..., Sequence[Obtained]]


def test_a_folder_of_another_source(source: Source, tmp_path: Path) -> None:
    fetch(source, ONE, tmp_path)
    with pytest.raises(InputError, match=r"holds imagery of Baden-Württemberg, .*choose another folder"):
        fetch(replace(source, name="nw", title="other"), ONE, tmp_path)


def test_more_than_is_allowed_is_refused_before(source: Source, server: MapServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--max-gb: 2 pieces of about 0\.0 GB are more than 0\.0019 GB"):
        fetch(source, TWO, tmp_path / "out", most_bytes=1_900_000)
    assert (server.asked, list(tmp_path.iterdir())) == ([], [])


def test_more_than_is_allowed_is_refused_while_it_arrives(source: Source, server: MapServer, tmp_path: Path) -> None:
    server.answers[path_of(457)] = endless
    with pytest.raises(StoppedError, match="may be received in total; raise --max-gb"):
        fetch(source, TWO, tmp_path, most_bytes=6_000_000)
    assert len(read_manifest(tmp_path).files) == 16


def test_a_call_that_stops_keeps_only_what_it_can_resume(source: Source, server: MapServer, tmp_path: Path) -> None:
    server.answers |= {path_of(455): body(moved(455)), path_of(457): cut(bytes(200_000), 100_000)}
    with pytest.raises(StoppedError, match="cannot be reached"):
        fetch(source, TWO, tmp_path)
    begun = f".fetching/{path_of(457).rpartition('/')[2]}.part"
    assert files_below(tmp_path) == {"manifest.json", begun, f"{begun}.json"}


def test_a_full_disk_stops_the_call(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(StoppedError, match="GB of free space"):
        fetch(source, TWO, tmp_path)


def test_a_service_that_has_moved(server: MapServer, tmp_path: Path) -> None:
    source = source_of("ch-swissimage")
    moved_away = replace(source, access=replace(source.access, address=f"{server.address}/api/stac/v1"))
    with pytest.raises(InputError, match=r"/api/stac/v1/search.*: the service no longer exists"):
        fetch(moved_away, ONE, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
