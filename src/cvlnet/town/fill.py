"""What every block becomes, by its quarter, its size and chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cvlnet.town.estates import fill_estate
from cvlnet.town.greens import (
    fill_allotments,
    fill_building_site,
    fill_cemetery,
    fill_fields,
    fill_park,
    fill_scrap,
    fill_sports,
    fill_wood,
)
from cvlnet.town.housing import fill_houses
from cvlnet.town.industry import fill_industry
from cvlnet.town.perimeter import fill_perimeter
from cvlnet.town.plan import Block, Item, Zone
from cvlnet.town.streams import pick, stream
from cvlnet.town.style import Style

Filler = Callable[[Block, Style, np.random.Generator], Iterator[Item]]
SMALL_M2 = 650.0  # below: no room for plots
FILLERS: dict[str, Filler] = {
    "perimeter": fill_perimeter, "houses": fill_houses, "estate": fill_estate, "industry": fill_industry,
    "park": fill_park, "cemetery": fill_cemetery, "allotments": fill_allotments, "fields": fill_fields,
    "wood": fill_wood, "sports": fill_sports, "site": fill_building_site, "scrap": fill_scrap,
}  # fmt: skip
USES: dict[Zone, dict[str, float]] = {
    Zone.CENTRE: {"perimeter": 24, "park": 2, "estate": 1.5, "site": 0.7, "houses": 1.5},
    Zone.SUBURB: {"houses": 24, "park": 1.2, "sports": 1, "allotments": 1, "estate": 1.5, "site": 0.7, "industry": 0.6},
    Zone.VILLAS: {"houses": 20, "park": 2.5, "cemetery": 1, "wood": 1.5, "estate": 1},
    Zone.APARTMENTS: {"estate": 18, "park": 2, "sports": 1.5, "houses": 3, "industry": 1.5, "allotments": 1, "site": 1},
    Zone.INDUSTRY: {"industry": 22, "allotments": 1, "wood": 1, "site": 1.2, "estate": 1},
    Zone.FIELDS: {"fields": 14, "wood": 2, "allotments": 2, "sports": 1, "cemetery": 1},
}


def fill_blocks(blocks: tuple[Block, ...], seed: int, style: Style) -> Iterator[Item]:
    """The items of all blocks, each from its own random stream."""
    for i, block in enumerate(blocks):
        rng = stream(seed, "block", i)
        use = "scrap" if block.polygon.area < SMALL_M2 else pick(rng, USES[block.zone])
        yield from FILLERS[use](block, style, rng)
