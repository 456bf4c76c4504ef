"""Cross-sections of streets, by kind and quarter."""

from __future__ import annotations

import numpy as np

from cvlnet.town.plan import Profile, StreetKind, Surface, Zone
from cvlnet.town.streams import chance
from cvlnet.town.style import Style, one_of, varied

COBBLE_STONES = ((112, 106, 100), (124, 112, 104), (104, 104, 106))


def make_profile(rng: np.random.Generator, kind: StreetKind, zone: Zone, style: Style) -> Profile:
    """A street's cross-section, with widths from German guidelines."""
    rgb = varied(rng, style.asphalt if chance(rng, 0.6) else style.old_asphalt, 6.0, 1.0)
    parking_m = float(rng.uniform(1.95, 2.2))
    sides = {"both": (parking_m, parking_m), "left": (parking_m, 0.0), "right": (0.0, parking_m), "none": (0.0, 0.0)}
    if kind == "main":
        return _main(rng, zone, style, rgb)
    if kind == "collector":
        parking = sides["none" if zone is Zone.FIELDS else ("both", "both", "right", "none")[int(rng.integers(4))]]
        bays = parking != (0.0, 0.0) and chance(rng, 0.6)
        cycle_m = 1.5 if parking == (0.0, 0.0) and chance(rng, 0.5) else 0.0
        trees = chance(rng, 0.55 * style.tree_density)
        verge_m = float(rng.choice([0.0, 0.0, 1.6, 2.5])) if not bays else 0.0
        pavement_m = float(rng.uniform(2.2, 3.2))
        lane_m = float(rng.uniform(3.0, 3.3))
        return Profile(
            kind, 1, lane_m, 0.0, False, cycle_m, *parking, bays, verge_m, pavement_m, Surface.ASPHALT, rgb, trees
        )
    if kind == "lane":
        cobbled = chance(rng, 0.75)
        surface = Surface.COBBLES if cobbled else Surface.ASPHALT
        rgb = one_of(rng, COBBLE_STONES) if cobbled else rgb
        parking = sides[("none", "right", "none")[int(rng.integers(3))]]
        return Profile(kind, 1, 2.6, 0.0, False, 0.0, *parking, False, 0.0, 1.6, surface, rgb, False)
    choice = (
        ("both", "both", "left", "right", "none") if zone is not Zone.INDUSTRY else ("both", "left", "right", "none")
    )
    parking = sides["none" if zone is Zone.FIELDS else choice[int(rng.integers(len(choice)))]]
    wide = zone is Zone.INDUSTRY
    bays = parking != (0.0, 0.0) and chance(rng, 0.2)
    lane_m = float(rng.uniform(3.2, 3.6)) if wide else float(rng.uniform(2.6, 3.0))
    verge_m = float(rng.choice([0.0, 0.0, 0.0, 1.4, 2.0])) if not bays else 0.0
    cobbled = zone is Zone.CENTRE and chance(rng, 0.25)
    surface = Surface.COBBLES if cobbled else Surface.ASPHALT
    rgb = one_of(rng, COBBLE_STONES) if cobbled else rgb
    trees = chance(rng, 0.3 * style.tree_density)
    pavement_m = float(rng.uniform(1.5, 2.3)) + (1.0 if zone is Zone.CENTRE else 0.0)
    return Profile(kind, 1, lane_m, 0.0, False, 0.0, *parking, bays, verge_m, pavement_m, surface, rgb, trees)


def _main(rng: np.random.Generator, zone: Zone, style: Style, rgb: tuple[int, int, int]) -> Profile:
    dense = zone in (Zone.CENTRE, Zone.APARTMENTS, Zone.INDUSTRY)
    tram = style.tram and zone is not Zone.FIELDS and chance(rng, 0.6)
    lanes = 2 if dense and chance(rng, 0.45) else 1
    if tram:
        median_m = float(rng.choice([0.0, 6.4]))
    else:
        median_m = float(rng.uniform(2.2, 4.5)) if lanes == 2 and chance(rng, 0.6) else 0.0
    cycle_m = float(rng.choice([0.0, 1.6, 1.85]))
    parking_m = float(rng.uniform(2.0, 2.3)) if zone is not Zone.FIELDS and chance(rng, 0.65) else 0.0
    left_m = parking_m if chance(rng, 0.8) else 0.0
    bays = parking_m > 0 and chance(rng, 0.6)
    verge_m = float(rng.choice([0.0, 1.8, 2.6])) if not bays else 0.0
    lane_m = float(rng.uniform(3.1, 3.5))
    pavement_m = float(rng.uniform(2.4, 4.2))
    trees = chance(rng, 0.7 * style.tree_density)
    return Profile(
        "main", lanes, lane_m, median_m, tram, cycle_m, left_m, parking_m, bays, verge_m, pavement_m,
        Surface.ASPHALT, rgb, trees,
    )  # fmt: skip
