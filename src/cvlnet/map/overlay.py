"""Laying newer imagery, or another map, over a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.arrays import MapArrays
from cvlnet.map.build import planned
from cvlnet.map.encode import EncodedCells, Window, encoded, windows
from cvlnet.map.grids import joined, offset_of
from cvlnet.map.store import Map, is_map
from cvlnet.map.versions import abandon, begun, has_chunks_of, is_finished, locked, mark_finished, published
from cvlnet.model.cvlnet import CVLNet

_EDGE_CELLS = 32  # of newer imagery, whose features depend on what lies beyond its edge


def update_map(model: CVLNet, path: Path, image: Imagery, *, progress: bool = False) -> Map:
    """Lay newer imagery over a map, which grows where the imagery reaches beyond it.

    A cell is replaced where the imagery shows its surroundings, too, or where the map shows nothing. A map over which
    this imagery was laid last is returned as it is.
    Raises InputError as `Map.open` and `planned` do, if the map was made with other weights, or if no cell changes.
    """
    with locked(path):
        base = Map.open(path)
        layer = planned(model, image, storage=base.header.storage, onto=base)
        if len(base.header.sources) > 1 and base.header.sources[-1:] == layer.sources:
            return base  # laid over already, perhaps by a call that was interrupted at its very end
        header = joined(base.header, layer.cells, layer.sources)
        offset = offset_of(header.cells, layer.cells)
        arrays = begun(path, header, base=base)

        def seen(part: Window) -> EncodedCells:
            ((_, cells),) = encoded(model, image, header.anchor, layer.cells, [part.seen_from(offset)])
            return cells

        _overlay(arrays, layer.cells, seen, progress=progress)
        if has_chunks_of(arrays, base):
            abandon(path)
            what = "changes nothing: it is transparent, is on the map already, or reaches too little beyond it"
            reach_m = _EDGE_CELLS * base.header.cells.cell_m
            remedy = f"give imagery that reaches {reach_m:.0f} m beyond what it is to replace"
            raise InputError(what, where=image.source, remedy=remedy)
        return published(path)


def merge_maps(first: Map, second: Map, out: Path, *, progress: bool = False) -> Map:
    """Lay a map over another one, as a third: cells of the second replace those of the first as in `update_map`.

    Raises InputError unless both have the same anchor, grid of cells, weights and storage, or if ``out`` holds a map.
    """
    a, b = first.header, second.header
    if replace(b, cells=a.cells, sources=a.sources) != a:
        remedy = f"build it again by cvlnet map build IMAGERY --onto {first.path}"
        raise InputError("has another anchor, other weights or storage", where=second.path, remedy=remedy)
    with locked(out):
        if is_map(out):
            raise InputError("holds a map already", where=out, remedy="choose another folder")
        header = joined(a, b.cells, b.sources)
        offset = offset_of(header.cells, b.cells)
        arrays = begun(out, header, base=first)
        _overlay(arrays, b.cells, lambda part: second.read(part.seen_from(offset)), progress=progress)
        return published(out)


def _overlay(arrays: MapArrays, layer: Grid, seen: Callable[[Window], EncodedCells], *, progress: bool) -> None:
    """Write the windows that a layer changes, except those that an earlier call has finished."""
    header = arrays.header
    row, col = offset_of(header.cells, layer)
    for part in tqdm(
        windows(header.cells, header.window), desc="updating the map", unit="window", disable=not progress
    ):
        around = Window(
            slice(max(part.rows.start - _EDGE_CELLS, row), min(part.rows.stop + _EDGE_CELLS, row + layer.rows)),
            slice(max(part.cols.start - _EDGE_CELLS, col), min(part.cols.stop + _EDGE_CELLS, col + layer.cols)),
        )
        inside = around.rows.start < around.rows.stop and around.cols.start < around.cols.stop
        if not inside or is_finished(arrays, part):
            continue
        new = seen(around)
        if bool(new.known.any()):
            arrays.write(part, _laid_over(arrays.read(part), new, part, around))
        mark_finished(arrays, part)


def _laid_over(old: EncodedCells, new: EncodedCells, part: Window, around: Window) -> EncodedCells:
    """The cells of ``part``, replaced by newer ones, of the window ``around``, where those count."""
    rows = slice(max(part.rows.start, around.rows.start), min(part.rows.stop, around.rows.stop))
    cols = slice(max(part.cols.start, around.cols.start), min(part.cols.stop, around.cols.stop))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return old
    both = Window(rows, cols)
    target = both.seen_from((part.rows.start, part.cols.start))
    own = both.seen_from((around.rows.start, around.cols.start))
    ours, theirs = old[target], new[own]
    counts = _interior(new.known)[own.rows, own.cols] | (theirs.known & ~ours.known)
    merged = []
    for field in fields(EncodedCells):
        whole: Tensor = getattr(old, field.name).clone()
        chosen = torch.where(counts, getattr(theirs, field.name), getattr(ours, field.name))
        whole[..., target.rows, target.cols] = chosen
        merged.append(whole)
    return EncodedCells(*merged)


def _interior(known: Bool[Tensor, "rows cols"]) -> Bool[Tensor, "rows cols"]:
    """Known cells all around which cells are known, as far as features depend on them."""
    side = 2 * _EDGE_CELLS + 1
    unknown = functional.max_pool2d((~known).float()[None], side, stride=1, padding=_EDGE_CELLS)[0]
    return unknown == 0
