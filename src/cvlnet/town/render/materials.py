"""Procedural materials, from surface coordinates in metres and the object's seed.

The functions change ``colour`` (sRGB, 0 to 1, [3]) in place and return the surface's reflectivity, 0 to 1. ``soft`` is
the size of a pixel on the surface in metres: finer patterns fade into their mean.
"""

from __future__ import annotations

from math import floor

from cvlnet.arrays import F64
from cvlnet.town.compiled import band, hash01, kernel, leaf_noise, noise2, noise3, ramp
from cvlnet.town.scene import Material

LEAF_M = 0.09  # size of a leaf or a few of them
GROUND = 255  # the ground, which is drawn from its albedo

_PLAIN, _SIGN = int(Material.PLAIN), int(Material.SIGN)
_PLASTER, _BRICK, _SHOP = int(Material.PLASTER_FACADE), int(Material.BRICK_FACADE), int(Material.SHOP_FACADE)
_INDUSTRIAL, _BARE = int(Material.INDUSTRIAL_FACADE), int(Material.BARE_WALL)
_TILES, _FLAT, _SEAMS = int(Material.ROOF_TILES), int(Material.ROOF_FLAT), int(Material.ROOF_METAL)
_SOLAR, _FOLIAGE, _BARK, _HEDGE = int(Material.SOLAR), int(Material.FOLIAGE), int(Material.BARK), int(Material.HEDGE)
_NEEDLES = int(Material.NEEDLES)
_FENCE, _PAINT, _GLASS, _TYRE = int(Material.FENCE), int(Material.CAR_PAINT), int(Material.GLASS), int(Material.TYRE)
_METAL = int(Material.METAL)


@kernel
def _mix(colour: F64, red: float, green: float, blue: float, share: float) -> None:
    colour[0] += (red - colour[0]) * share
    colour[1] += (green - colour[1]) * share
    colour[2] += (blue - colour[2]) * share


@kernel
def _scale(colour: F64, factor: float) -> None:
    colour[0] *= factor
    colour[1] *= factor
    colour[2] *= factor


@kernel
def _between(seed: int, which: int, low: float, high: float) -> float:
    """The object's value of its property number ``which``."""
    return low + (high - low) * hash01(which, 31, seed)


@kernel
def _grain(u: float, v: float, seed: int, size_m: float, strength: float, soft: float) -> float:
    """A factor around 1: noise of one scale, which fades where pixels are larger."""
    visible = min(1.0, size_m / max(soft, 1e-6))
    return 1.0 + strength * visible * (2.0 * noise2(u / size_m, v / size_m, seed) - 1.0)


@kernel
def _masonry(u: float, v: float, seed: int, width: float, height: float, colour: F64, soft: float) -> None:
    """Courses of bricks or stones with mortar joints."""
    course = floor(v / height)
    shifted = u / width + 0.5 * (course % 2)
    brick = floor(shifted)
    visible = min(1.0, height / max(soft, 1e-6))
    _scale(colour, 1.0 + 0.3 * visible * (hash01(int(brick), int(course), seed) - 0.5))
    stone = band(shifted - brick, 0.03, 0.97, soft / width) * band(v / height - course, 0.06, 0.94, soft / height)
    _mix(colour, 0.62, 0.6, 0.56, 0.55 * visible * (1.0 - stone))


@kernel
def _window(s: float, t: float, w: float, h: float, i: int, j: int, seed: int, colour: F64, soft: float) -> float:
    """A window with its lower left corner at s = t = 0: frame, panes, curtain or blind, sill."""
    inside = band(s, 0.0, w, soft) * band(t, 0.0, h, soft)
    sill = band(s, -0.08, w + 0.08, soft) * band(t, -0.09, 0.0, soft)
    _mix(colour, 0.66, 0.65, 0.63, 0.8 * sill)
    if inside <= 0.0:
        return 0.0
    white = 0.86 if hash01(3, 7, seed) < 0.75 else 0.28
    panes = 2 if w > 1.0 else 1
    in_pane = s * panes / w - floor(s * panes / w)
    pane = band(in_pane, 0.07 / w, 1 - 0.07 / w, soft * panes / w) * band(t, 0.07, h - 0.07, soft)
    blind = hash01(i, j, seed + 17)
    drawn = 0.0 if blind < 0.62 else 1.0 if blind > 0.9 else 0.25 + 0.5 * (blind - 0.62) / 0.28
    slats = 0.72 + 0.06 * min(1.0, 0.06 / soft) * (2.0 * (t / 0.055 - floor(t / 0.055)) - 1.0)
    curtain = 0.35 * ramp(hash01(i, j, seed + 5), 0.55, 0.8) * (0.6 + 0.4 * noise2(s * 9.0, t * 0.6, seed + i))
    dark = 0.07 + curtain + 0.05 * (t / h)
    covered = 1.0 - band(t, -1.0, h * (1.0 - drawn), soft)
    _mix(colour, white, white, white * 0.97, inside)
    _mix(colour, dark, dark * 1.02, dark * 1.06, inside * pane)
    _mix(colour, slats, slats * 0.99, slats * 0.95, inside * covered)
    return inside * pane * (1.0 - covered) * (1.0 - curtain)


