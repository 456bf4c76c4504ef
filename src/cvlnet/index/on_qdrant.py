"""An index over the places of a map in Qdrant, a vector database, whose engine runs here within the process.

The engine is that of Qdrant's server: what `points_of` gives can be put into a cluster as it is, by qdrant-client, and
is asked for in the same way (docs/scale.md). An index on disk is written once, since the engine neither keeps checksums
nor changes many points as a whole; ``index.json`` lists its files. Needs the extras ``qdrant`` and ``index``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant
from jaxtyping import Float32, Int64
from tqdm import tqdm

from cvlnet.arrays import I64
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.index.area import Circle
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import Found
from cvlnet.index.segment import REMEDY, Codec, Segment, sha256_of
from cvlnet.io.files import folder_written_whole
from cvlnet.io.text import read_json

FILE, SHARD = "index.json", "shard"
PLACE, REGION = "place", "region"  # of a payload: latitude and longitude, and the name of the segment
_FORMAT = 1
_BATCH = 1000
_HALF = 2**31  # added to rows and columns, so that an id is a positive number of 64 bits
_ROUNDER = 1.01  # the engine's earth is a sphere, on which distances are wrong by up to 0.6 %
_LARGEST_FLOAT16 = 65504.0
_UNWRITTEN = "free some space or choose another place"


@dataclass(frozen=True)
class Points:
    """Places as Qdrant takes them. payloads: latitude and longitude, and the region, of each."""

    ids: list[int]
    vectors: Float32[np.ndarray, "places dims"]
    payloads: list[dict[str, Any]]


class QdrantIndex:
    """An index on disk. Raises InputError if there is none, or a file is missing or of another size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about, self._frame, self._files = _read(folder)
        found = {path.relative_to(folder / SHARD).as_posix(): path for path in _files_in(folder / SHARD)}
        for name in sorted(found.keys() | self._files.keys()):
            size, _ = self._files.get(name, (None, None))
            if name not in found or found[name].stat().st_size != size:
                what = "is missing, is not whole, or does not belong to the index"
                raise InputError(what, where=folder / SHARD / name, remedy=REMEDY)
        with _engine(folder):
            self._shard = qdrant.EdgeShard.load(str(folder / SHARD))
            self._count = int(self._shard.info().points_count)

    def __len__(self) -> int:
        """Number of places."""
        return self._count

    def require(self, *, map_fingerprint: str, descriptor_fingerprint: str) -> None:
        """Raise InputError unless this is an index of that map, by that descriptor."""
        if (self.about.map, self.about.descriptor) != (map_fingerprint, descriptor_fingerprint):
            what = "the index is of another map, or by another descriptor"
            raise InputError(what, where=self.folder, remedy="build it again")

    def search(
        self,
        queries: Float32[np.ndarray, "queries dims"],
        most: int,
        *,
        within: Circle | None = None,
        exact: bool = True,
    ) -> Found:
        """The ``most`` places whose products with any of the queries are largest, in a circle if one is given.

        The engine rounds queries to half precision. exact: compares all places; otherwise a graph is followed, where
        the index has one, and int8 is compared where the descriptors are stored as such.
        Raises ValueError if queries have other dimensions than the descriptors, or numbers that half precision lacks.
        """
        in_range = (np.abs(queries) <= _LARGEST_FLOAT16).all()
        if queries.ndim != 2 or queries.shape[1] != self.about.codec.dims or not in_range:
            raise ValueError(f"queries of {queries.shape}, not of {self.about.codec.dims} finite numbers each")
        products: dict[int, float] = {}
        for query in queries:
            for place, product in self._nearest(query, most, within, exact):
                products[place] = max(product, products.get(place, product))
        best = sorted(products, key=lambda place: (-products[place], place))[:most]
        return Found(_row_col(best), np.array([products[place] for place in best], np.float32))

    def verify(self) -> None:
        """Read every file. Raises InputError for the first whose contents do not have their checksum."""
        for name, (_, digest) in self._files.items():
            path = self.folder / SHARD / name
            if sha256_of(path) != digest:
                raise InputError("its contents do not have their checksum", where=path, remedy=REMEDY)

    def close(self) -> None:
        """Give back what the engine holds."""
        self._shard.close()

    def _nearest(
        self, query: Float32[np.ndarray, " dims"], most: int, within: Circle | None, exact: bool
    ) -> list[tuple[int, float]]:
        """Ids and products, best first; from a circle on the sphere those are taken that lie in the true one."""
        asked = most if within is None else most + most // 20 + 10
        while True:
            request = qdrant.QueryRequest(
                limit=asked,
                query=qdrant.Query.Nearest(query.tolist()),
                params=qdrant.SearchParams(exact=exact),
                filter=None if within is None else self._filter(within),
            )
            with _engine(self.folder):
                found = [(int(point.id), float(point.score)) for point in self._shard.query(request)]
            inside = found if within is None else self._inside(found, within)
            if len(inside) >= most or len(found) < asked:
                return inside[:most]
            asked *= 2

    def _filter(self, within: Circle) -> qdrant.Filter:
        lat, lon = self._frame.latlon_deg(within.center_xy_m).tolist()
        circle = qdrant.GeoRadius(qdrant.GeoPoint(lon=lon, lat=lat), within.radius_m * _ROUNDER + 1.0)
        return qdrant.Filter(must=[qdrant.FieldCondition(key=PLACE, geo_radius=circle)])

    def _inside(self, found: Sequence[tuple[int, float]], within: Circle) -> list[tuple[int, float]]:
        xy_m = self.about.lattice.xy_m(_row_col([place for place, _ in found]))
        near = ((xy_m - within.center_xy_m) ** 2).sum(axis=-1) <= within.radius_m**2
        return [each for each, is_near in zip(found, near, strict=True) if is_near]


