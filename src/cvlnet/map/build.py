"""Building a map on disk: resumable, whole or not at all, from any imagery; and laying newer imagery over a map.

A map is written into a hidden folder beside its versions and becomes the current one by a single rename at its end.
What was killed on the way goes on when it is repeated, and its result is the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from math import ceil
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.imagery.crop import farthest_m
from cvlnet.imagery.overhead import Imagery
from cvlnet.io.files import remove_unfinished, written_whole
from cvlnet.map.arrays import MapArrays
from cvlnet.map.encode import EncodedCells, Window, encoded, window_cells, windows
from cvlnet.map.header import FARTHEST_M, MapHeader, Source, Storage, weights_of
from cvlnet.map.region import Layout, require_metric
from cvlnet.map.store import MANIFEST, POINTER, Map, is_map, listed
from cvlnet.model.cvlnet import CVLNet

_STAGING, _PLAN, _LOCK = ".building", "plan.json", ".lock"
_EDGE_CELLS = 32  # of newer imagery, whose features depend on what lies beyond its edge


# encodes windows of imagery into the arrays in a folder: folder, header, windows, whether to show a progress bar
Engine = Callable[[Path, MapHeader, Sequence[Window], bool], None]


def in_this_process(model: CVLNet, image: Imagery) -> Engine:
    """The engine that encodes window after window. It raises InputError where the imagery is damaged."""

    def encode(folder: Path, header: MapHeader, parts: Sequence[Window], progress: bool) -> None:
        arrays = MapArrays(folder, read_only=False)
        for part, found in encoded(model, image, header.anchor, header.cells, parts, progress=progress):
            if bool((found.known | found.gone | found.on_image).any()):
                arrays.write(part, found)

    return encode


def planned(model: CVLNet, image: Imagery, *, storage: Storage = "float16", onto: Map | None = None) -> MapHeader:
    """The header of a map of imagery.

    onto: a map whose anchor and grid of cells the new one shares, so that the two can be merged.
    Raises InputError for imagery that reaches too far, or a network without a metric grid.
    """
    require_metric(model, image)
    layout = Layout.of(model)
    anchor = image.center if onto is None else onto.header.anchor
    east_m, north_m = farthest_m(image, anchor).tolist()
    if max(east_m, north_m) > FARTHEST_M:
        raise InputError(
            f"the imagery reaches {max(east_m, north_m) / 1000:.0f} km from the middle of the map",
            where=image.source,
            remedy=f"build several maps, each within {FARTHEST_M / 1000:.0f} km of its middle",
        )
    if onto is None:
        rows, cols = (_whole(half_m, layout) for half_m in (north_m, east_m))
        cells = layout.cells(Grid(rows, cols, layout.cell_m))
    else:
        onto.require_made_by(model)
        cells = _extended(onto.header.cells, onto.header.window, east_m, north_m, layout)
    return MapHeader(
        anchor=anchor,
        cells=cells,
        layout=layout,
        channels=model.overhead_head.out_channels,
        window=window_cells(model),
        weights=weights_of(model),
        storage=storage,
        sources=(Source(image.source.name, image.credit, imagery_state(image)),),
    )


def build_map(
    model: CVLNet,
    image: Imagery,
    out: Path,
    *,
    storage: Storage = "float16",
    onto: Map | None = None,
    engine: Engine | None = None,
    progress: bool = False,
) -> Map:
    """Encode imagery into a map on disk; one that is there already, of the same imagery and weights, is returned.

    Raises InputError as `planned` does, if ``out`` holds another map, finished or not, or cannot be written.
    """
    header = planned(model, image, storage=storage, onto=onto)
    with locked(out):
        if is_map(out):
            found = Map.open(out)
            if found.header == header:
                return found
            remedy = "lay the imagery over it by cvlnet map update, or choose another folder"
            raise InputError("holds a map of other imagery, weights or settings", where=out, remedy=remedy)
        arrays = _begun(out, header, base=None)
        parts = [part for part in windows(header.cells, header.window) if not arrays.holds(part)]
        (engine or in_this_process(model, image))(arrays.folder, header, parts, progress)
        return _published(out)


def update_map(model: CVLNet, path: Path, image: Imagery, *, progress: bool = False) -> Map:
    """Lay newer imagery over a map, which grows where the imagery reaches beyond it.

    A cell is replaced where the imagery shows its surroundings, too, or where the map shows nothing.
    Raises InputError as `Map.open` and `planned` do, or if the map was made with other weights.
    """
    with locked(path):
        base = Map.open(path)
        layer = planned(model, image, storage=base.header.storage, onto=base)
        header = _joined(base.header, layer.cells, layer.sources)
        offset = _offset(header.cells, layer.cells)
        arrays = _begun(path, header, base=base)

        def seen(part: Window) -> EncodedCells:
            own = _moved(part, offset)
            ((_, cells),) = encoded(model, image, header.anchor, layer.cells, [own])
            return cells

        _overlay(arrays, base, layer.cells, seen, progress=progress)
        return _published(path)


def merge_maps(first: Map, second: Map, out: Path, *, progress: bool = False) -> Map:
    """Lay a map over another one, as a third: cells of the second replace those of the first as in `update_map`.

    Raises InputError unless both have the same anchor, grid of cells, weights and storage, or if ``out`` holds a map.
    """
    a, b = first.header, second.header
    same = (a.anchor, a.layout, a.channels, a.window, a.weights, a.storage) == (
        b.anchor,
        b.layout,
        b.channels,
        b.window,
        b.weights,
        b.storage,
    )
    if not same:
        remedy = f"build it again by cvlnet map build IMAGERY --onto {first.path}"
        raise InputError("has another anchor, other weights or storage", where=second.path, remedy=remedy)
    with locked(out):
        if is_map(out):
            raise InputError("holds a map already", where=out, remedy="choose another folder")
        header = _joined(a, b.cells, b.sources)
        offset = _offset(header.cells, b.cells)
        arrays = _begun(out, header, base=first)
        _overlay(arrays, first, b.cells, lambda part: second.read(_moved(part, offset)), progress=progress)
        return _published(out)


def imagery_state(image: Imagery) -> str:
    """SHA-256 of what imagery is now, by its place and its `Imagery.fingerprint`."""
    return sha256(repr((image.raster, image.shape)).encode() + image.fingerprint()).hexdigest()


def _whole(half_m: float, layout: Layout) -> int:
    """Places, whole tiles of them, that reach as far from the anchor."""
    return layout.steps * max(1, ceil((2 * half_m / layout.cell_m + 1 - 1e-6) / layout.steps))


def _extended(cells: Grid, window: int, east_m: float, north_m: float, layout: Layout) -> Grid:
    """A grid, grown by whole windows until it holds what reaches so far from the anchor."""
    around_m = layout.clip_cells * layout.cell_m / 2
    north_west, _, south_east, _ = cells.corners_xy_m().tolist()
    side_m = window * cells.cell_m
    west, north, east, south = (
        max(0, ceil((reach_m + around_m - had_m) / side_m))
        for reach_m, had_m in (
            (east_m, -north_west[0]),
            (north_m, north_west[1]),
            (east_m, south_east[0]),
            (north_m, -south_east[1]),
        )
    )
    rows = -(-cells.rows // window) * window if south else cells.rows
    cols = -(-cells.cols // window) * window if east else cells.cols
    rows, cols = rows + (north + south) * window, cols + (west + east) * window
    corner = (north_west[0] - west * side_m, north_west[1] + north * side_m)
    return _from_corner(corner, rows, cols, cells.cell_m)


def _from_corner(north_west_m: tuple[float, float], rows: int, cols: int, cell_m: float) -> Grid:
    return Grid(rows, cols, cell_m, (north_west_m[0] + cols * cell_m / 2, north_west_m[1] - rows * cell_m / 2))


def _joined(base: MapHeader, cells: Grid, sources: tuple[Source, ...]) -> MapHeader:
    """The header of a map with another grid laid over it; the base's windows stay windows."""
    window, m = base.window, base.cells.cell_m
    (west, north), _, (east, south), _ = base.cells.corners_xy_m().tolist()
    (far_west, far_north), _, (far_east, far_south), _ = cells.corners_xy_m().tolist()
    left, top = (max(0, ceil((more - 1e-6) / (window * m))) for more in (west - far_west, far_north - north))
    right_m, bottom_m = max(east, far_east), min(south, far_south)
    corner = (west - left * window * m, north + top * window * m)
    rows, cols = round((corner[1] - bottom_m) / m), round((right_m - corner[0]) / m)
    return replace(base, cells=_from_corner(corner, rows, cols, m), sources=(*base.sources, *sources))