@kernel
def _storeys(u: float, v: float, seed: int, ground_m: float, colour: F64, soft: float) -> float:
    """Rows of windows above ``ground_m``, with cornices; their dimensions follow from the object's seed."""
    storey_m, pitch_m = _between(seed, 1, 2.7, 3.5), _between(seed, 2, 2.1, 3.6)
    w, h = _between(seed, 3, 0.9, 1.35), _between(seed, 4, 1.25, 1.75)
    if hash01(12, 3, seed) < 0.18:  # ribbon windows, as on offices and schools
        w = pitch_m - 0.12
    j, i = floor((v - ground_m) / storey_m), floor(u / pitch_m)
    t, s = v - ground_m - j * storey_m - 0.85, u - i * pitch_m - 0.5 * (pitch_m - w)
    if j < 0:
        return 0.0
    if hash01(5, 2, seed) < 0.35:
        cornice = band(v - ground_m - j * storey_m, 0.0, 0.16, soft)
        _scale(colour, 1.0 + 0.12 * cornice)
    if hash01(6, 2, seed) < 0.4:  # stone surrounds
        around = band(s, -0.14, w + 0.14, soft) * band(t, -0.14, h + 0.16, soft)
        tone = _between(seed, 7, 0.45, 0.85)
        _mix(colour, tone, tone * 0.95, tone * 0.88, 0.8 * around)
    if hash01(8, 2, seed) < 0.2:  # wooden shutters
        beside = band(s, -0.5 * w, 1.5 * w, soft) * band(t, 0.0, h, soft)
        _mix(colour, _between(seed, 9, 0.1, 0.5), _between(seed, 10, 0.2, 0.4), _between(seed, 11, 0.12, 0.3), beside)
    return _window(s, t, w, h, int(i), int(j), seed, colour, soft)


