"""Street and garden furniture as triangles. The origin is on the ground, the front faces +x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cvlnet.town.mesh.solids import block, disc, pole, prism, quads, triangles
from cvlnet.town.plan import Prop, Rgb
from cvlnet.town.polygons import rectangle
from cvlnet.town.scene import Material, Mesh

GALVANISED: Rgb = (132, 136, 138)
DARK: Rgb = (52, 54, 56)
WOOD: Rgb = (124, 98, 72)
GLAZING: Rgb = (120, 134, 140)


def prop_mesh(prop: Prop) -> Mesh:
    """Mesh of a prop at the origin."""
    return MAKERS[prop.name](prop, np.random.default_rng(prop.seed))


def _lamp(p: Prop, rng: np.random.Generator) -> Mesh:
    height = rng.uniform(6.5, 9)
    return Mesh.join(
        [
            pole(0.07, -0.3, height, Material.METAL, p.rgb, p.seed),
            block((1.7, 0.09, 0.09), (0.8, 0.0), height - 0.1, Material.METAL, p.rgb, p.seed),
            block((0.75, 0.3, 0.14), (1.5, 0.0), height - 0.06, Material.METAL, (176, 178, 178), p.seed),
        ]
    )


def _short_lamp(p: Prop, rng: np.random.Generator) -> Mesh:
    height = rng.uniform(3.6, 4.8)
    head = prism(
        disc(0.26, 6), height, height + 0.4, Material.PLAIN, (222, 220, 208), p.seed, top=Material.METAL, top_rgb=DARK
    )
    return Mesh.join([pole(0.05, -0.3, height, Material.METAL, p.rgb, p.seed), head])


def _sign(p: Prop, rng: np.random.Generator) -> Mesh:
    high, size = rng.uniform(2.1, 2.5), rng.uniform(0.5, 0.7)
    sides = int(rng.choice([3, 4, 8]))
    outline = disc(size / 2 * 1.15, sides)
    turned = outline @ np.array([[0, 1], [-1, 0]]) if sides != 4 else rectangle(size, size)
    plate = np.stack([np.full(sides, 0.05), turned[:, 0], turned[:, 1] + high], axis=-1)
    fan = np.array([[0, i, i + 1] for i in range(1, sides - 1)])
    corners = plate[fan]
    uv = corners[..., 1:] - [0, high - size / 2]
    return Mesh.join(
        [
            pole(0.03, -0.3, high + size / 2, Material.METAL, GALVANISED, p.seed, 4),
            triangles(corners, uv, Material.SIGN, p.rgb, p.seed),
            triangles(corners[:, ::-1] - [0.01, 0, 0], uv, Material.METAL, GALVANISED, p.seed),
        ]
    )


def _signal(p: Prop, rng: np.random.Generator) -> Mesh:
    parts = [
        pole(0.08, -0.3, 3.4, Material.METAL, p.rgb, p.seed),
        block((0.24, 0.3, 0.95), (0.12, 0.0), 2.4, Material.PLAIN, DARK, p.seed),
    ]
    for i, rgb in enumerate(((60, 150, 90), (150, 110, 40), (170, 50, 40))):
        z = 2.48 + 0.3 * i
        lens = np.array([[[0.25, -0.1, z], [0.25, 0.1, z], [0.25, 0.1, z + 0.2], [0.25, -0.1, z + 0.2]]])
        parts.append(quads(lens, Material.PLAIN, rgb, p.seed))
    if rng.random() < 0.4:
        parts += [pole(0.09, 3.0, 5.8, Material.METAL, p.rgb, p.seed),
                  block((0.12, 5.0, 0.12), (0.0, 2.5), 5.6, Material.METAL, p.rgb, p.seed),
                  block((0.24, 0.3, 0.95), (0.1, 4.8), 4.9, Material.PLAIN, DARK, p.seed)]  # fmt: skip
    return Mesh.join(parts)


def _bollard(p: Prop, rng: np.random.Generator) -> Mesh:
    return pole(0.06, -0.2, rng.uniform(0.8, 1.0), Material.METAL, p.rgb, p.seed, 6)


def _bin(p: Prop, rng: np.random.Generator) -> Mesh:
    return block((0.6, 0.6, rng.uniform(0.9, 1.15)), (0.0, 0.0), 0.0, Material.PLAIN, p.rgb, p.seed)


def _bench(p: Prop, _rng: np.random.Generator) -> Mesh:
    return Mesh.join(
        [
            block((0.5, 1.7, 0.06), (0.0, 0.0), 0.42, Material.PLAIN, WOOD, p.seed),
            block((0.06, 1.7, 0.4), (-0.25, 0.0), 0.5, Material.PLAIN, WOOD, p.seed),
            block((0.4, 0.08, 0.42), (0.0, 0.6), 0.0, Material.METAL, DARK, p.seed),
            block((0.4, 0.08, 0.42), (0.0, -0.6), 0.0, Material.METAL, DARK, p.seed),
        ]
    )


def _shelter(p: Prop, _rng: np.random.Generator) -> Mesh:
    """A bus shelter, open towards +x."""
    w, d, h = 4.0, 1.5, 2.4
    panes = np.array(
        [
            [[-d / 2, w / 2, 0.1], [-d / 2, -w / 2, 0.1], [-d / 2, -w / 2, h], [-d / 2, w / 2, h]],
            [[-d / 2, -w / 2, 0.1], [d / 2, -w / 2, 0.1], [d / 2, -w / 2, h], [-d / 2, -w / 2, h]],
        ]
    )
    posts = [
        pole(0.04, -0.2, h, Material.METAL, DARK, p.seed, 4).moved((x, y, 0.0), 0.0)
        for x in (-d / 2, d / 2)
        for y in (-w / 2, w / 2)
    ]
    advert = np.array([[[-d / 2, w / 2, 0.3], [d / 2, w / 2, 0.3], [d / 2, w / 2, 2.1], [-d / 2, w / 2, 2.1]]])
    return Mesh.join(
        [
            quads(panes, Material.GLASS, GLAZING, p.seed),
            quads(advert, Material.SIGN, p.rgb, p.seed),
            block((d + 0.5, w + 0.5, 0.15), (0.1, 0.0), h, Material.METAL, (150, 152, 152), p.seed),
            *posts,
        ]
    )


def _column(p: Prop, _rng: np.random.Generator) -> Mesh:
    """An advertising column."""
    return Mesh.join(
        [
            prism(disc(0.62, 10), -0.1, 2.7, Material.SIGN, p.rgb, p.seed, top=Material.PLAIN, top_rgb=DARK),
            prism(disc(0.75, 10), 2.7, 2.95, Material.PLAIN, (90, 100, 92), p.seed),
        ]
    )


def _mast(p: Prop, _rng: np.random.Generator) -> Mesh:
    """A wooden power pole, or a mast of the tram's overhead line."""
    return Mesh.join(
        [
            pole(0.13, -0.3, 8.5, Material.METAL, p.rgb, p.seed, 6),
            block((0.1, 1.8, 0.12), (0.0, 0.0), 7.8, Material.METAL, p.rgb, p.seed),
        ]
    )


