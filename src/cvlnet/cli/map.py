"""``cvlnet map``: build, inspect, update, merge, copy and export maps on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from cvlnet.cli.options import AtLeastOne, FramesOfClip, heading_of, panel
from cvlnet.config import Precision, RasterHints
from cvlnet.errors import InputError

if TYPE_CHECKING:
    from cvlnet.map.build import Engine
    from cvlnet.map.store import Map


def map_app() -> App:
    """The commands about maps."""
    text = "Build maps from imagery, on which clips are located within milliseconds, and maintain them."
    app = App(name="map", sort_key=1.5, help=text)
    commands: tuple[Callable[..., None], ...] = (build, info, index, evaluate, update, merge, copy, export)
    for place, command in enumerate(commands):
        app.command(command, sort_key=place)
    return app


def build(
    imagery: Path,
    /,
    *,
    out: Path,
    weights: Path | None = None,
    storage: Literal["float16", "int8"] = "float16",
    onto: Path | None = None,
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
    device: str = "cpu",
    precision: Precision = "float32",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    workers: Annotated[int | None, AtLeastOne] = None,
    cores: Annotated[int, AtLeastOne] = 1,
) -> None:
    r"""Encode imagery into a map, on which clips are then located within milliseconds.

    An interrupted call resumes when it is repeated. The map can be used only with the weights that made it.

    For example:

        cvlnet map build dop20.tif --out city.map
        cvlnet map build sheets/ --crs EPSG:25832 --out city.map --storage int8
        cvlnet map build /shared/county.vrt --out /shared/county.map \
            --engine ray --address 10.0.0.1:6379
        cvlnet localize city.map --folder my_video

    Args:
        imagery: Overhead image: a file, a folder of files of one mosaic, or tiles.
        out: Folder of the map.
        weights: File of weights; the package's own by default.
        storage: Number format of the features: float16, or int8 in half the space.
        onto: Another map, whose grid of cells the new one shares, so that the two can be merged.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoder. bfloat16 is faster on devices that have it; others take float32.
        engine: "local" encodes in this process; "ray" in several processes, on this machine or on a Ray cluster whose
            machines all have the imagery and the map under the same paths.
        address: Address of a running Ray cluster; without one, "ray" starts workers on this machine.
        workers: Number of Ray workers; by default as many as the resources permit.
        cores: CPU cores of each Ray worker.

    """
    from cvlnet.imagery.georef import open_overhead
    from cvlnet.localize import Localizer
    from cvlnet.map.build import build_map
    from cvlnet.map.store import Map

    chosen = None
    if engine == "ray":
        chosen = _on_ray(imagery, weights, image, device, precision, address=address, workers=workers, cores=cores)
    elif address is not None or workers is not None or cores != 1:
        raise InputError(
            "belongs to --engine ray", where="--address, --workers or --cores", remedy="give both, or neither"
        )
    model = Localizer(weights, device="cpu" if chosen else device, precision=precision).model
    base = None if onto is None else Map.open(onto)
    source, progress = open_overhead(imagery, image), sys.stderr.isatty()
    print(_described(build_map(model, source, out, storage=storage, onto=base, engine=chosen, progress=progress)))


def info(source: Path, /, *, verify: bool = False) -> None:
    """Print what a map covers, how large it is, and which imagery and weights made it.

    For example:

        cvlnet map info city.map --verify

    Args:
        source: Folder of the map.
        verify: Reads every file and verifies its checksum.

    """
    from cvlnet.map.store import Map

    opened = Map.open(source)
    if verify:
        opened.verify()
    print(_described(opened, verify_index=verify))
    if verify:
        print(f"All {len(opened.manifest):,} files have their checksums.")


def index(source: Path, /, *, storage: Literal["float16", "int8"] = "int8") -> None:
    """Add an index to a map, for areas that are too large for an exhaustive search.

    `cvlnet localize MAP --indexed` then compares a clip with descriptors of places, one every 10 m, and exactly matches
    only the best 0.05 % of them, but at least 300. After an update of the map, repeat the command; the index of the
    older version is not used. An interrupted call resumes when it is repeated.
    Needs the extra: pip install 'cvlnet[index]'.

    For example:

        cvlnet map index state.map
        cvlnet localize state.map --folder my_video --indexed

    Args:
        source: Folder of the map, made with the package's weights. The index is written into its subfolder `index`.
        storage: Number format of the descriptors: int8, or float16 in twice the space.

    """
    from cvlnet.localize.indexed import index_map
    from cvlnet.map.store import Map

    opened = Map.open(source)
    index_map(opened, storage=storage, progress=sys.stderr.isatty())
    print(_index_line(opened))


def evaluate(
    source: Path,
    data: Path,
    /,
    *,
    heading: str | None = None,
    indexed: Annotated[bool, Parameter(negative="")] = False,
    most_queries: Annotated[int | None, AtLeastOne] = None,
    frames: Annotated[int, FramesOfClip] = 4,
    weights: Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    """Locate clips with known positions on a whole map, and report errors and times.

    For example:

        cvlnet map evaluate town.map data/town
        cvlnet map evaluate town.map data/town --heading unknown --most-queries 200
        cvlnet map evaluate town.map data/town --indexed

    Args:
        source: Folder of the map.
        data: Data set in the layout of KITTI-CVL, whose test queries are located.
        heading: How well headings are assumed to be known, such as "±20", or "unknown"; each clip is first rotated by a
            random angle within that range. By default the recorded headings are used.
        indexed: Also locates the clips by the map's index (`cvlnet map index`), and compares the two.
        most_queries: Largest number of queries, evenly spaced; all by default.
        frames: Number of frames of a clip.
        weights: The weights that made the map; the package's own by default.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoder. bfloat16 is faster on devices that have it; others take float32.

    """
    from cvlnet.data.clips import ClipSpec
    from cvlnet.localize import Localizer
    from cvlnet.localize.trial import same_share, try_map

    localizer = Localizer(weights, device=device, precision=precision)
    known, area = heading_of(heading), localizer.area(source)
    index = None
    if indexed:
        from cvlnet.localize.indexed import open_indexed

        index = open_indexed(localizer.model, area.map)
    seek = partial(
        try_map,
        localizer,
        data,
        {"": area},
        clip_spec=ClipSpec(localizer.model.image_spec, frames),
        heading=known,
        most_queries=most_queries,
        progress=sys.stderr.isatty(),
    )
    dense = seek()
    print("\n".join(dense.lines(known)))
    if index is not None:
        by_index = seek(index=index)
        print("\n".join(["By the index:", *by_index.lines(known)]))
        print(f"{same_share(by_index, dense):.1%} of the best fixes are those of comparing every place")


def update(
    source: Path,
    imagery: Path,
    /,
    *,
    weights: Path | None = None,
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    """Update a map with newer imagery. The map grows if the imagery extends beyond it.

    Processes that have the map open continue to see the old version. An interrupted call resumes when it is repeated.
    The index of the old version is not used any more: build a new one by `cvlnet map index`.

    For example:

        cvlnet map update city.map new_quarter.tif

    Args:
        source: Folder of the map.
        imagery: Overhead image: a file, a folder of files of one mosaic, or tiles.
        weights: The weights that made the map; the package's own by default.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoder. bfloat16 is faster on devices that have it; others take float32.

    """
    from cvlnet.imagery.georef import open_overhead
    from cvlnet.localize import Localizer
    from cvlnet.map.overlay import update_map

    model = Localizer(weights, device=device, precision=precision).model
    print(_described(update_map(model, source, open_overhead(imagery, image), progress=sys.stderr.isatty())))


def merge(first: Path, second: Path, /, *, out: Path) -> None:
    """Merge two maps into a third one. Where both show a place, the second one is used.

    The second map must have been built with `--onto` the first one, so that both have the same grid of cells.

    For example:

        cvlnet map build west.tif --out west.map
        cvlnet map build east.tif --onto west.map --out east.map
        cvlnet map merge west.map east.map --out city.map

    Args:
        first: Folder of a map.
        second: Folder of the map that takes precedence.
        out: Folder of the new map.

    """
    from cvlnet.map.overlay import merge_maps
    from cvlnet.map.store import Map

    print(_described(merge_maps(Map.open(first), Map.open(second), out, progress=sys.stderr.isatty())))


def copy(source: str, target: str, /) -> None:
    """Copy a map from a folder to an object store, or back. An interrupted copy resumes when it is repeated.

    Any address that fsspec supports can be used; s3:// needs the package s3fs, gs:// gcsfs, abfs:// adlfs. Every file
    is compared with its checksum. The map becomes visible at the target when it is complete; an older version there
    remains for its readers. The map's index is copied as well.

    For example:

        cvlnet map copy city.map s3://maps/city.map
        cvlnet map copy s3://maps/city.map city.map

    Args:
        source: Folder or address of a map.
        target: Folder or address to copy it to.

    """
    from cvlnet.map.transfer import copy_map

    copy_map(source, target, progress=sys.stderr.isatty())


def export(source: Path, /, *, out: Path, layer: Literal["preview", "features", "uncertainty"] = "preview") -> None:
    """Write a map as GeoTIFF, for QGIS and other programs.

    For example:

        cvlnet map export city.map --out city.tif
        cvlnet map export city.map --out features.tif --layer features

    Args:
        source: Folder of the map.
        out: File to write.
        layer: "preview" is the imagery at the resolution of the cells, "features" the network's descriptors, and
            "uncertainty" how unlikely a vehicle is at each place.

    """
    from cvlnet.map.geotiff import write_geotiff
    from cvlnet.map.store import Map

    write_geotiff(Map.open(source), out, layer)


def _on_ray(
    imagery: Path,
    weights: Path | None,
    hints: RasterHints,
    device: str,
    precision: Precision,
    *,
    address: str | None,
    workers: int | None,
    cores: int,
) -> Engine:
    """The engine on Ray. Raises InputError where Ray is not installed."""
    from cvlnet.checkpoint import shipped_weights

    try:
        from cvlnet.map.on_ray import Inputs, on_ray
    except ModuleNotFoundError as error:
        remedy = "install it: pip install 'cvlnet[ray]'"
        raise InputError(f"is not installed ({error})", where="--engine ray", remedy=remedy) from error
    inputs = Inputs((weights or shipped_weights()).absolute(), imagery.absolute(), hints, device, precision)
    return on_ray(inputs, address=address, workers=workers, cores=cores)


def _described(opened: Map, *, verify_index: bool = False) -> str:
    """What a map is, in lines. Raises InputError if its index is damaged, or of another map."""
    header = opened.header
    (south, west), (north, east) = opened.bounds
    lines = [
        f"{opened.path}: {opened.known_km2:.3g} km2 in cells of {header.cells.cell_m:g} m, "
        f"{header.channels} channels of {header.storage}, {opened.size_bytes / 1e6:.3g} MB",
        f"from {south:.6f}, {west:.6f} to {north:.6f}, {east:.6f}; weights {header.weights[:12]}",
        *(f"imagery: {source.name}" + (f" ({source.credit})" if source.credit else "") for source in header.sources),
    ]
    if opened.index_folder.is_dir() or opened.has_older_index:
        lines.append(_index_line(opened, verify=verify_index))
    return "\n".join(lines)


def _index_line(opened: Map, *, verify: bool = False) -> str:
    """What the index of a map is, in a line. verify: compares the checksums of its files."""
    if not opened.index_folder.is_dir():
        return f"index: of an older version of the map, not used; build a new one: cvlnet map index {opened.path}"
    try:
        from cvlnet.index.place_index import PlaceIndex, verify_index
    except ModuleNotFoundError:
        return "index: needs the extra: pip install 'cvlnet[index]'"
    found = PlaceIndex(opened.index_folder)
    found.require(map_fingerprint=opened.fingerprint, descriptor_fingerprint=found.about.descriptor)
    if verify:
        verify_index(opened.index_folder, progress=sys.stderr.isatty())
    codec = found.about.codec
    size_bytes = sum(codec.file_bytes(entry.count) for entry in found.entries)
    return f"index: {len(found):,} places, {codec.dims} dimensions of {codec.storage}, {size_bytes / 1e6:.3g} MB"
