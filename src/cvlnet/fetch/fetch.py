"""From a source and an area to a folder of imagery that `open_overhead` opens, with a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from urllib.parse import urlsplit

from pyproj import Transformer
from tqdm import tqdm

from cvlnet.errors import InputError, warn
from cvlnet.fetch.area import Area
from cvlnet.fetch.connection import Connection, NotThereError, StoppedError
from cvlnet.fetch.manifest import FetchedFile, Manifest, digest_of, read_manifest
from cvlnet.fetch.source import Obtained, Piece, Source
from cvlnet.imagery.crop import ground_m_per_px
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery
from cvlnet.io.files import GB
from cvlnet.io.lock import LOCK, locked

_PICTURES = (".tif", ".tiff")
_BEGUN = ".fetching"  # folder of what is not whole yet
_OVER = 0.01  # of a piece's side that a picture may reach over its edge
_MOST_NAMED = 3  # pieces in a message
_LOOK = "check in a browser what the source offers there"


@dataclass(frozen=True)
class Fetched:
    """What a folder holds after a call.

    new, kept: number of pieces that were fetched, and that were there. not_there: pieces that the source lacks.
    """

    folder: Path
    manifest: Manifest
    new: int
    kept: int
    not_there: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What there is, in lines for a terminal."""
        files = self.manifest.files.values()
        pictures = [file for file in files if file.ground_m2 is not None]
        km2 = sum(file.ground_m2 or 0.0 for file in pictures) / 1e6
        size_mb = sum(file.bytes for file in files) / 1e6
        dates = sorted({file.flown for file in files if file.flown is not None})
        flown = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else next(iter(dates), "not stated")
        lines = (
            f"{self.folder}: {len(pictures)} pictures, {km2:,.2f} km2, {size_mb:,.1f} MB"
            f" ({self.new} pieces fetched, {self.kept} were there)",
            f"date of flight: {flown}",
            f"credit: {self.manifest.credit}",
            f"licence: {self.manifest.licence}",
        )
        return "\n".join(lines)


def connect(source: Source, most_bytes: int) -> Connection:
    """A connection to the servers of a source, by https only if its address says so."""
    secure = urlsplit(source.access.address).scheme == "https"
    return Connection(hosts=source.access.hosts, secure=secure, most_bytes=most_bytes)


def fetch_imagery(source: Source, area: Area, out: Path, connection: Connection, *, progress: bool = False) -> Fetched:
    """Fetch what a source has of an area. What is there already, and unchanged, is not fetched again.

    A piece that the source lacks is left out with a warning; one that cannot be used is named by the error that is
    raised after the others have been fetched. The manifest is written after every piece, so that a call resumes an
    interrupted one.
    Raises InputError if the source does not answer as expected, has nothing of the area, or a piece cannot be used, if
    more would be received than the connection allows, if the disk is full, if the folder holds anything else, or if
    another process is fetching into it.
    """
    manifest = _manifest_for(source, out)
    try:
        pieces = source.access.pieces(source, area, connection)
    except NotThereError as error:
        raise InputError("the service no longer exists", where=str(error), remedy=_LOOK) from error
    wanted = _wanted(pieces, manifest, out)
    _require_modest(wanted, connection)
    with locked(out, "another process is fetching into this folder", tidy=True):
        by_now = _manifest_for(source, out)
        if by_now != manifest:
            wanted = _wanted(pieces, by_now, out)
        return _fetch_all(source, pieces, wanted, by_now, out, connection, progress=progress)


def _wanted(pieces: Sequence[Piece], manifest: Manifest, out: Path) -> list[Piece]:
    """The pieces that the source has and the folder lacks."""
    return [piece for piece in pieces if piece.listed and not manifest.holds(piece.name, piece.address, out)]


def _fetch_all(
    source: Source,
    pieces: Sequence[Piece],
    wanted: Sequence[Piece],
    manifest: Manifest,
    out: Path,
    connection: Connection,
    *,
    progress: bool,
) -> Fetched:
    """Fetch the wanted ones of an area's pieces into a folder that holds what its manifest says."""
    not_there = [piece.name for piece in pieces if not piece.listed]
    faults: list[InputError] = []
    manifest.write(out)
    with tqdm(total=None, unit="B", unit_scale=True, disable=not progress) as bar:
        connection.arrived = bar.update
        for number, piece in enumerate(wanted, 1):
            bar.set_description(f"piece {number} of {len(wanted)}")
            try:
                manifest = manifest.with_files(_fetch_piece(source, piece, manifest, out, connection))
            except NotThereError:
                not_there.append(piece.name)
                manifest = manifest.without(piece.name)
            except StoppedError:
                raise
            except InputError as error:
                faults.append(error)
            manifest.write(out)
    shutil.rmtree(out / _BEGUN, ignore_errors=True)
    _require_success(source, pieces, not_there, faults)
    new = len(wanted) - len(not_there) + sum(not piece.listed for piece in pieces)
    return Fetched(out, manifest, new, len(pieces) - len(not_there) - new, tuple(not_there))


