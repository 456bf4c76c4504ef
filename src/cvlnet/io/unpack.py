"""Archives from strangers: only what is expected is written, into one folder, and no more than is expected."""

from __future__ import annotations

import shutil
import stat
import zlib
from collections.abc import Collection
from io import FileIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from cvlnet.errors import InputError
from cvlnet.io.files import GB, require_space, written_whole

MOST_MEMBERS = 200
_READ_BYTES = 1 << 20
_ENTRY_BYTES = 4096  # of a member in the directory, at most
_ENCRYPTED = 1  # a flag of a member
_REMEDY = "do not use it; check in a browser what the source offers there"


def unpack(
    archive: Path, folder: Path, suffixes: Collection[str], most_bytes: int, *, most_members: int = MOST_MEMBERS
) -> list[Path]:
    """Write the members with one of these suffixes (lower case) into a folder, whatever folder they are in inside.

    ``most_bytes`` bounds their size in all. Other members are left out.
    Raises InputError if it is no whole ZIP file, or has a member that leaves its folder, is a link, is encrypted or is
    there twice, too many members, none with such a suffix, or more bytes than expected or than it states; and
    NoSpaceError where it does not fit on the disk. What has been written until then stays.
    """
    try:
        with _Archive(archive, most_members) as source, ZipFile(source) as file:
            members = _members(file, archive, suffixes, most_bytes, most_members)
            require_space(folder, sum(member.file_size for member in members.values()))
            return [_written(file, member, folder / name) for name, member in members.items()]
    except (BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"is no whole ZIP file ({error})", where=archive, remedy=_REMEDY) from error


class _Archive(FileIO):
    """An archive of which no more is read at once than the directory of so many members can take.

    zipfile reads the directory as a whole, and makes an object of every entry, before anything can be counted.
    """

    def __init__(self, path: Path, most_members: int) -> None:
        super().__init__(path)
        self._most_bytes = max(_READ_BYTES, most_members * _ENTRY_BYTES)

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file. Raises BadZipFile for more bytes than that."""
        if size is not None and size > self._most_bytes:
            raise BadZipFile(f"a directory of {size} bytes")
        return super().read(size)


def _members(
    file: ZipFile, archive: Path, suffixes: Collection[str], most_bytes: int, most_members: int
) -> dict[str, ZipInfo]:
    """The members to write, by the names that they get."""
    if len(file.infolist()) > most_members:
        what = f"has {len(file.infolist())} members, and {most_members} are the most that are expected"
        raise InputError(what, where=archive, remedy=_REMEDY)
    members: dict[str, ZipInfo] = {}
    known: set[str] = set()  # in lower case, as some file systems take names
    for member in file.infolist():
        fault = _fault(member)
        name = PurePosixPath(member.filename).name
        wanted = not member.is_dir() and PurePosixPath(name).suffix.lower() in suffixes and not name.startswith(".")
        if fault is None and wanted and name.lower() in known:
            fault = "is there twice"
        if fault is not None:
            raise InputError(f"its member {member.filename!r} {fault}", where=archive, remedy=_REMEDY)
        if wanted:
            members[name] = member
            known.add(name.lower())
    if not members:
        raise InputError(f"has no {', '.join(suffixes)} file", where=archive, remedy=_REMEDY)
    total = sum(member.file_size for member in members.values())
    if total > most_bytes:
        what = f"unpacks to {total / GB:.1f} GB, and {most_bytes / GB:.1f} GB are the most that is expected"
        raise InputError(what, where=archive, remedy=_REMEDY)
    return members


def _fault(member: ZipInfo) -> str | None:
    """Why no member of an honest archive is like this one; None if it may be."""
    name = member.filename
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or PureWindowsPath(name).drive
        or not name.isprintable()
    ):
        return "leaves its folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    return None if member.compress_type in (ZIP_STORED, ZIP_DEFLATED) else "is compressed in an unusual way"


def _written(file: ZipFile, member: ZipInfo, path: Path) -> Path:
    """Write one member; zipfile reads no more of it than it states, and then compares its checksum."""
    with written_whole(path) as temporary, file.open(member) as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target, _READ_BYTES)
        if target.tell() != member.file_size:
            raise BadZipFile(f"{member.filename} has {target.tell()} of {member.file_size} bytes")
    return path
