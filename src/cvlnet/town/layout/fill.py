"""The use of every block, drawn by its quarter and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cvlnet.town.curves import cut, length_m
from cvlnet.town.layout.estates import fill_estate
from cvlnet.town.layout.greenery import fence, hedge
from cvlnet.town.layout.greens import (
    fill_allotments,
    fill_building_site,
    fill_cemetery,
    fill_fields,
    fill_park,
    fill_scrap,
    fill_sports,
    fill_wood,
)
from cvlnet.town.layout.housing import fill_houses
from cvlnet.town.layout.industry import fill_industry
from cvlnet.town.layout.perimeter import fill_perimeter
from cvlnet.town.layout.squares import fill_square
from cvlnet.town.layout.terraces import fill_terraces
from cvlnet.town.plan import Block, Item, Zone
from cvlnet.town.polygons import border_line
from cvlnet.town.streams import chance, pick, stream
from cvlnet.town.style import Style

Filler = Callable[[Block, Style, np.random.Generator], Iterator[Item]]
SMALL_M2 = 650.0  # smaller blocks have no room for plots
FILLERS: dict[str, Filler] = {
    "perimeter": fill_perimeter, "houses": fill_houses, "terraces": fill_terraces, "estate": fill_estate,
    "industry": fill_industry,
    "park": fill_park, "cemetery": fill_cemetery, "allotments": fill_allotments, "fields": fill_fields,
    "wood": fill_wood, "sports": fill_sports, "site": fill_building_site, "square": fill_square, "scrap": fill_scrap,
}  # fmt: skip
USES: dict[Zone, dict[str, float]] = {
    Zone.CENTRE: {"perimeter": 24.0, "park": 2.0, "square": 2.0, "estate": 1.5, "site": 0.7, "houses": 1.5},
    Zone.SUBURB: {
        "houses": 19.0,
        "terraces": 6.0,
        "park": 1.2,
        "sports": 1.0,
        "allotments": 1.0,
        "estate": 1.5,
        "site": 0.7,
        "industry": 0.6,
    },
    Zone.VILLAS: {"houses": 20.0, "park": 2.5, "cemetery": 1.0, "wood": 1.5, "estate": 1.0},
    Zone.APARTMENTS: {
        "estate": 18.0,
        "park": 2.0,
        "sports": 1.5,
        "houses": 1.5,
        "terraces": 2.0,
        "industry": 1.5,
        "allotments": 1.0,
        "site": 1.0,
    },
    Zone.INDUSTRY: {"industry": 22.0, "allotments": 1.0, "wood": 1.0, "site": 1.2, "estate": 1.0},
    Zone.FIELDS: {"fields": 14.0, "wood": 2.0, "allotments": 2.0, "sports": 1.0, "cemetery": 1.0},
}
LARGEST_M2 = {
    "site": 6000.0,
    "sports": 30000.0,
    "cemetery": 16000.0,
    "allotments": 20000.0,
    "perimeter": 16000.0,
    "square": 6500.0,
}
FENCED = {"estate": 0.5, "park": 0.45, "sports": 0.6, "wood": 0.2, "allotments": 0.9, "scrap": 0.2, "fields": 0.12}


def fill_blocks(blocks: tuple[Block, ...], seed: int, style: Style) -> Iterator[Item]:
    """Items of all blocks, each from its own random stream."""
    for i, block in enumerate(blocks):
        rng = stream(seed, "block", i)
        area = block.polygon.area
        uses = {u: w for u, w in USES[block.zone].items() if area < LARGEST_M2.get(u, np.inf)}
        use = "scrap" if area < SMALL_M2 else pick(rng, uses)
        yield from FILLERS[use](block, style, rng)
        if FENCED.get(use, 0.0) > 0:
            yield from frontage(block, FENCED[use], rng)


def frontage(block: Block, share: float, rng: np.random.Generator) -> Iterator[Item]:
    """Hedges, fences and walls along a share of a block's border, with gaps."""
    line = border_line(block.polygon, 0.6)
    if line is None:
        return
    s, length = 0.0, length_m(line)
    while s < length - 5:
        piece_m = rng.uniform(6, 32)
        if chance(rng, share):
            piece = cut(line, s, min(s + piece_m, length))
            yield hedge(rng, piece) if chance(rng, 0.65) else fence(rng, piece)
        s += piece_m + rng.uniform(1.5, 5)