def _offset(outer: Grid, inner: Grid) -> tuple[int, int]:
    """Row and column of a grid's first cell in a larger one. Raises InputError if it lies between cells."""
    corner = inner.corners_xy_m()[0] + torch.tensor([inner.cell_m / 2, -inner.cell_m / 2], dtype=torch.float64)
    exact = outer.row_col(corner)
    if float((exact - exact.round()).abs().max()) > 1e-3:
        remedy = "build it again by cvlnet map build --onto the first one"
        raise InputError("the cells of the two maps do not coincide", where="map", remedy=remedy)
    row, col = exact.round().long().tolist()
    return row, col


def _moved(part: Window, offset: tuple[int, int]) -> Window:
    """A window in the indices of a grid whose first cell lies at ``offset``."""
    (row, col), (rows, cols) = offset, (part.rows, part.cols)
    return Window(slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col))


def _overlay(
    arrays: MapArrays, base: Map, layer: Grid, seen: Callable[[Window], EncodedCells], *, progress: bool
) -> None:
    """Write the windows that a layer changes; those whose files are not the base's are done."""
    header = arrays.header
    row, col = _offset(header.cells, layer)
    for part in tqdm(
        windows(header.cells, header.window), desc="updating the map", unit="window", disable=not progress
    ):
        around = Window(
            slice(max(part.rows.start - _EDGE_CELLS, row), min(part.rows.stop + _EDGE_CELLS, row + layer.rows)),
            slice(max(part.cols.start - _EDGE_CELLS, col), min(part.cols.stop + _EDGE_CELLS, col + layer.cols)),
        )
        inside = around.rows.start < around.rows.stop and around.cols.start < around.cols.stop
        if not inside or not _is_base_s(arrays, base, part):
            continue
        new = seen(around)
        if bool(new.known.any()):
            arrays.write(part, _laid_over(arrays.read(part), new, part, around))


