from dataclasses import replace

import pytest
from kitti_tree import place, write_drive
from pyproj import Transformer

import map_servers
from cvlnet.cli import run
from cvlnet.fetch import sources
from cvlnet.fetch.sources import SOURCES, source_of
from map_servers import dop20_zip, file

OWN = ["--url", "https://example.org/wms", "--layer", "a", "--crs", "EPSG:25832", "--m-per-px", "0.2"]
OWN += ["--credit", "b", "--licence", "c"]


def test_the_sources_are_listed_with_their_credit(capsys):
    assert run(["imagery", "sources"]) == 0
    printed = capsys.readouterr().out
    for source in SOURCES:
        assert all(text in printed for text in (source.name, source.title, source.crs, source.licence, source.credit))


def test_imagery_around_a_drive(capsys, monkeypatch, tmp_path):
    """Around KITTI's drives in small: by the folder of the drive to the folder of its imagery."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    drive = write_drive(tmp_path / "raw")
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:25832", always_xy=True)
    east_m, north_m = to_utm.transform(place(0).longitude_deg, place(0).latitude_deg)
    east_km, north_km = int(east_m / 1000 - 1) // 2 * 2 + 1, int(north_m / 1000) // 2 * 2
    with map_servers.running() as server:
        source = source_of("bw-dop20")
        address = server.address + "/{E}_{N}.zip"
        local = replace(source, access=replace(source.access, address=address, about_bytes=10**6))
        monkeypatch.setattr(sources, "SOURCES", (local,))
        server.answers[f"/{east_km}_{north_km}.zip"] = file(dop20_zip(east_km, north_km))
        out = tmp_path / "imagery"
        assert run(["imagery", "fetch", "bw-dop20", "--around", str(drive), "--margin-m", "50", "--out", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{out}: 4 pictures, 4.0")
    assert printed[2] == f"credit: {source.credit}"
    assert printed[-1] == f"next: cvlnet map build {out} --out imagery.map"
    assert len(list(out.glob("*.tif"))) == 4


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["bw-dop20"], "--out"),
        (["bw-dop20", "--out", "y"], "--around, --bbox: exactly one area is needed"),
        (["bw-dop20", "--out", "y", "--around", "a", "--bbox", "1", "2", "3", "4"], "exactly one area is needed"),
        (["bw-dop20", "--out", "y", "--bbox", "1", "2", "3"], "--bbox"),
        (["bw-dop20", "--out", "y", "--bbox", "-3", "2", "-4", "3"], "-3 2 -4 3 is no box"),
        (["bw-dop20", "--out", "y", "--around", "missing"], "missing: the folder does not exist"),
        (["bw-dop20", "--out", "y", "--around", "missing", "--margin-m", "0"], "--margin-m"),
        (["bw-dop20", "--out", "y", "--around", "missing", "--max-gb", "nan"], "--max-gb"),
        (["bw-dop2", "--out", "y", "--bbox", "1", "2", "3", "4"], "did you mean bw-dop20?"),
        (["bw-dop20", "--out", "y", "--bbox", "1", "2", "3", "4", *OWN], "--url: the source bw-dop20 is complete"),
        (["wms", "--out", "y", "--bbox", "1", "2", "3", "4", *OWN[2:]], "SOURCE: wms needs --url; describe"),
        (["wms", "--out", "y", "--bbox", "1", "2", "3", "4", *OWN[:-2]], "SOURCE: wms needs --licence; describe"),
        (["wms", "--out", "y", "--bbox", "1", "2", "0", "4", *OWN], "--bbox: 1 2 0 4 is no box"),
        (["bw-dop20", "--out", "y", "--bbox", "40", "0", "60", "20"], "choose a smaller area"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, tokens, told):
    monkeypatch.chdir(tmp_path)
    assert run(["imagery", "fetch", *tokens]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert told in printed.err
    assert (printed.out, list(tmp_path.iterdir())) == ("", [])