def write_qdrant_index(
    folder: Path,
    about: About,
    anchor: LatLon,
    segments: Iterable[tuple[str, Segment]],
    *,
    graph: bool = False,
    progress: bool = False,
) -> None:
    """Write an index of named segments, whole or not at all.

    anchor: of the map's frame. graph: builds one (HNSW) for searches that are not exact; it takes long. Descriptors are
    kept in half precision, and as int8 too where the codec says so.
    Raises InputError if the folder exists or cannot be written, or segments hold the same place; ValueError for
    descriptors of other dimensions than the codec's, or too large for half precision.
    """
    with folder_written_whole(folder) as staging:
        twice = _fill(staging / SHARD, folder, about, anchor, segments, graph=graph, progress=progress)
        if twice:
            raise InputError(f"segments hold {twice} places twice", where=folder, remedy="leave one of them out")
        files = {
            path.relative_to(staging / SHARD).as_posix(): (path.stat().st_size, sha256_of(path))
            for path in _files_in(staging / SHARD)
        }
        about_it = {"format": _FORMAT, **asdict(about), "anchor": asdict(anchor), "files": files}
        (staging / FILE).write_text(json.dumps(about_it), encoding="utf-8")


def points_of(about: About, anchor: LatLon, name: str, segment: Segment) -> Iterator[Points]:
    """A segment's places in batches; its name is their region, by which a cluster can divide them among machines.

    Raises ValueError for descriptors of other dimensions than the codec's, or too large for half precision.
    """
    if segment.descriptors.shape[1] != about.codec.dims or np.abs(segment.descriptors).max() > _LARGEST_FLOAT16:
        raise ValueError(f"descriptors of {segment.descriptors.shape[1]} numbers, or beyond {_LARGEST_FLOAT16}")
    row_col = np.argwhere(segment.held) + segment.first
    if (np.abs(row_col) >= _HALF).any():
        raise ValueError(f"rows or columns beyond {_HALF}")
    latlon_deg = LocalFrame(anchor).latlon_deg(about.lattice.xy_m(row_col))
    for start in range(0, len(row_col), _BATCH):
        batch = slice(start, start + _BATCH)
        yield Points(
            [((row + _HALF) << 32) + col + _HALF for row, col in row_col[batch].tolist()],
            segment.descriptors[batch],
            [{PLACE: {"lat": lat, "lon": lon}, REGION: name} for lat, lon in latlon_deg[batch].tolist()],
        )


