"""Shading: the radiance of every pixel, given the triangle that it sees."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from cvlnet.arrays import F32, F64
from cvlnet.town.compiled import I32, allocating_kernel, hash01, kernel, noise2, ramp
from cvlnet.town.render.ground_texture import Texels, sample_ground
from cvlnet.town.render.light import Light, SkyMap, SunMap
from cvlnet.town.render.materials import GROUND, paint_material
from cvlnet.town.render.raster import (
    FOLIAGE,
    NEEDLES,
    Sight,
    Surfaces,
    edge_functions,
    is_bare,
    sight_of,
    surfaces_of,
)
from cvlnet.town.render.shadow import Maps, maps, sky_share, sunlit
from cvlnet.town.render.sky import Weather, beyond, land, sky_radiance, weather
from cvlnet.town.render.view import View
from cvlnet.town.scene import Material, Mesh

HEDGE = int(Material.HEDGE)
TWIG_TINT = (1.06, 0.98, 0.9)
STRAW, SOIL, LITTER, TURNED = (0.56, 0.5, 0.36), (0.42, 0.37, 0.31), (0.42, 0.33, 0.23), (0.45, 0.33, 0.16)  # sRGB
SWEPT = 0.2  # share of the fallen leaves that stay on paved ground
BOUNCE = 0.05  # share of the open ground's radiance that is reflected onto surfaces
BRIGHTEST_MIRROR = 2.0


@dataclass(frozen=True)
class Lighting:
    """What the shading of a scene needs besides its triangles."""

    light: Light
    sun_map: SunMap
    sky_map: SkyMap
    texels: Texels


class _Hit(NamedTuple):
    """What a pixel sees: a point in the world [3], its surface coordinates [2], and unit vectors [3].

    Its arrays are reused for all pixels.
    """

    place: F64
    uv_m: F64
    normal: F64
    toward_eye: F64


def shade(
    view: View, mesh: Mesh, triangle: Int32[np.ndarray, "height width"], lighting: Lighting
) -> Float32[np.ndarray, "height width 3"]:
    """Linear RGB radiance of every pixel; land and sky where there is no triangle.

    triangle: index in the mesh of the triangle that each pixel sees, or -1.
    """
    out = np.empty((view.height_px, view.width_px, 3), np.float32)
    world_from_px = np.linalg.inv(view.matrix).astype(np.float64)
    now, known = weather(lighting.light), maps(lighting.sun_map, lighting.sky_map)
    _shade(sight_of(view), world_from_px, surfaces_of(mesh), now, known, lighting.texels, triangle, out)
    return out


@allocating_kernel
def _shade(
    sight: Sight, world_from_px: F64, mesh: Surfaces, now: Weather, known: Maps, texels: Texels, triangle: I32, out: F32
) -> None:
    corners, inverse, colour, spare = np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3)
    hit = _Hit(np.empty(3), np.empty(2), np.empty(3), np.empty(3))
    current = -1
    for row in range(triangle.shape[0]):
        for col in range(triangle.shape[1]):
            px, py, t = col + 0.5, row + 0.5, triangle[row, col]
            if t < 0:
                _open_view(sight, world_from_px, px, py, now, spare, colour)
            else:
                if t != current:
                    current = t
                    edge_functions(sight.matrix, mesh.xyz_m[t], corners, inverse)
                    _unit_normal(mesh.xyz_m[t], hit.normal)
                w = _locate(inverse, mesh.xyz_m[t], mesh.uv_m[t], px, py, hit)
                distance, facing = _face(sight.eye, hit)
                mirror = _colour(mesh, t, hit, facing, sight.m_per_px * w, now, texels, colour)
                _light(hit, facing, is_green(mesh.material[t]), mirror, now, known, spare, colour)
                if sight.eye[3] != 0.0:
                    clear = exp(-distance / now.haze_m)
                    for c in range(3):
                        colour[c] = colour[c] * clear + (1.0 - clear) * 0.45 * now.horizon[c]
            for c in range(3):
                out[row, col, c] = colour[c]


@kernel
def _open_view(sight: Sight, inverse: F64, px: float, py: float, now: Weather, direction: F64, out: F64) -> None:
    """Radiance of a pixel without a triangle. inverse: of the view's matrix."""
    eye = sight.eye
    if eye[3] == 0.0:  # parallel projection from above: the land at height zero
        x = inverse[0, 0] * px + inverse[0, 1] * py + inverse[0, 2]
        y = inverse[1, 0] * px + inverse[1, 1] * py + inverse[1, 2]
        land(x, y, sight.m_per_px, now, out)
        return
    length = 0.0
    for axis in range(3):
        direction[axis] = inverse[axis, 0] * px + inverse[axis, 1] * py + inverse[axis, 2]
        length += direction[axis] * direction[axis]
    for axis in range(3):
        direction[axis] /= sqrt(length)
    beyond(direction, eye, now, out)