@kernel
def _entrance(u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    """A glazed door every nine to sixteen metres, and a plinth."""
    pitch_m = _between(seed, 20, 9.0, 16.0)
    s = u - floor(u / pitch_m) * pitch_m - _between(seed, 21, 1.0, 5.0)
    plinth_m = _between(seed, 22, 0.25, 0.8)
    plinth = band(v, -1.0, plinth_m, soft)
    tone = _between(seed, 23, 0.3, 0.55)
    _mix(colour, tone, tone * 0.97, tone * 0.94, 0.75 * plinth)
    door = band(s, 0.0, 1.15, soft) * band(v, 0.0, 2.15, soft)
    red = _between(seed, 24, 0.12, 0.5)
    _mix(colour, red, _between(seed, 25, 0.1, 0.36), _between(seed, 26, 0.08, 0.34), door)
    light = band(s, 0.2, 0.95, soft) * band(v, 1.1, 1.95, soft)
    _mix(colour, 0.1, 0.11, 0.12, light)
    return 0.6 * light


@kernel
def _weathered(u: float, v: float, seed: int, colour: F64, soft: float) -> None:
    """Streaks, dirt near the ground, uneven plaster."""
    streaks = ramp(noise2(u * 1.7, v * 0.12, seed), 0.55, 0.95)
    _scale(colour, 1.0 - 0.13 * streaks - 0.15 * ramp(0.5 - v, 0.0, 0.5))
    _scale(colour, _grain(u, v, seed + 1, 1.9, 0.06, soft) * _grain(u, v, seed + 2, 0.05, 0.05, soft))


@kernel
def _house_wall(material: int, u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    if material == _BRICK:
        _masonry(u, v, seed, 0.25, 0.08, colour, soft)
    _weathered(u, v, seed, colour, soft)
    if material == _SHOP:
        return _shop(u, v, seed, colour, soft)
    door = _entrance(u, v, seed, colour, soft)
    return max(door, _storeys(u, v, seed, _between(seed, 27, 0.1, 0.9), colour, soft))


@kernel
def _shop(u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    """Shop windows between pillars, a sign above them, storeys of windows above that."""
    sign_low, sign_high = 2.7, 3.4
    sign = band(v, sign_low, sign_high, soft)
    which = floor(u / 8.0)
    red, green, blue = hash01(which, 1, seed), hash01(which, 2, seed), hash01(which, 3, seed)
    _mix(colour, red, green * 0.8, blue, 0.85 * sign)
    s = u / 8.0 - which
    letters = band(s, 0.2, 0.8, soft / 8.0) * band(v, 2.88, 3.22, soft) * ramp(noise2(u * 4.0, 0.0, seed), 0.4, 0.5)
    _mix(colour, 0.95, 0.95, 0.92, letters)
    pane_m = _between(seed, 30, 2.0, 3.2)
    x = u - floor(u / pane_m) * pane_m
    pane = band(x, 0.12, pane_m - 0.12, soft) * band(v, 0.45, 2.6, soft)
    goods = 0.05 + 0.3 * ramp(noise2(u * 1.5, v * 1.8, seed + 9), 0.5, 0.8)
    _mix(colour, goods * 1.1, goods, goods * 0.9, pane)
    if v < sign_high + 0.2:
        return 0.8 * pane
    return _storeys(u, v, seed, sign_high + 0.2, colour, soft)


@kernel
def _industrial(u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    """Panels of corrugated sheet, a strip of high windows, gates."""
    horizontal = hash01(40, 1, seed) < 0.4
    along = v if horizontal else u
    wave = along / 0.25 - floor(along / 0.25)
    _scale(colour, 1.0 + 0.16 * min(1.0, 0.12 / soft) * (abs(2.0 * wave - 1.0) - 0.5))
    panel = u / 6.0 - floor(u / 6.0)
    _scale(colour, 1.0 - 0.25 * (1.0 - band(panel, 0.006, 0.994, soft / 6.0)))
    _weathered(u, v, seed, colour, soft)
    mirror = 0.0
    if hash01(41, 1, seed) < 0.7:
        high_m, x = _between(seed, 42, 3.0, 4.5), u / 1.5 - floor(u / 1.5)
        strip = band(v, high_m, high_m + 0.9, soft) * band(x, 0.04, 0.96, soft / 1.5)
        _mix(colour, 0.13, 0.15, 0.17, strip)
        mirror = 0.7 * strip
    gate = u / 17.0 - floor(u / 17.0)
    inside = band(gate, 0.1, 0.1 + 4.0 / 17.0, soft / 17.0) * band(v, 0.0, 3.6, soft)
    tone = _between(seed, 44, 0.2, 0.7)
    slat = 1.0 + 0.12 * min(1.0, 0.2 / soft) * (2.0 * (v / 0.4 - floor(v / 0.4)) - 1.0)
    _mix(colour, tone * slat, tone * slat, (tone + 0.05) * slat, inside if hash01(45, 1, seed) < 0.6 else 0.0)
    return mirror


@kernel
def _roof(material: int, u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    if material == _TILES:
        row, column = v / 0.34, u / 0.24
        visible = min(1.0, 0.2 / soft)
        tile = hash01(floor(column), floor(row), seed)
        _scale(colour, 1.0 + visible * (0.2 * (tile - 0.5) + 0.35 * (row - floor(row) - 0.5)))
        moss = ramp(noise2(u * 0.35, v * 0.35, seed + 3) + 0.25 * noise2(u * 2.0, v * 2.0, seed + 4), 0.7, 1.1)
        _mix(colour, 0.3, 0.3, 0.24, _between(seed, 50, 0.0, 0.6) * moss)
        _scale(colour, _grain(u, v, seed + 5, 1.1, 0.08, soft))
        return 0.04
    if material == _FLAT:
        stains = ramp(noise2(u * 0.22, v * 0.22, seed) * 0.7 + noise2(u * 0.9, v * 0.9, seed + 1) * 0.3, 0.45, 0.75)
        _scale(colour, 1.0 - _between(seed, 51, 0.1, 0.4) * stains)
        _scale(colour, _grain(u, v, seed + 2, 0.07, 0.14, soft) * _grain(u, v, seed + 6, 4.0, 0.08, soft))
        strip = u / 5.0 - floor(u / 5.0)
        _scale(colour, 1.0 - 0.12 * (1.0 - band(strip, 0.012, 0.988, soft / 5.0)))
        return 0.03
    seam = u / 0.6 - floor(u / 0.6)
    _scale(colour, 1.0 - 0.3 * min(1.0, 0.3 / soft) * (1.0 - band(seam, 0.06, 0.94, soft / 0.6)))
    _scale(colour, _grain(u, v * 0.3, seed, 0.9, 0.1, soft))
    return 0.18


@kernel
def _solar(u: float, v: float, colour: F64, soft: float) -> float:
    panel = band(u - floor(u), 0.03, 0.97, soft) * band(v / 1.6 - floor(v / 1.6), 0.02, 0.98, soft / 1.6)
    cell_u, cell_v = u * 6.0 - floor(u * 6.0), v * 6.0 - floor(v * 6.0)
    line = 1.0 - band(cell_u, 0.04, 0.96, soft * 6.0) * band(cell_v, 0.04, 0.96, soft * 6.0)
    _mix(colour, 0.7, 0.72, 0.74, 1.0 - panel)
    _mix(colour, 0.35, 0.4, 0.5, 0.35 * panel * line * min(1.0, 0.1 / soft))
    return 0.35 * panel


@kernel
def _leaves(material: int, place: F64, seed: int, colour: F64, soft: float) -> float:
    """Lit clumps of leaves and dark hollows between them, by position in space."""
    x, y, z = place[0], place[1], place[2]
    clumps = noise3(x * 1.5, y * 1.5, z * 1.5, seed)
    leaf = leaf_noise(x, y, z, max(LEAF_M, soft), seed)
    depth = 0.4 if material == _HEDGE else 0.5
    _scale(colour, (1.0 - depth + 2.0 * depth * ramp(clumps, 0.15, 0.85)) * (0.65 + 0.7 * leaf))
    _mix(colour, colour[0] * 1.2 + 0.02, colour[1] * 1.06, colour[2] * 0.8, ramp(leaf, 0.6, 1.0))
    return 0.02


@kernel
def _sign(u: float, v: float, seed: int, colour: F64, soft: float) -> float:
    """A plate with lines of writing."""
    lines = ramp(noise2(u * 14.0, floor(v * 7.0), seed), 0.45, 0.55) * band(
        v * 7.0 - floor(v * 7.0), 0.2, 0.75, soft * 7.0
    )
    dark = 0.08 if colour[0] + colour[1] + colour[2] > 1.3 else 0.92
    _mix(colour, dark, dark, dark, 0.8 * lines * min(1.0, 0.1 / soft))
    return 0.05


@kernel
def paint_material(material: int, u: float, v: float, place: F64, seed: int, colour: F64, soft: float) -> float:
    """Paint any material except the ground at (u, v) metres; ``place``: the point in the world, [3]."""
    if material in (_PLASTER, _BRICK, _SHOP):
        return _house_wall(material, u, v, seed, colour, soft)
    if material in (_FOLIAGE, _HEDGE, _NEEDLES):
        return _leaves(material, place, seed, colour, soft)
    if material in (_TILES, _FLAT, _SEAMS):
        return _roof(material, u, v, seed, colour, soft)
    if material == _INDUSTRIAL:
        return _industrial(u, v, seed, colour, soft)
    if material == _BARE:
        if hash01(60, 1, seed) < 0.4:
            _masonry(u, v, seed, _between(seed, 61, 0.25, 0.6), _between(seed, 62, 0.08, 0.25), colour, soft)
        _weathered(u, v, seed, colour, soft)
        return 0.02
    if material == _SOLAR:
        return _solar(u, v, colour, soft)
    if material == _PAINT:
        return 0.2
    if material == _GLASS:
        return 0.75
    if material == _METAL:
        return 0.15
    if material == _SIGN:
        return _sign(u, v, seed, colour, soft)
    if material == _BARK:
        _scale(colour, _grain(u * 3.0, v, seed, 0.12, 0.35, soft))
    elif material in (_PLAIN, _FENCE, _TYRE):
        _scale(colour, _grain(u, v, seed, 0.3, 0.08, soft))
    return 0.0
