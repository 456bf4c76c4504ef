"""Regional style of a town, drawn from its seed: colours of roofs, walls, asphalt and leaves, wear, density of trees.

Colours are the sRGB albedo of the materials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvlnet.town.plan import Rgb, Zone
from cvlnet.town.streams import pick, stream

ROOF_PALETTES: dict[str, tuple[Rgb, ...]] = {
    "red": ((138, 82, 66), (150, 92, 74), (122, 72, 60), (104, 70, 62), (160, 108, 86), (88, 66, 60)),
    "brown": ((98, 76, 66), (84, 68, 62), (110, 86, 74), (74, 66, 62), (126, 86, 72), (138, 80, 66)),
    "slate": ((74, 76, 80), (62, 64, 68), (90, 91, 95), (96, 86, 82), (80, 73, 71), (120, 78, 68)),
    "mixed": ((140, 84, 68), (84, 70, 64), (76, 78, 82), (116, 88, 76), (108, 105, 103), (150, 98, 78)),
}
WALL_PALETTES: dict[str, tuple[Rgb, ...]] = {
    "light": ((222, 216, 204), (232, 228, 220), (214, 202, 178), (226, 210, 170), (206, 206, 204), (220, 190, 160)),
    "sandstone": ((176, 128, 108), (192, 156, 128), (206, 186, 158), (150, 104, 90), (214, 204, 186), (170, 146, 122)),
    "colourful": ((226, 200, 140), (206, 150, 120), (186, 196, 176), (170, 186, 200), (228, 220, 206), (200, 120, 96)),
}
FLAT_ROOFS: tuple[Rgb, ...] = (
    (112, 110, 106),
    (136, 132, 126),
    (92, 92, 94),
    (150, 148, 144),
    (78, 76, 76),
    (104, 112, 92),
)
METAL_ROOFS: tuple[Rgb, ...] = (
    (168, 176, 184),
    (196, 200, 204),
    (140, 150, 158),
    (214, 216, 216),
    (120, 130, 140),
    (150, 70, 60),
)
INDUSTRY_WALLS: tuple[Rgb, ...] = ((200, 204, 206), (168, 176, 184), (218, 218, 214), (110, 130, 150), (180, 172, 156))
LEAVES: tuple[Rgb, ...] = (
    (62, 86, 38),
    (74, 98, 44),
    (54, 76, 36),
    (88, 104, 52),
    (70, 84, 34),
    (96, 106, 48),
    (58, 82, 46),
)
NEEDLES: tuple[Rgb, ...] = ((40, 62, 40), (48, 68, 42), (62, 80, 70), (36, 54, 34))
RARE_LEAVES: tuple[Rgb, ...] = ((96, 52, 48), (150, 118, 44), (132, 84, 44), (118, 120, 58), (176, 140, 150))
HEDGES: tuple[Rgb, ...] = ((54, 76, 38), (66, 88, 44), (48, 68, 36), (80, 92, 48))
LAWNS: tuple[Rgb, ...] = ((90, 99, 63), (98, 104, 68), (86, 94, 61), (106, 106, 72), (112, 108, 78), (82, 93, 58))

# zones of a town, most common first
CHARACTERS: tuple[tuple[Zone, ...], ...] = (
    (Zone.CENTRE, Zone.APARTMENTS, Zone.SUBURB),
    (Zone.SUBURB, Zone.VILLAS, Zone.FIELDS),
    (Zone.INDUSTRY, Zone.APARTMENTS, Zone.SUBURB),
    (Zone.CENTRE, Zone.VILLAS, Zone.SUBURB),
    (Zone.SUBURB, Zone.INDUSTRY, Zone.CENTRE),
    (Zone.APARTMENTS, Zone.SUBURB, Zone.FIELDS),
    (Zone.CENTRE, Zone.INDUSTRY, Zone.APARTMENTS),
)


@dataclass(frozen=True)
class Style:
    """What all parts of a town have in common."""

    rotation_rad: float  # of the main streets
    zones: tuple[Zone, ...]
    warp_m: float  # amplitude of the deviation of streets from straight lines
    roofs: tuple[Rgb, ...]
    walls: tuple[Rgb, ...]
    asphalt: Rgb
    old_asphalt: Rgb
    pavement: Rgb
    kerb: Rgb
    marking_wear: float  # 0: fresh, 1: almost gone
    tree_density: float
    avenue: Rgb
    lawn: Rgb
    tram: bool


def make_style(seed: int) -> Style:
    """Draw the style of the town ``seed``."""
    rng = stream(seed, "style")
    grey = rng.uniform(96, 132)
    warm = rng.uniform(-4, 6)
    pavement = rng.uniform(132, 166)
    return Style(
        rotation_rad=float(rng.uniform(0, np.pi / 2)),
        zones=CHARACTERS[int(rng.integers(len(CHARACTERS)))],
        warp_m=float(rng.uniform(5, 17)),
        roofs=ROOF_PALETTES[pick(rng, {"red": 3.0, "brown": 2.0, "slate": 1.0, "mixed": 3.0})],
        walls=WALL_PALETTES[pick(rng, {"light": 3.0, "sandstone": 1.5, "colourful": 2.0})],
        asphalt=rgb(grey + warm, grey, grey - warm),
        old_asphalt=rgb(grey + 20 + warm, grey + 18, grey + 14 - warm),
        pavement=rgb(pavement + 4, pavement, pavement - rng.uniform(2, 12)),
        kerb=rgb(*(rng.uniform(160, 190) + np.array([3, 1, -5]))),
        marking_wear=float(rng.uniform(0.05, 0.6)),
        tree_density=float(rng.uniform(0.8, 1.7)),
        avenue=LEAVES[int(rng.integers(len(LEAVES)))],
        lawn=LAWNS[int(rng.integers(len(LAWNS)))],
        tram=bool(rng.random() < 0.45),
    )


def rgb(red: float, green: float, blue: float) -> Rgb:
    """A colour, rounded and clipped to 0..255."""
    r, g, b = (int(np.clip(round(float(c)), 0, 255)) for c in (red, green, blue))
    return r, g, b


def varied(rng: np.random.Generator, base: Rgb, brightness: float, hue: float = 0.0) -> Rgb:
    """A random colour near ``base``; standard deviations of all channels together and of each channel."""
    shift = rng.normal(0, brightness) + rng.normal(0, hue, 3) if hue > 0 else np.full(3, rng.normal(0, brightness))
    return rgb(*(np.array(base) + shift))


def one_of(rng: np.random.Generator, colours: tuple[Rgb, ...], brightness: float = 8.0, hue: float = 3.0) -> Rgb:
    """A random variation of a random colour of a palette."""
    return varied(rng, colours[int(rng.integers(len(colours)))], brightness, hue)
