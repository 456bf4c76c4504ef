from dataclasses import replace
from pathlib import Path

import pytest
from kitti_tree import shared

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, around_drives
from cvlnet.fetch.connection import NotThereError
from cvlnet.fetch.fetch import connect
from cvlnet.fetch.source import Obtained, Piece, Source
from cvlnet.fetch.sources import source_of
from cvlnet.imagery.georef import open_overhead
from map_servers import MapServer, body, dop20_zip, file, lies_right, zipped

KARLSRUHE = Area.between(49.008, 8.402, 49.010, 8.404)
ZIP = "/data/dop20/dop20rgb_32_455_5428_2_bw.zip"


@pytest.fixture
def source(server: MapServer) -> Source:
    source = source_of("bw-dop20")
    address = server.address + "/data/dop20/dop20rgb_32_{E}_{N}_2_bw.zip"
    return replace(source, access=replace(source.access, address=address))


def obtain(source: Source, folder: Path) -> list[Obtained]:
    connection = connect(source, 10**9)
    (piece,) = source.access.pieces(source, KARLSRUHE, connection)
    return list(source.access.obtain(source, piece, folder, connection))


def test_the_cell_of_karlsruhe() -> None:
    source = source_of("bw-dop20")
    assert source.access.pieces(source, KARLSRUHE, connect(source, 1)) == [
        Piece(
            "dop20rgb_32_455_5428_2_bw",
            f"https://opengeodata.lgl-bw.de{ZIP}",
            (455_000.0, 5_428_000.0, 457_000.0, 5_430_000.0),
            300_000_000,
        )
    ]


def test_cells_have_odd_eastings_and_even_northings() -> None:
    source = source_of("bw-dop20")
    pieces = source.access.pieces(source, Area.between(48.95, 8.30, 49.05, 8.50), connect(source, 1))
    numbers = {tuple(map(int, piece.name.split("_")[2:4])) for piece in pieces}
    assert all(east % 2 == 1 and north % 2 == 0 for east, north in numbers)
    assert {(455, 5428), (449, 5422)} <= numbers
    assert len(numbers) == len(pieces)


def test_the_cells_of_real_drives() -> None:
    source = source_of("bw-dop20")
    raw = shared("kitti", "raw_data", "2011_09_26")
    for number, cells in ((2, [457]), (9, [457, 459])):
        area = around_drives([raw / f"2011_09_26_drive_{number:04d}_sync"], 150.0)
        names = [piece.name for piece in source.access.pieces(source, area, connect(source, 1))]
        assert names == [f"dop20rgb_32_{east_km}_5428_2_bw" for east_km in cells]


def test_what_is_inside_lies_right(server: MapServer, source: Source, tmp_path: Path) -> None:
    server.answers[ZIP] = file(dop20_zip(455, 5428))
    obtained = obtain(source, tmp_path)
    stems = {f"dop20rgb_32_{east}_{north}_1_bw_2023" for east in (455, 456) for north in (5428, 5429)}
    names = {f"{stem}{suffix}" for stem in stems for suffix in (".tif", ".tfw", ".csv", ".prj")}
    assert {path.name for path in tmp_path.iterdir()} == {found.path.name for found in obtained} == names
    for stem in stems:
        assert lies_right(open_overhead(tmp_path / f"{stem}.tif"), "EPSG:25832")
    assert {found.flown for found in obtained} == {"2023-06-14"}
    assert server.paths == [ZIP]


@pytest.mark.parametrize(
    ("table", "flown"),
    [
        ("Kachelname;Aktualitaet\na;2023-06-14\n", "2023-06-14"),
        ("Kachelname,Aktualitaet\na,14.06.2023\n", "2023-06-14"),
        ("Metadaten;\nKachelname;AKTUALITAET ;x\r\na;2023-06-14T10:00:00;1\r\n", "2023-06-14"),
        ("Aktualitaet;Bildflugdatum\n2024-01-01;2023-06-14\n", "2023-06-14"),
        ("\ufeffAktualitaet;x\n2023-06-14;ä\n", "2023-06-14"),
        ("Aktualitaet;x\nunknown;1\n", None),
        ("Kachelname;Aktualitaet\na\n", None),
        ("Kachelname;x\na;2023-06-14\n", None),
        ("", None),
    ],
)
def test_the_date_of_flight(server: MapServer, source: Source, tmp_path: Path, table: str, flown: str | None) -> None:
    server.answers[ZIP] = file(zipped({"a.tif": b"1", "a.tfw": b"", "a.csv": table.encode()}))
    dates = {found.path.suffix: found.flown for found in obtain(source, tmp_path)}
    assert dates == dict.fromkeys((".tif", ".tfw", ".csv", ".prj"), flown)


def test_each_picture_has_the_date_of_its_own_table(server: MapServer, source: Source, tmp_path: Path) -> None:
    tables = {f"{stem}.csv": f"Aktualitaet;x\n2023-06-{day};1\n".encode() for stem, day in (("a", "14"), ("b", "15"))}
    server.answers[ZIP] = file(zipped({"a.tif": b"1", "b.tif": b"2", "c.tif": b"3", **tables}))
    dates = {found.path.name: found.flown for found in obtain(source, tmp_path)}
    assert (dates["a.tif"], dates["b.tif"], dates["c.tif"]) == ("2023-06-14", "2023-06-15", None)


def test_a_table_in_latin_1(server: MapServer, source: Source, tmp_path: Path) -> None:
    server.answers[ZIP] = file(zipped({"a.tif": b"1", "a.csv": "Kamera;Aktualitaet\nä;2023-06-14\n".encode("latin-1")}))
    assert obtain(source, tmp_path)[0].flown == "2023-06-14"


def test_beyond_the_border(source: Source, tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        obtain(source, tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"PK not really", "is no whole ZIP file"), (zipped({"a.csv": b"x"}), "has no pictures inside")],
)
def test_a_wrong_archive_is_not_kept(
    server: MapServer, source: Source, tmp_path: Path, content: bytes, what: str
) -> None:
    server.answers[ZIP] = body(content)
    with pytest.raises(InputError, match=what):
        obtain(source, tmp_path)
    assert list(tmp_path.glob("*.zip*")) == []