def _flags(p: Prop, _rng: np.random.Generator) -> Mesh:
    cloth = np.array([[[0, 0.1, 3.2], [0, 1.1, 3.2], [0, 1.1, 6.6], [0, 0.1, 6.6]]])
    return Mesh.join(
        [pole(0.06, -0.3, 7.0, Material.METAL, (210, 210, 210), p.seed), quads(cloth, Material.SIGN, p.rgb, p.seed)]
    )


def _billboard(p: Prop, rng: np.random.Generator) -> Mesh:
    high = rng.uniform(2.0, 5.0)
    plate = np.array([[[0.1, -1.8, high], [0.1, 1.8, high], [0.1, 1.8, high + 2.6], [0.1, -1.8, high + 2.6]]])
    posts = [
        pole(0.1, -0.3, high + 2.6, Material.METAL, GALVANISED, p.seed, 4).moved((0.0, y, 0.0), 0.0)
        for y in (-1.4, 1.4)
    ]
    return Mesh.join(
        [
            quads(plate, Material.SIGN, p.rgb, p.seed),
            quads(plate[:, [1, 0, 3, 2]] - [0.05, 0, 0], Material.METAL, GALVANISED, p.seed),
            *posts,
        ]
    )


def _shed(p: Prop, rng: np.random.Generator) -> Mesh:
    size = rng.uniform((2.0, 1.8), (3.6, 3.0))
    x, y, h, top = size[0] / 2, size[1] / 2, 2.0, 2.7
    roof = np.array(
        [
            [[-x - 0.2, -y - 0.2, h], [x + 0.2, -y - 0.2, h], [x + 0.2, 0, top], [-x - 0.2, 0, top]],
            [[x + 0.2, y + 0.2, h], [-x - 0.2, y + 0.2, h], [-x - 0.2, 0, top], [x + 0.2, 0, top]],
        ]
    )
    walls = prism(rectangle(*size), -0.3, h, Material.PLAIN, p.rgb, p.seed)
    return Mesh.join([walls, quads(roof, Material.ROOF_FLAT, (96, 88, 82), p.seed)])


def _container(p: Prop, rng: np.random.Generator) -> Mesh:
    length = float(rng.choice([6.06, 12.2, 6.06]))
    return block((length, 2.44, 2.6), (0.0, 0.0), 0.0, Material.ROOF_METAL, p.rgb, p.seed)


def _skip(p: Prop, _rng: np.random.Generator) -> Mesh:
    return prism(
        rectangle(3.6, 1.8), 0.0, 1.3, Material.METAL, p.rgb, p.seed, top=Material.PLAIN, top_rgb=(120, 108, 94)
    )


def _trampoline(p: Prop, rng: np.random.Generator) -> Mesh:
    return prism(
        disc(rng.uniform(1.2, 1.9), 12),
        0.55,
        0.75,
        Material.PLAIN,
        (50, 80, 140),
        p.seed,
        top=Material.PLAIN,
        top_rgb=(34, 34, 36),
    )


