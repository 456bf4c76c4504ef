"""Types of a town's plan: streets, blocks, and the items on them. World frame, metres, radians.

`layout` yields the items; `ground` paints patches, markings and roads, `mesh` turns the rest into triangles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal

from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners, Points
from cvlnet.town.scene import Material

Rgb = tuple[int, int, int]  # sRGB


class Surface(IntEnum):
    """Material of the ground, which determines its grain and pattern."""

    PLAIN = 0
    ASPHALT = 1
    CONCRETE = 2
    SLABS = 3
    PAVERS = 4
    COBBLES = 5
    GRAVEL = 6
    LAWN = 7
    MEADOW = 8
    FIELD = 9
    SOIL = 10
    WATER = 11
    SAND = 12


class Zone(StrEnum):
    """The character of a quarter."""

    CENTRE = "centre"
    SUBURB = "suburb"
    VILLAS = "villas"
    APARTMENTS = "apartments"
    INDUSTRY = "industry"
    FIELDS = "fields"


StreetKind = Literal["main", "collector", "residential", "lane"]
RoofKind = Literal["gable", "hip", "flat", "shed", "mansard", "sawtooth"]
TreeKind = Literal["broadleaf", "conifer", "poplar", "bush", "young"]
BarrierKind = Literal["hedge", "wood_fence", "mesh_fence", "wall", "brick_wall"]
Layer = Literal["lot", "pavement", "road"]
CarKind = Literal["car", "van", "truck", "trailer"]
Side = Literal["left", "right"]

SIDES: tuple[tuple[int, Side], ...] = ((1, "left"), (-1, "right"))  # signs of an offset to the left


@dataclass(frozen=True)
class Profile:
    """Cross-section of a street, from the centreline outwards."""

    kind: StreetKind
    lanes: int  # per direction
    lane_m: float
    median_m: float
    tram: bool  # tracks on the median if there is one, otherwise in the inner lanes
    cycle_m: float  # width of the cycle lane beside the outer lane
    parking_left_m: float  # width of the parking strip, left and right seen along the street
    parking_right_m: float
    bays: bool  # the parking strip has its own paving, and trees between the bays
    verge_m: float  # grass between carriageway and pavement
    pavement_m: float
    surface: Surface
    rgb: Rgb
    trees: bool

    @property
    def driven_half_m(self) -> float:
        """Distance from the centreline to the outer edge of the outer lane."""
        return self.median_m / 2 + self.lanes * self.lane_m

    def lane_offset_m(self, lane: int) -> float:
        """Distance from the centreline to the centre of a lane; lane 0 is the outer one."""
        return self.driven_half_m - (lane + 0.5) * self.lane_m

    def kerb_m(self, side: Side) -> float:
        """Distance from the centreline to the kerb."""
        parking_m = self.parking_left_m if side == "left" else self.parking_right_m
        return self.driven_half_m + self.cycle_m + parking_m

    def border_m(self, side: Side) -> float:
        """Distance from the centreline to the lots."""
        return self.kerb_m(side) + self.verge_m + self.pavement_m


@dataclass(frozen=True)
class Node:
    """A junction, bend or end of roads. roundabout_m: radius of a roundabout's outer kerb, 0 for other nodes."""

    xy_m: tuple[float, float]
    roads: tuple[int, ...]
    roundabout_m: float = 0.0


@dataclass(frozen=True)
class Road:
    """The part of a street between two nodes; its points run from ``start`` to ``end``, about 2 m apart."""

    start: int
    end: int
    street: int
    profile: Profile
    xy_m: Points
    dead_end: bool = False


@dataclass(frozen=True)
class Network:
    """All roads, and the footpaths that continue the dead ends."""

    nodes: tuple[Node, ...]
    roads: tuple[Road, ...]
    footpaths: tuple[Points, ...]


@dataclass(frozen=True)
class Block:
    """A block of land between streets."""

    polygon: Polygon
    zone: Zone


@dataclass(frozen=True)
class Patch:
    """A piece of ground; ``angle_rad`` is the direction of its pattern.

    Later patches cover earlier ones of the same layer. Patches of the layer ``lot`` lie below the pavements, of
    ``pavement`` below the carriageways, and of ``road`` on top of the carriageways.
    """

    area: BaseGeometry
    surface: Surface
    rgb: Rgb
    angle_rad: float = 0.0
    layer: Layer = "lot"


@dataclass(frozen=True)
class Marking:
    """A painted line; ``strength`` is its coverage, 0 to 1."""

    xy_m: Points
    width_m: float
    strength: float


@dataclass(frozen=True)
class Building:
    """A building or part of one, on four corners; the first side is the front."""

    corners_m: Corners
    eaves_m: float
    rise_m: float  # of the roof above the eaves
    roof: RoofKind
    ridge_along_front: bool
    overhang_m: float
    wall: Material
    wall_rgb: Rgb
    covering: Material
    roof_rgb: Rgb
    seed: int
    party_walls: bool = False  # terraced: no windows in the side walls
    balconies: int = 0  # per storey, along the back


@dataclass(frozen=True)
class Tree:
    """A tree or bush."""

    xy_m: tuple[float, float]
    kind: TreeKind
    height_m: float
    crown_m: float  # diameter
    rgb: Rgb
    seed: int
    near_street: bool = False  # drawn in more detail


@dataclass(frozen=True)
class Barrier:
    """A hedge, fence or wall along a line."""

    xy_m: Points
    kind: BarrierKind
    height_m: float
    rgb: Rgb
    seed: int

    @property
    def thickness_m(self) -> float:
        """Thickness by kind; fences are thin sheets."""
        return {"hedge": 0.8, "wood_fence": 0.0, "mesh_fence": 0.0, "wall": 0.24, "brick_wall": 0.36}[self.kind]


@dataclass(frozen=True)
class Spot:
    """A place for a vehicle that faces ``yaw_rad``; ``occupied`` is the probability that there is one."""

    xy_m: tuple[float, float]
    yaw_rad: float
    occupied: float
    kinds: tuple[CarKind, ...] = ("car", "car", "car", "car", "car", "car", "car", "van")


@dataclass(frozen=True)
class Prop:
    """Street or garden furniture, by name (see `mesh.furniture`)."""

    name: str
    xy_m: tuple[float, float]
    yaw_rad: float
    rgb: Rgb
    seed: int


Item = Patch | Marking | Building | Tree | Barrier | Spot | Prop


@dataclass(frozen=True)
class Plan:
    """All items of a town by kind, in the order in which they were made."""

    patches: tuple[Patch, ...] = field(default=())
    markings: tuple[Marking, ...] = field(default=())
    buildings: tuple[Building, ...] = field(default=())
    trees: tuple[Tree, ...] = field(default=())
    barriers: tuple[Barrier, ...] = field(default=())
    spots: tuple[Spot, ...] = field(default=())
    props: tuple[Prop, ...] = field(default=())

    @staticmethod
    def of(items: Iterable[Item]) -> Plan:
        """The plan with the given items."""
        every = tuple(items)
        return Plan(
            patches=tuple(i for i in every if isinstance(i, Patch)),
            markings=tuple(i for i in every if isinstance(i, Marking)),
            buildings=tuple(i for i in every if isinstance(i, Building)),
            trees=tuple(i for i in every if isinstance(i, Tree)),
            barriers=tuple(i for i in every if isinstance(i, Barrier)),
            spots=tuple(i for i in every if isinstance(i, Spot)),
            props=tuple(i for i in every if isinstance(i, Prop)),
        )
