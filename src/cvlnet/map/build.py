"""Building a map on disk: resumable, whole or not at all, from any imagery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.imagery.crop import farthest_m
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.arrays import MapArrays
from cvlnet.map.encode import Window, encoded, window_cells, windows
from cvlnet.map.grids import extended
from cvlnet.map.header import FARTHEST_M, MapHeader, Source, Storage, weights_of
from cvlnet.map.region import Layout, require_metric
from cvlnet.map.store import Map, is_map
from cvlnet.map.versions import abandon, begun, locked, published
from cvlnet.model.cvlnet import CVLNet

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
        cells = layout.cells(Grid(layout.tiled(north_m), layout.tiled(east_m), layout.cell_m))
    else:
        onto.require_made_by(model)
        cells = extended(onto.header.cells, onto.header.window, east_m, north_m, layout)
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
    """Encode imagery into a map on disk. An existing map of the same imagery and weights is returned.

    Raises InputError as `planned` does, if ``out`` contains another map, finished or not, if it cannot be written, or
    if the imagery shows nothing.
    """
    header = planned(model, image, storage=storage, onto=onto)
    with locked(out):
        if is_map(out):
            found = Map.open(out)
            if found.header == header:
                return found
            remedy = "update it by cvlnet map update, or choose another folder"
            raise InputError("holds a map of other imagery, weights or settings", where=out, remedy=remedy)
        arrays = begun(out, header, base=None)
        parts = [part for part in windows(header.cells, header.window) if not arrays.holds(part)]
        (engine or in_this_process(model, image))(arrays.folder, header, parts, progress)
        if not _shows_anything(arrays):
            abandon(out)
            remedy = "check its transparency, its mask and its nodata value"
            raise InputError(
                "the imagery shows nothing: all of its pixels are missing", where=image.source, remedy=remedy
            )
        return published(out)


def _shows_anything(arrays: MapArrays) -> bool:
    """Whether any cell is known."""
    parts = windows(arrays.header.cells, arrays.header.window)
    return any(arrays.known_cells(part) > 0 for part in parts if arrays.holds(part))


def imagery_state(image: Imagery) -> str:
    """SHA-256 of what imagery is now, by its place and its `Imagery.fingerprint`."""
    return sha256(repr((image.raster, image.shape)).encode() + image.fingerprint()).hexdigest()