@kernel
def _unit_normal(xyz_m: F32, normal: F64) -> None:
    """Unit normal of a triangle with the corners [3, 3]."""
    ax, ay, az = xyz_m[1, 0] - xyz_m[0, 0], xyz_m[1, 1] - xyz_m[0, 1], xyz_m[1, 2] - xyz_m[0, 2]
    bx, by, bz = xyz_m[2, 0] - xyz_m[0, 0], xyz_m[2, 1] - xyz_m[0, 1], xyz_m[2, 2] - xyz_m[0, 2]
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = max(sqrt(x * x + y * y + z * z), 1e-12)
    normal[0], normal[1], normal[2] = x / length, y / length, z / length


@kernel
def _locate(inverse: F64, xyz_m: F32, uv_m: F32, px: float, py: float, hit: _Hit) -> float:
    """Set the hit's point and surface coordinates on a triangle; returns its W in the view."""
    b0 = inverse[0, 0] * px + inverse[0, 1] * py + inverse[0, 2]
    b1 = inverse[1, 0] * px + inverse[1, 1] * py + inverse[1, 2]
    b2 = inverse[2, 0] * px + inverse[2, 1] * py + inverse[2, 2]
    w = 1.0 / (b0 + b1 + b2)
    for axis in range(3):
        hit.place[axis] = (b0 * xyz_m[0, axis] + b1 * xyz_m[1, axis] + b2 * xyz_m[2, axis]) * w
    for axis in range(2):
        hit.uv_m[axis] = (b0 * uv_m[0, axis] + b1 * uv_m[1, axis] + b2 * uv_m[2, axis]) * w
    return float(w)


@kernel
def _face(eye: F64, hit: _Hit) -> tuple[float, float]:
    """Set the hit's direction to the eye and flip its normal towards it; returns distance and cosine of incidence."""
    place, normal, toward_eye = hit.place, hit.normal, hit.toward_eye
    squared, facing = 0.0, 0.0
    for axis in range(3):
        toward_eye[axis] = eye[axis] - place[axis] * eye[3]
        squared += toward_eye[axis] * toward_eye[axis]
    distance = sqrt(squared)
    for axis in range(3):
        toward_eye[axis] /= distance
        facing += normal[axis] * toward_eye[axis]
    if facing < 0.0:
        for axis in range(3):
            normal[axis] = -normal[axis]
    return distance, min(abs(facing), 1.0)


@kernel
def _colour(
    mesh: Surfaces, t: int, hit: _Hit, facing: float, soft: float, now: Weather, texels: Texels, colour: F64
) -> float:
    """Set the surface's ``colour`` (sRGB, 0 to 1) in this season and weather; returns its reflectivity."""
    if mesh.material[t] == GROUND:
        return _ground_colour(hit, facing, soft, now, texels, colour)
    for c in range(3):
        colour[c] = mesh.rgb[t, c] / 255.0
    mirror = paint_material(
        mesh.material[t], hit.uv_m[0], hit.uv_m[1], hit.place, mesh.seed[t], colour, soft / max(facing, 0.15)
    )
    if is_bare(mesh.material[t], mesh.seed[t], now.leafless):
        grey = 0.2 + 0.5 * (colour[0] + colour[1] + colour[2]) / 3.0
        for c in range(3):
            colour[c] = grey * TWIG_TINT[c]
    elif is_green(mesh.material[t]):
        if now.autumn.turned > 0.0 and hash01(mesh.seed[t], 1, 37) < now.autumn.turned:
            _cover(colour, TURNED, 0.8, 0.33)
        for c in range(3):
            colour[c] *= now.leaf_tint[c]
    return mirror * (0.2 + 0.8 * (1.0 - facing) ** 4)  # reflectivity grows at grazing angles


@kernel
def is_green(material: int) -> bool:
    """Whether a surface consists of leaves, which transmit light."""
    return bool(material in (FOLIAGE, HEDGE, NEEDLES))


@kernel
def _ground_colour(hit: _Hit, facing: float, soft: float, now: Weather, texels: Texels, colour: F64) -> float:
    place, toward_eye = hit.place, hit.toward_eye
    flat = sqrt(toward_eye[0] ** 2 + toward_eye[1] ** 2) + 1e-9
    long_m = soft / max(facing, 0.004) if facing < 0.67 else 0.0
    sample_ground(texels, place, long_m * toward_eye[0] / flat, long_m * toward_eye[1] / flat, soft, colour)
    green = ramp(colour[1] - 0.5 * (colour[0] + colour[2]), 0.01, 0.05)
    wet = now.wetness * (1.0 - green)
    if wet > 0.0:
        wet *= ramp(noise2(place[0] * 0.4, place[1] * 0.4, 23), 0.15, 0.7)
    for c in range(3):
        colour[c] *= (1.0 + (now.grass_tint[c] - 1.0) * green) * (1.0 - 0.3 * wet)
    if now.autumn.dry > 0.0:
        _dry(place, green, now.autumn.dry, colour)
    if now.autumn.litter > 0.0:
        _litter(place, green, soft, now.autumn.litter, colour)
    return (0.10 + 0.6 * wet) * (1.0 - green) * (1.0 - facing) ** 5