def _fill(
    shard: Path,
    where: Path,
    about: About,
    anchor: LatLon,
    segments: Iterable[tuple[str, Segment]],
    *,
    graph: bool,
    progress: bool,
) -> int:
    """Have the engine write its files. Returns how many places are held twice. where: the index, for messages."""
    shard.mkdir(parents=True)
    int8 = qdrant.ScalarQuantizationConfig(type=qdrant.ScalarType.Int8)
    vectors = qdrant.EdgeVectorParams(
        size=about.codec.dims,
        distance=qdrant.Distance.Dot,
        datatype=qdrant.VectorStorageDatatype.Float16,
        quantization_config=int8 if about.codec.storage == "int8" else None,
        hnsw_config=qdrant.HnswIndexConfig(m=16 if graph else 0, ef_construct=128, full_scan_threshold=10_000),
    )
    at_once = qdrant.EdgeOptimizersConfig(indexing_threshold=1)  # KB; by default small indexes stay as they come
    with _engine(where, _UNWRITTEN):
        config = qdrant.EdgeConfig(vectors=vectors, optimizers=at_once, wal_enabled=False)
        opened = qdrant.EdgeShard.create(str(shard), config)
        opened.update(qdrant.UpdateOperation.create_field_index(PLACE, qdrant.PayloadSchemaType.Geo))
    count = 0
    with tqdm(desc="writing the index", unit="place", unit_scale=True, disable=not progress) as bar:
        for name, segment in segments:
            for points in points_of(about, anchor, name, segment):
                count += len(points.ids)
                _upsert(opened, points, where)
                bar.update(len(points.ids))
    with _engine(where, _UNWRITTEN):
        held = int(opened.info().points_count)
        opened.optimize()
        opened.flush()
        opened.close()
        qdrant.EdgeShard.load(str(shard)).close()  # which completes the engine's configuration file
    return count - held


def _upsert(opened: qdrant.EdgeShard, points: Points, where: Path) -> None:
    each = zip(points.ids, points.vectors.tolist(), points.payloads, strict=True)
    with _engine(where, _UNWRITTEN):
        opened.update(qdrant.UpdateOperation.upsert_points([qdrant.Point(*parts) for parts in each]))


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _row_col(ids: Sequence[int]) -> Int64[np.ndarray, "places 2"]:
    pairs: I64 = np.array([divmod(each, 2**32) for each in ids], np.int64).reshape(-1, 2) - _HALF
    return pairs


def _read(folder: Path) -> tuple[About, LocalFrame, dict[str, tuple[int, str]]]:
    """What ``index.json`` says. Raises InputError if it is missing, or says anything else."""
    found = read_json(folder / FILE, REMEDY)
    try:
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']}, not {_FORMAT}")
        east_m, north_m = (float(value) for value in found["lattice"]["first_xy_m"])
        lattice = Lattice((east_m, north_m), float(found["lattice"]["spacing_m"]))
        about = About(str(found["map"]), str(found["descriptor"]), lattice, Codec(**found["codec"]))
        anchor = LatLon(float(found["anchor"]["latitude_deg"]), float(found["anchor"]["longitude_deg"]))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in found["files"].items()}
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
            raise ValueError("a file lies outside")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"describes no index ({error})", where=folder / FILE, remedy=REMEDY) from error
    return about, LocalFrame(anchor), files


@contextmanager
def _engine(where: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turns what the engine raises, a panic too, which is no Exception, into an InputError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise InputError(f"cannot be used ({reason})", where=where, remedy=remedy) from error