def _parasol(p: Prop, rng: np.random.Generator) -> Mesh:
    rim = disc(rng.uniform(1.1, 1.7), 8)
    low = np.concatenate([rim, np.full((8, 1), 2.1)], axis=1)
    sides = np.stack(
        [low, np.roll(low, -1, axis=0), np.tile([0, 0, 2.6], (8, 1)), np.tile([0, 0, 2.6], (8, 1))], axis=1
    )
    return Mesh.join(
        [pole(0.03, -0.1, 2.5, Material.METAL, GALVANISED, p.seed, 4), quads(sides, Material.PLAIN, p.rgb, p.seed)]
    )


def _playhouse(p: Prop, _rng: np.random.Generator) -> Mesh:
    slide = np.array([[[2.6, -0.3, 0.2], [2.6, 0.3, 0.2], [0.6, 0.3, 1.5], [0.6, -0.3, 1.5]]])
    posts = [
        pole(0.06, -0.3, 2.4, Material.PLAIN, WOOD, p.seed, 4).moved((x, y, 0.0), 0.0)
        for x in (-0.6, 0.6)
        for y in (-0.6, 0.6)
    ]
    swing = [
        pole(0.06, -0.3, 2.2, Material.METAL, (60, 90, 150), p.seed, 4).moved((-3.0, y, 0.0), 0.0) for y in (-1.5, 1.5)
    ]
    return Mesh.join(
        [
            *posts, *swing,
            block((1.4, 1.4, 0.1), (0.0, 0.0), 1.45, Material.PLAIN, WOOD, p.seed),
            block((1.7, 1.7, 0.3), (0.0, 0.0), 2.4, Material.PLAIN, p.rgb, p.seed),
            quads(slide, Material.METAL, (180, 60, 50), p.seed),
            block((0.1, 3.1, 0.1), (-3.0, 0.0), 2.15, Material.METAL, (60, 90, 150), p.seed),
        ]
    )  # fmt: skip


def _grave(p: Prop, rng: np.random.Generator) -> Mesh:
    stone = block((0.2, rng.uniform(0.5, 0.9), rng.uniform(0.6, 1.1)), (-0.9, 0.0), 0.0, Material.PLAIN, p.rgb, p.seed)
    return Mesh.join([stone, block((1.8, 0.9, 0.15), (0.0, 0.0), 0.0, Material.PLAIN, p.rgb, p.seed)])


def _crane(p: Prop, _rng: np.random.Generator) -> Mesh:
    """A tower crane on a building site."""
    return Mesh.join(
        [
            block((1.4, 1.4, 26.0), (0.0, 0.0), 0.0, Material.FENCE, p.rgb, p.seed),
            block((30.0, 1.0, 1.0), (9.0, 0.0), 26.0, Material.FENCE, p.rgb, p.seed),
            block((2.0, 1.6, 2.0), (-5.0, 0.0), 25.0, Material.PLAIN, (130, 130, 128), p.seed),
        ]
    )


def _rubble(p: Prop, rng: np.random.Generator) -> Mesh:
    base = disc(rng.uniform(1.5, 4.0), 9) * rng.uniform(0.7, 1.2, (9, 1))
    low = np.concatenate([base, np.full((9, 1), -0.2)], axis=1)
    top = np.array([0.0, 0.0, rng.uniform(0.8, 2.2)])
    sides = np.stack([low, np.roll(low, -1, axis=0), np.tile(top, (9, 1)), np.tile(top, (9, 1))], axis=1)
    return quads(sides, Material.PLAIN, p.rgb, p.seed)


def _goal(p: Prop, _rng: np.random.Generator) -> Mesh:
    posts = [
        pole(0.06, -0.2, 2.4, Material.METAL, (230, 230, 230), p.seed, 4).moved((0.0, y, 0.0), 0.0) for y in (-3.6, 3.6)
    ]
    return Mesh.join([*posts, block((0.12, 7.3, 0.12), (0.0, 0.0), 2.4, Material.METAL, (230, 230, 230), p.seed)])


def _racks(p: Prop, rng: np.random.Generator) -> Mesh:
    """A stack of goods."""
    return block(tuple(rng.uniform((1.2, 1.0, 0.6), (5.0, 2.4, 2.4))), (0.0, 0.0), 0.0, Material.PLAIN, p.rgb, p.seed)


MAKERS: dict[str, Callable[[Prop, np.random.Generator], Mesh]] = {
    "lamp": _lamp, "short_lamp": _short_lamp, "sign": _sign, "signal": _signal, "bollard": _bollard, "bin": _bin,
    "bench": _bench, "shelter": _shelter, "column": _column, "mast": _mast, "flags": _flags, "billboard": _billboard,
    "shed": _shed, "container": _container, "skip": _skip, "trampoline": _trampoline, "parasol": _parasol,
    "playhouse": _playhouse, "grave": _grave, "crane": _crane, "rubble": _rubble, "goal": _goal, "racks": _racks,
}  # fmt: skip