@kernel
def _dry(place: F64, green: float, strength: float, colour: F64) -> None:
    """Patches of straw and bare soil. green: 1 on grass, 0 on paved ground."""
    x, y = place[0], place[1]
    patches = 0.65 * noise2(x / 3.1, y / 3.1, 41) + 0.35 * noise2(x / 0.6, y / 0.6, 43)
    worn = green * ramp(patches, 0.8 - 0.65 * strength, 1.0 - 0.65 * strength)
    soil = ramp(noise2(x / 7.0, y / 7.0, 45), 0.5, 0.7)
    _cover(colour, STRAW, worn * (1.0 - soil), 0.34)
    _cover(colour, SOIL, worn * soil, 0.34)


@kernel
def _litter(place: F64, green: float, soft: float, strength: float, colour: F64) -> None:
    """Fallen leaves in drifts, most of which are swept from paved ground. green: 1 on grass, 0 on paved ground."""
    x, y = place[0], place[1]
    drifts = 0.6 * noise2(x / 4.7, y / 4.7, 47) + 0.4 * noise2(x / 0.9, y / 0.9, 49)
    share = 0.9 * ramp(drifts, 0.8 - 0.6 * strength, 1.0 - 0.6 * strength) * (SWEPT + (1.0 - SWEPT) * green)
    leaf = ramp(noise2(x / 0.1, y / 0.1, 51), 0.75 - share, 0.85 - share)
    visible = min(1.0, 0.1 / max(soft, 1e-6))  # finer than a pixel, leaves are a mean
    _cover(colour, LITTER, share + (leaf - share) * visible, 0.38)


@kernel
def _cover(colour: F64, by: tuple[float, float, float], share: float, usual: float) -> None:
    """Blend a colour over another one, whose pattern it keeps. usual: mean brightness of what is covered."""
    pattern = min(max((colour[0] + colour[1] + colour[2]) / (3.0 * usual), 0.6), 1.4)
    for c in range(3):
        colour[c] += (by[c] * pattern - colour[c]) * share


@kernel
def _light(
    hit: _Hit, facing: float, foliage: bool, mirror: float, now: Weather, known: Maps, spare: F64, colour: F64
) -> None:
    """Turn a surface's ``colour`` (sRGB) into its radiance under sun and sky."""
    place, normal = hit.place, hit.normal
    toward = normal[0] * now.toward_sun[0] + normal[1] * now.toward_sun[1] + normal[2] * now.toward_sun[2]
    if foliage:  # leaves scatter and transmit light
        toward = 0.35 + 0.5 * toward
    direct, share = max(toward, 0.0), 1.0
    if now.shadow_strength > 0.0:
        share -= now.shadow_strength * (1.0 - sky_share(place, normal, known))
        if direct > 0.0:
            direct *= 1.0 - now.shadow_strength * (1.0 - sunlit(place, normal, known))
    from_sky, from_ground = share * (0.62 + 0.38 * normal[2]), share * BOUNCE * (1.0 - normal[2])
    for c in range(3):
        light = now.sun[c] * direct + now.sky[c] * from_sky + now.open_ground[c] * from_ground
        colour[c] = colour[c] * colour[c] * light
    if mirror > 0.001:
        _mirror(hit, facing, direct > 0.0, now, spare, mirror * (0.35 + 0.65 * share), colour)


@kernel
def _mirror(hit: _Hit, facing: float, sunny: bool, now: Weather, mirrored: F64, share: float, colour: F64) -> None:
    """Add the reflection of a smooth surface: sky, dark buildings near the horizon, glint of the sun."""
    normal, toward_eye = hit.normal, hit.toward_eye
    x, y = 2.0 * facing * normal[0] - toward_eye[0], 2.0 * facing * normal[1] - toward_eye[1]
    z = 2.0 * facing * normal[2] - toward_eye[2]
    sky_radiance(x, y, z, now, False, mirrored)
    opposite = 0.8 * (1.0 - ramp(z, 0.1, 0.35))
    glint = 0.0
    if sunny:
        along = x * now.toward_sun[0] + y * now.toward_sun[1] + z * now.toward_sun[2]
        glint = 3.0 * max(along, 0.0) ** 60
    for c in range(3):
        seen = mirrored[c] + (0.12 * now.open_ground[c] - mirrored[c]) * opposite
        colour[c] += share * (min(seen, BRIGHTEST_MIRROR) + glint * now.sun[c])
