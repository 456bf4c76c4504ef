import shutil
import stat
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.io.files import NoSpaceError
from cvlnet.io.unpack import unpack
from map_servers import files_below, zipped

MB = 10**6


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive.zip"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "out"
    folder.mkdir(parents=True)
    return folder


def test_what_is_expected_is_written_flat(archive: Path, out: Path) -> None:
    archive.write_bytes(zipped({"dop/a.tif": b"1", "dop/A.TFW": b"2", "dop/licence.pdf": b"3", "dop/._a.tif": b"4"}))
    written = unpack(archive, out, (".tif", ".tfw"), MB)
    assert {path.name: path.read_bytes() for path in written} == {"a.tif": b"1", "A.TFW": b"2"}
    assert files_below(out) == {"a.tif", "A.TFW"}


@pytest.mark.parametrize(
    "name", ["../a.tif", "x/../../a.tif", "/a.tif", "/etc/a.pdf", "..\\a.tif", "C:\\a.tif", "C:a.tif", "a\n.tif"]
)
def test_a_member_that_leaves_its_folder(archive: Path, out: Path, tmp_path: Path, name: str) -> None:
    archive.write_bytes(zipped({"good.tif": b"1", name: b"2"}))
    with pytest.raises(InputError, match="leaves its folder"):
        unpack(archive, out, (".tif",), MB)
    assert files_below(tmp_path) == {"archive.zip"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_member_that_is_no_file(archive: Path, out: Path, kind: int) -> None:
    member = zipfile.ZipInfo("a.tif")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(member, "/etc/passwd")
    with pytest.raises(InputError, match="is a link or a device"):
        unpack(archive, out, (".tif",), MB)
    assert files_below(out) == set()


def test_a_bomb_that_says_so(archive: Path, out: Path) -> None:
    archive.write_bytes(zipped({f"{i}.tif": bytes(MB) for i in range(5)}))
    assert archive.stat().st_size < 10_000
    with pytest.raises(InputError, match=r"archive\.zip: unpacks to"):
        unpack(archive, out, (".tif",), 5 * MB - 1)
    assert files_below(out) == set()
    assert len(unpack(archive, out, (".tif",), 5 * MB)) == 5


def test_a_bomb_that_hides_its_size(archive: Path, out: Path) -> None:
    """The sizes that members state are halved, in both places where they stand."""
    content = zipped({"a.tif": bytes(MB)})
    assert content.count(MB.to_bytes(4, "little")) == 2
    archive.write_bytes(content.replace(MB.to_bytes(4, "little"), (MB // 2).to_bytes(4, "little")))
    with pytest.raises(InputError, match="is no whole ZIP file"):
        unpack(archive, out, (".tif",), MB)
    assert files_below(out) == set()


def test_too_many_members(archive: Path, out: Path) -> None:
    archive.write_bytes(zipped({f"{i}.txt": b"" for i in range(201)}))
    with pytest.raises(InputError, match="has 201 members, and 200 are the most"):
        unpack(archive, out, (".tif",), MB)


def test_a_directory_is_bounded_before_it_is_read(archive: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write_bytes(zipped({f"{i:0200d}.txt": b"" for i in range(5000)}))
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda _: pytest.fail("the directory was read"))
    with pytest.raises(InputError, match=r"is no whole ZIP file \(a directory of [0-9]{7} bytes\)"):
        unpack(archive, out, (".tif",), MB)


@pytest.mark.parametrize("names", [("x/a.tif", "y/a.tif"), ("a.tif", "A.TIF")])
def test_a_member_that_is_there_twice(archive: Path, out: Path, names: tuple[str, str]) -> None:
    archive.write_bytes(zipped(dict.fromkeys(names, b"1")))
    with pytest.raises(InputError, match="is there twice"):
        unpack(archive, out, (".tif",), MB)


def test_a_member_with_a_password(archive: Path, out: Path) -> None:
    content = bytearray(zipped({"a.tif": b"1"}))
    content[6] |= 1  # flags in the member's own header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    archive.write_bytes(content)
    with pytest.raises(InputError, match="is encrypted"):
        unpack(archive, out, (".tif",), MB)


def test_an_unusual_compression(archive: Path, out: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.tif", b"1")
    with pytest.raises(InputError, match="is compressed in an unusual way"):
        unpack(archive, out, (".tif",), MB)


def test_a_full_disk_is_noticed_before(archive: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    archive.write_bytes(zipped({"a.tif": b"1"}))
    with pytest.raises(NoSpaceError, match="free space"):
        unpack(archive, out, (".tif",), MB)
    assert files_below(out) == set()


def test_nothing_expected_inside(archive: Path, out: Path) -> None:
    archive.write_bytes(zipped({"a.txt": b"1"}))
    with pytest.raises(InputError, match=r"has no \.tif, \.tfw file"):
        unpack(archive, out, (".tif", ".tfw"), MB)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no archive"])
def test_a_damaged_archive(archive: Path, out: Path, damage: str) -> None:
    content = zipped({"a.tif": bytes(range(256)) * 100})
    middle = content.index(b"a.tif") + 30
    changed = content[:middle] + bytes(5) + content[middle + 5 :]
    archive.write_bytes({"cut": content[:-40], "changed": changed, "empty": b"", "no archive": b"<html>"}[damage])
    with pytest.raises(InputError, match=r"archive\.zip: is no whole ZIP file"):
        unpack(archive, out, (".tif",), MB)
    assert files_below(out) == set()