def _manifest_for(source: Source, out: Path) -> Manifest:
    """What the folder holds, or an empty manifest if it is new. Raises InputError if it holds anything else."""
    manifest = read_manifest(out)
    if manifest is None:
        if out.exists() and (not out.is_dir() or any(path.name != LOCK for path in out.iterdir())):
            what = "is no folder that imagery was fetched into, and not empty"
            raise InputError(what, where=out, remedy="choose a new folder")
        return Manifest(source.name, source.title, source.credit, source.licence)
    if (manifest.source, manifest.title) != (source.name, source.title):
        remedy = "choose another folder for each source, because credit and licence differ"
        raise InputError(f"holds imagery of {manifest.title}", where=out, remedy=remedy)
    return manifest


def _require_modest(wanted: Sequence[Piece], connection: Connection) -> None:
    """Whether pieces are likely to be within the limit, before the first of them is fetched."""
    about_bytes = sum(piece.about_bytes for piece in wanted)
    if about_bytes > connection.most_bytes:
        what = (
            f"{len(wanted)} pieces of about {about_bytes / GB:.1f} GB are more than {connection.most_bytes / GB:g} GB"
        )
        raise InputError(what, where="--max-gb", remedy="raise it, or choose a smaller area")


def _fetch_piece(
    source: Source, piece: Piece, manifest: Manifest, out: Path, connection: Connection
) -> dict[str, FetchedFile]:
    """Fetch a piece into a hidden folder, look at its files there, and move them to their places.

    Files that the piece had before and has no more are removed.
    """
    begun = out / _BEGUN
    begun.mkdir(exist_ok=True)
    try:
        obtained = source.access.obtain(source, piece, begun, connection)
        files = {file.path.name: _looked_at(file, source, piece) for file in obtained}
        for name in files:
            if name in manifest.files and manifest.files[name].piece != piece.name:
                what = f"has a file {name}, which {manifest.files[name].piece} has, too"
                raise InputError(what, where=piece.address, remedy=_LOOK)
        for file in obtained:
            file.path.replace(out / file.path.name)
        for name, had in manifest.files.items():
            if had.piece == piece.name and name not in files:
                (out / name).unlink(missing_ok=True)
    finally:
        for path in begun.iterdir():
            if not path.name.endswith((".part", ".part.json")):  # which can be resumed
                path.unlink()
    return files


def _looked_at(file: Obtained, source: Source, piece: Piece) -> FetchedFile:
    """The file's entry. Raises InputError if it does not have its checksum, or is a picture of another place."""
    if piece.checksum is not None and digest_of(file.path, piece.checksum[0]) != piece.checksum[1]:
        what = f"does not have the {piece.checksum[0]} checksum that the source states"
        raise InputError(what, where=piece.address, remedy="run the command again")
    ground_m2 = None
    if file.path.suffix.lower() in _PICTURES:
        picture = open_overhead(file.path)
        _require_place(picture, source, piece)
        rows, cols = picture.shape
        ground_m2 = round(rows * cols * prod(ground_m_per_px(picture.raster, [cols / 2, rows / 2])), 1)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return FetchedFile(
        piece.name,
        piece.address,
        digest_of(file.path, "sha256"),
        file.path.stat().st_size,
        now,
        file.flown,
        source.crs,
        ground_m2,
    )


def _require_place(picture: Imagery, source: Source, piece: Piece) -> None:
    """Whether a picture lies in its piece, but for a hundredth of the side."""
    rows, cols = picture.shape
    lat, lon = picture.raster.latlon_deg([[0.0, 0.0], [cols, 0.0], [cols, rows], [0.0, rows]]).T
    x, y = Transformer.from_crs("EPSG:4326", source.crs, always_xy=True).transform(lon, lat)
    west, south, east, north = piece.bounds
    over = _OVER * (east - west)
    if x.min() < west - over or x.max() > east + over or y.min() < south - over or y.max() > north + over:
        what = f"its picture {picture.source.name} does not lie in the cell that was asked for"
        raise InputError(what, where=piece.address, remedy=_LOOK)


def _require_success(
    source: Source, pieces: Sequence[Piece], not_there: Sequence[str], faults: Sequence[InputError]
) -> None:
    if faults:
        first = faults[0]
        if len(pieces) == 1:
            raise first
        what = f"{len(faults)} of {len(pieces)} pieces could not be fetched, such as {first.where}: {first.what}"
        raise InputError(what, where=source.name, remedy=first.remedy)
    if len(not_there) == len(pieces):
        what = f"has no imagery of the area ({_some(not_there)})"
        raise InputError(what, where=source.name, remedy="check the area, or choose a source that covers it")
    if not_there:
        what = f"has no imagery of {len(not_there)} of {len(pieces)} pieces ({_some(not_there)})"
        warn(what, where=source.name, remedy="if they lie beyond its borders, no action is needed")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