def _laid_over(old: EncodedCells, new: EncodedCells, part: Window, around: Window) -> EncodedCells:
    """The cells of ``part``, replaced by newer ones, of the window ``around``, where those count."""
    rows = slice(max(part.rows.start, around.rows.start), min(part.rows.stop, around.rows.stop))
    cols = slice(max(part.cols.start, around.cols.start), min(part.cols.stop, around.cols.stop))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return old
    both = Window(rows, cols)
    target = _moved(both, (part.rows.start, part.cols.start))
    own = _moved(both, (around.rows.start, around.cols.start))
    new_known, old_known = new.known[own.rows, own.cols], old.known[target.rows, target.cols]
    counts = _interior(new.known)[own.rows, own.cols] | (new_known & ~old_known)
    merged = {}
    for name in ("descriptor", "uncertainty", "known", "gone", "on_image", "preview"):
        whole: Tensor = getattr(old, name).clone()
        ours = whole[..., target.rows, target.cols]
        whole[..., target.rows, target.cols] = torch.where(counts, getattr(new, name)[..., own.rows, own.cols], ours)
        merged[name] = whole
    return EncodedCells(**merged)


def _interior(known: Bool[Tensor, "rows cols"]) -> Bool[Tensor, "rows cols"]:
    """Known cells all around which cells are known, as far as features depend on them."""
    side = 2 * _EDGE_CELLS + 1
    unknown = functional.max_pool2d((~known).float()[None], side, stride=1, padding=_EDGE_CELLS)[0]
    return unknown == 0


