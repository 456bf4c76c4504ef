"""What describes a map: where its cells lie, how they are stored, and which network and imagery made them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal, get_args

from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.map.region import Layout
from cvlnet.model.cvlnet import CVLNet

Storage = Literal["float16", "int8"]

FORMAT = 1
FARTHEST_M = 100_000.0  # from the anchor: grid north and true north differ by less than two degrees up to 60 N
_MOST_CHANNELS = 1024


@dataclass(frozen=True)
class Source:
    """Imagery that a map was made from.

    credit: the line that its licence asks for. state: checksum of what the imagery was when the map was made.
    """

    name: str
    credit: str | None
    state: str


@dataclass(frozen=True)
class MapHeader:
    """Everything about a map but its cells.

    cells: the whole grid, around ``anchor``. window: side of the windows, and chunks, in cells. weights: SHA-256 of the
    network's weights. storage: number format of the descriptors.
    """

    anchor: LatLon
    cells: Grid
    layout: Layout
    channels: int
    window: int
    weights: str
    storage: Storage
    sources: tuple[Source, ...]

    @property
    def credits(self) -> tuple[str, ...]:
        """The credit lines of the sources, each once."""
        return tuple(dict.fromkeys(source.credit for source in self.sources if source.credit))

    def to_json(self) -> dict[str, Any]:
        """The header in JSON's types."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def of_json(header: Any) -> MapHeader:
        """The header of a file. Raises KeyError, TypeError or ValueError for anything but a valid one."""
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, not {FORMAT}")
        cells, layout, storage = header["cells"], header["layout"], header["storage"]
        if storage not in get_args(Storage):
            raise ValueError(f"storage {storage!r}")
        found = MapHeader(
            anchor=LatLon(float(header["anchor"]["latitude_deg"]), float(header["anchor"]["longitude_deg"])),
            cells=Grid(
                _count(cells["rows"]), _count(cells["cols"]), float(cells["cell_m"]), _pair(cells["center_xy_m"])
            ),
            layout=Layout(
                float(layout["cell_m"]),
                _count(layout["clip_cells"]),
                _count(layout["steps"]),
                _pair(layout["offset_m"]),
            ),
            channels=_count(header["channels"]),
            window=_count(header["window"]),
            weights=_text(header["weights"]),
            storage=storage,
            sources=tuple(
                Source(
                    _text(source["name"]),
                    None if source["credit"] is None else _text(source["credit"]),
                    _text(source["state"]),
                )
                for source in header["sources"]
            ),
        )
        _require_sane(found)
        return found


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"whole numbers from 1 are wanted, not {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _pair(values: Any) -> tuple[float, float]:
    first, second = (float(value) for value in values)
    return first, second


def _require_sane(header: MapHeader) -> None:
    """Raise ValueError for a header that describes no map."""
    cells, layout = header.cells, header.layout
    if header.channels > _MOST_CHANNELS or header.window % 4 or cells.cell_m != layout.cell_m:
        raise ValueError(f"{header.channels} channels, windows of {header.window}, cells of {cells.cell_m} m")
    if min(cells.rows, cells.cols) < layout.clip_cells:
        raise ValueError(f"{cells.rows} x {cells.cols} cells hold no clip")
    corner_m = float(cells.corners_xy_m().abs().max())
    if not corner_m <= FARTHEST_M:
        raise ValueError(f"reaches {corner_m:.0f} m from its anchor")


def weights_of(model: CVLNet) -> str:
    """SHA-256 of a network's weights, by which a map knows the network that made it."""
    digest = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
