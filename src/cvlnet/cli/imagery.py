"""``cvlnet imagery``: overhead imagery from public servers."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from cvlnet.errors import InputError

if TYPE_CHECKING:
    from cvlnet.fetch.area import Area
    from cvlnet.fetch.source import Source

Positive = Parameter(validator=Number(gt=0, lt=inf))
Gigabytes = Parameter(validator=Number(gt=0, lte=1e6))


def imagery_app() -> App:
    """The commands of ``cvlnet imagery``."""
    app = App(name="imagery", help="Fetch open overhead imagery from public servers.", sort_key=101)
    for command in (fetch, sources):
        app.command(command)
    return app


def fetch(
    source: str,
    /,
    *,
    around: tuple[Path, ...] = (),
    bbox: Annotated[tuple[float, float, float, float] | None, Parameter(negative="")] = None,
    out: Path,
    margin_m: Annotated[float, Positive] = 150.0,
    max_gb: Annotated[float, Gigabytes] = 20.0,
    url: str | None = None,
    layer: str | None = None,
    crs: str | None = None,
    m_per_px: Annotated[float | None, Positive] = None,
    credit: str | None = None,
    licence: str | None = None,
) -> None:
    r"""Download the overhead imagery of an area into a folder, with a manifest of its origin and licence.

    The area is that around drives, or a box of latitudes and longitudes. An interrupted call resumes when it is
    repeated; existing files that are complete are not downloaded again. Apart from `cvlnet map copy` to and from object
    stores, this is the only command that uses the internet.

    For example:

        cvlnet imagery fetch bw-dop20 --out imagery/karlsruhe \
            --around raw_data/2011_09_26/2011_09_26_drive_0002_sync
        cvlnet imagery fetch ch-swissimage --out imagery/bern \
            --bbox 46.945 7.440 46.950 7.450
        cvlnet imagery fetch wms --out imagery/town --around my_video \
            --url https://example.org/wms --layer ortho --crs EPSG:25833 \
            --m-per-px 0.2 --credit "City of Example" --licence "CC BY 4.0"

    Args:
        source: Name of a source, see `cvlnet imagery sources`; or wms or wmts for any other map service.
        around: KITTI drives (folders with oxts) and video folders with latitudes and longitudes in poses.csv.
        bbox: South, west, north and east of the area in degrees, instead of drives.
        out: Folder for the imagery and manifest.json; each source needs its own.
        margin_m: Distance around the positions of the drives that is covered.
        max_gb: Largest number of gigabytes that this call downloads.
        url: Address of a map service.
        layer: Name of its layer.
        crs: Coordinate reference system to request, in metres, such as EPSG:25832.
        m_per_px: Size of a pixel to request, in metres of that system.
        credit: Credit line that the provider requires.
        licence: Licence of the imagery.

    """
    from cvlnet.fetch.fetch import connect, fetch_imagery

    chosen = _source(source, url, layer, crs, m_per_px, credit, licence)
    connection = connect(chosen, round(max_gb * 1e9))
    fetched = fetch_imagery(chosen, _area(around, bbox, margin_m), out, connection, progress=sys.stderr.isatty())
    print(fetched.summary)
    print(f"next: cvlnet map build {out} --out {out.resolve().name}.map")


def sources() -> None:
    """List the sources of imagery, with their resolution, licence and credit.

    For example:

        cvlnet imagery sources
    """
    from cvlnet.fetch.sources import SOURCES

    for source in SOURCES:
        print(f"{source.name}: {source.title}")
        print(f"  {source.m_per_px:g} m per pixel, {source.crs}, {source.access.address}")
        print(f"  licence: {source.licence}")
        print(f"  credit: {source.credit}")


def _source(
    name: str,
    url: str | None,
    layer: str | None,
    crs: str | None,
    m_per_px: float | None,
    credit: str | None,
    licence: str | None,
) -> Source:
    """A source of the table, or the service that the options describe. Raises InputError unless it is one of them."""
    from cvlnet.fetch.sources import own_service, source_of

    given = {
        "--url": url,
        "--layer": layer,
        "--crs": crs,
        "--m-per-px": m_per_px,
        "--credit": credit,
        "--licence": licence,
    }
    if name not in ("wms", "wmts"):
        surplus = [option for option, value in given.items() if value is not None]
        if surplus:
            remedy = f"leave {', '.join(surplus)} out, or choose wms or wmts"
            raise InputError(f"the source {name} is complete by itself", where=surplus[0], remedy=remedy)
        return source_of(name)
    if url is None or layer is None or crs is None or m_per_px is None or credit is None or licence is None:
        missing = ", ".join(option for option, value in given.items() if value is None)
        raise InputError(f"{name} needs {missing}", where="SOURCE", remedy="describe the service by all of its options")
    return own_service(name, url, layer, crs, m_per_px, credit, licence)


def _area(around: tuple[Path, ...], bbox: tuple[float, float, float, float] | None, margin_m: float) -> Area:
    """Raises InputError unless there are either drives or a box."""
    from cvlnet.fetch.area import Area, around_drives

    if bool(around) == (bbox is not None):
        remedy = "give one of them: drives, or south, west, north and east"
        raise InputError("exactly one area is needed", where="--around, --bbox", remedy=remedy)
    return around_drives(around, margin_m) if bbox is None else Area.between(*bbox)