def _is_base_s(arrays: MapArrays, base: Map, part: Window) -> bool:
    """Whether a window's state is still the one of the base, linked or copied, or neither has one."""
    own, moved = arrays.state_file(part), _moved(part, _offset(arrays.header.cells, base.header.cells))
    if not own.is_file():
        return True
    of_base = base.arrays.state_file(moved)
    outside = moved.rows.start < 0 or moved.cols.start < 0 or not of_base.is_file()
    return not outside and of_base.stat().st_mtime_ns == own.stat().st_mtime_ns


def _begun(out: Path, header: MapHeader, *, base: Map | None) -> MapArrays:
    """The arrays of a map that is being written: those of an earlier call with the same plan, or new ones.

    base: the map whose chunks the new one begins with.
    Raises InputError if an unfinished map with another plan is there.
    """
    staging = out / _STAGING
    plan = json.dumps({"header": header.to_json(), "base": None if base is None else str(base.arrays.folder.resolve())})
    _recover(out, staging)
    if staging.exists():
        if _text(staging / _PLAN) == plan:
            remove_unfinished(staging)
            return MapArrays(staging / "map", read_only=False)
        if (staging / _PLAN).exists():
            remedy = f"repeat the command that began it, or delete {staging}"
            raise InputError("holds an unfinished map of other imagery, weights or settings", where=out, remedy=remedy)
        shutil.rmtree(staging)  # killed before its plan was written: nothing was encoded
    arrays = MapArrays.create(staging / "map", header)
    if base is not None:
        _link(base, arrays)
    with written_whole(staging / _PLAN) as temporary:
        temporary.write_text(plan, encoding="utf-8")
    return arrays


def _link(base: Map, arrays: MapArrays) -> None:
    """Take over the chunks of a map whose windows are windows of the arrays, without copying where the disk allows."""
    row, col = (count // arrays.header.window for count in _offset(arrays.header.cells, base.header.cells))
    for name in base.manifest:
        array, _, rest = name.partition("/c/")
        if rest:
            *leading, own_row, own_col = rest.split("/")
            target = (
                arrays.folder / array / "c" / "/".join([*leading, str(int(own_row) + row), str(int(own_col) + col)])
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(base.arrays.folder / name, target)
            except OSError:
                shutil.copy2(base.arrays.folder / name, target)


def _published(out: Path) -> Map:
    """Make what was built the current version; the one before it stays for those who read it."""
    staging, versions = out / _STAGING, _versions(out)
    folder = out / f"v{max(versions, default=0) + 1}"
    for leftover in (staging / "map").rglob("*.partial"):
        leftover.unlink()
    files = sorted(path for path in (staging / "map").rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {path.relative_to(staging / "map").as_posix(): asdict(listed(path)) for path in files}
    with written_whole(staging / "map" / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest), encoding="utf-8")
    (staging / "map").rename(folder)
    _point(out, folder)
    shutil.rmtree(staging)
    for number in versions[:-1]:
        shutil.rmtree(out / f"v{number}")
    return Map.open(out)


def _point(out: Path, folder: Path) -> None:
    checksum = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    with written_whole(out / POINTER) as temporary:
        temporary.write_text(json.dumps({"version": folder.name, "manifest_sha256": checksum}) + "\n", encoding="utf-8")


def _recover(out: Path, staging: Path) -> None:
    """Take back a version that was finished, but is not the current one: its writer was killed in between."""
    current = _number(json.loads(_text(out / POINTER) or "{}").get("version", "v0"))
    ahead = [number for number in _versions(out) if number > current]
    if ahead and staging.is_dir() and not (staging / "map").exists():
        (out / f"v{ahead[-1]}").rename(staging / "map")


def _versions(out: Path) -> list[int]:
    return sorted(_number(path.name) for path in out.glob("v*") if path.is_dir() and path.name[1:].isdecimal())


def _number(version: str) -> int:
    return int(version[1:])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One writer at a time. Raises InputError if another process writes the map, or the folder cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        remedy = "choose another place"
        raise InputError(f"cannot be written ({error.strerror})", where=out, remedy=remedy) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError("another process is writing this map", where=out, remedy="wait until it has ended") from error
    else:
        yield
    finally:
        os.close(handle)
