"""The blueprint of a town: everything that is decided before drawing."""

from __future__ import annotations

from dataclasses import dataclass

from cvlnet.town.layout.clearance import cleared
from cvlnet.town.layout.fill import fill_blocks
from cvlnet.town.layout.junctions import Ends, approaches
from cvlnet.town.layout.land import Land, make_land
from cvlnet.town.layout.streets import make_network
from cvlnet.town.layout.streetside import street_side
from cvlnet.town.layout.zones import make_zones
from cvlnet.town.plan import Network, Plan
from cvlnet.town.presets import TownConfig
from cvlnet.town.streams import stream
from cvlnet.town.style import Style, make_style


@dataclass(frozen=True)
class Blueprint:
    """A town's streets, their ends at junctions, the land between them, and the plan of everything on it."""

    config: TownConfig
    style: Style
    network: Network
    ends: Ends
    land: Land
    plan: Plan


def draw_blueprint(config: TownConfig) -> Blueprint:
    """Make the blueprint of a configuration."""
    style = make_style(config.seed)
    zone_at = make_zones(config.seed, config.size_m, style)
    network = make_network(config.seed, config.size_m, style, zone_at)
    ends = approaches(network)
    land = make_land(network, ends, config.size_m, zone_at)
    blocks = fill_blocks(land.blocks, config.seed, style)
    along = street_side(network, ends, style, stream(config.seed, "street side"))
    plan = cleared(Plan.of([*blocks, *along]), land, config.size_m / 2)
    return Blueprint(config, style, network, ends, land, plan)
