"""The light that reaches the viewer from every pixel, once the raster pass has said which triangle it sees."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, sqrt

import numpy as np
import numpy.typing as npt

from cvlnet.town.compiled import kernel, noise2, ramp
from cvlnet.town.ground import GroundTexture, paint_ground, paint_land
from cvlnet.town.light import Light, SkyMap, SunMap
from cvlnet.town.materials import GROUND, paint
from cvlnet.town.raster import FOLIAGE, I32, edge_functions
from cvlnet.town.scene import Material, Mesh
from cvlnet.town.sky import sky_radiance, skyline, skyline_colour
from cvlnet.town.view import View

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

HEDGE = int(Material.HEDGE)
UNDER_COVER = 0.45  # of the sky, seen from below a crown or an eave
SHADOW_BIAS_M = 0.25  # along the sun's rays, so that a surface does not shade itself


@dataclass(frozen=True)
class Lighting:
    """All that the shading of a scene needs beside its triangles."""

    light: Light
    sun_map: SunMap
    sky_map: SkyMap
    texture: GroundTexture


def shade(view: View, mesh: Mesh, triangle: I32, lighting: Lighting) -> F32:
    """Linear RGB radiance of every pixel, [height, width, 3]; what no triangle covers shows land and sky."""
    light, sun, sky, texture = lighting.light, lighting.sun_map, lighting.sky_map, lighting.texture
    out = np.empty((view.height_px, view.width_px, 3), np.float32)
    weather = np.array([light.cloud, light.shadow_strength, light.wetness, light.haze_m])
    colours = np.array([light.sun, light.sky, light.zenith, light.horizon, light.leaf_tint, light.grass_tint])
    sky_frame = np.array([*sky.grid.center_xy_m, sky.grid.cell_m])
    _shade(
        view.matrix,
        np.linalg.inv(view.matrix),
        view.eye,
        view.m_per_px,
        mesh.xyz_m,
        mesh.uv_m,
        mesh.material,
        mesh.rgb,
        mesh.seed,
        triangle,
        light.toward_sun,
        colours,
        weather,
        light.seed,
        sun.view.matrix,
        sun.nearness,
        sky_frame,
        sky.visible,
        sky.top_m,
        texture.texels,
        texture.table,
        texture.corner_m,
        texture.cell_m,
        out,
    )
    return out


@kernel
def _sunlit(place: F64, normal: F64, matrix: F64, nearness: F32) -> float:
    """Share of the sun that reaches a place: bilinear between the sun map's cells, so that edges are soft."""
    x, y, z = place[0] + 0.08 * normal[0], place[1] + 0.08 * normal[1], place[2] + 0.08 * normal[2]
    col = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3] - 0.5
    row = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3] - 0.5
    near = matrix[3, 0] * x + matrix[3, 1] * y + matrix[3, 2] * z + matrix[3, 3] + SHADOW_BIAS_M
    i, j = int(floor(row)), int(floor(col))
    if i < 0 or j < 0 or i + 1 >= nearness.shape[0] or j + 1 >= nearness.shape[1]:
        return 1.0
    t, s = row - i, col - j
    top = (1.0 - s) * (near > nearness[i, j]) + s * (near > nearness[i, j + 1])
    bottom = (1.0 - s) * (near > nearness[i + 1, j]) + s * (near > nearness[i + 1, j + 1])
    return top * (1.0 - t) + bottom * t


@kernel
def _sky_share(place: F64, normal: F64, frame: F64, visible: F32, top_m: F32) -> float:
    """Share of the sky that a place sees: from the map where it is topmost, less under cover, less near the ground."""
    rows, cols = visible.shape
    x, y = place[0] + 1.0 * normal[0], place[1] + 1.0 * normal[1]
    col = (x - frame[0]) / frame[2] + 0.5 * (cols - 1)
    row = 0.5 * (rows - 1) - (y - frame[1]) / frame[2]
    i, j = int(floor(row)), int(floor(col))
    if i < 0 or j < 0 or i + 1 >= rows or j + 1 >= cols:
        return 1.0
    t, s = row - i, col - j
    share = 0.0
    for k in range(4):
        r, c = i + k // 2, j + k % 2
        weight = (t if k // 2 else 1.0 - t) * (s if k % 2 else 1.0 - s)
        above = place[2] - top_m[r, c]
        open_sky = visible[r, c] + (1.0 - visible[r, c]) * min(max(above / 15.0, 0.0), 1.0)
        share += weight * (UNDER_COVER + (open_sky - UNDER_COVER) * ramp(above, -1.2, -0.2))
    return share


@kernel
def _beyond(
    direction: F64, eye: F64, toward_sun: F64, sky: F64, cloud: float, haze_m: float, lit: F64, seed: int, out: F64
) -> None:
    """Radiance where no triangle is, in a direction (unit) from the eye."""
    x, y, z = direction[0], direction[1], direction[2]
    if z < -0.0005 or eye[3] == 0.0:
        if eye[3] == 0.0:  # a parallel view from above: ``eye`` holds the pixel's own place
            distance, px, py = 0.0, eye[0], eye[1]
        else:
            distance = -max(eye[2], 0.1) / z
            px, py = eye[0] + distance * x, eye[1] + distance * y
        paint_land(px, py, 0.2 + 0.002 * distance, out)
        for c in range(3):
            out[c] = out[c] * out[c] * lit[c]
        covered = exp(-distance / haze_m)
        for c in range(3):
            out[c] = sky[1, c] * 0.75 + (out[c] - sky[1, c] * 0.75) * covered
        return
    sky_radiance(x, y, max(z, 0.0), toward_sun, sky, cloud, seed, out)
    share = skyline(x, y, z, seed)
    if share > 0.0:
        colour = np.empty(3)
        skyline_colour(x, y, z, seed, colour)
        covered = 0.72 * share
        for c in range(3):
            far = colour[c] * colour[c] * lit[c] * 0.6
            out[c] = out[c] * (1.0 - share) + share * sky[1, c] * 0.45 * (1 - 0.72) + covered * far


@kernel
def _shade(
    matrix: F64,
    inverse_matrix: F64,
    eye: F64,
    m_per_px: float,
    xyz_m: F32,
    uv_m: F32,
    material: U8,
    rgb: U8,
    seed: U32,
    triangle: I32,
    toward_sun: F64,
    colours: F64,
    weather: F64,
    light_seed: int,
    sun_matrix: F64,
    sun_nearness: F32,
    sky_frame: F64,
    sky_visible: F32,
    sky_top_m: F32,
    texels: U8,
    table: I64,
    corner_m: F64,
    cell_m: float,
    out: F32,
) -> None:
    height, width = triangle.shape
    corners, inverse, normal = np.empty((3, 3)), np.empty((3, 3)), np.zeros(3)
    place, toward_eye, direction = np.empty(3), np.empty(3), np.empty(3)
    colour, mirrored, lit = np.empty(3), np.empty(3), np.empty(3)
    land_eye = np.empty(4)
    sun, ambient, sky = colours[0], colours[1], colours[2:4]
    cloud, shadow_strength, wetness, haze_m = weather[0], weather[1], weather[2], weather[3]
    for c in range(3):
        lit[c] = ambient[c] + sun[c] * max(toward_sun[2], 0.0)
    current = -1
    for row in range(height):
        for col in range(width):
            px, py = col + 0.5, row + 0.5
            t = triangle[row, col]
            if t < 0:
                _look_beyond(inverse_matrix, eye, px, py, direction, land_eye)
                _beyond(direction, land_eye, toward_sun, sky, cloud, haze_m, lit, light_seed, mirrored)
                for c in range(3):
                    out[row, col, c] = mirrored[c]
                continue
            if t != current:
                current = t
                edge_functions(matrix, xyz_m[t], corners, inverse)
                _normal(xyz_m[t], normal)
            # where on the triangle, and how it lies to the viewer
            total, u, v = 0.0, 0.0, 0.0
            place[:] = 0.0
            for c in range(3):
                b = inverse[c, 0] * px + inverse[c, 1] * py + inverse[c, 2]
                total += b
                u += b * uv_m[t, c, 0]
                v += b * uv_m[t, c, 1]
                for axis in range(3):
                    place[axis] += b * xyz_m[t, c, axis]
            u, v = u / total, v / total
            distance = 0.0
            for axis in range(3):
                place[axis] /= total
                toward_eye[axis] = eye[axis] - place[axis] * eye[3]
                distance += toward_eye[axis] * toward_eye[axis]
            distance = sqrt(distance)
            facing = 0.0
            for axis in range(3):
                toward_eye[axis] /= distance
                facing += normal[axis] * toward_eye[axis]
            if facing < 0.0:
                facing = -facing
                for axis in range(3):
                    normal[axis] = -normal[axis]
            soft = m_per_px / total
            kind = int(material[t])
            # the surface's own colour
            mirror = 0.0
            if kind == GROUND:
                flat = sqrt(toward_eye[0] ** 2 + toward_eye[1] ** 2) + 1e-9
                long_m = soft / max(facing, 0.004)
                along_x, along_y = long_m * toward_eye[0] / flat, long_m * toward_eye[1] / flat
                if long_m <= 1.5 * soft:
                    along_x, along_y = 0.0, 0.0
                paint_ground(
                    texels, table, corner_m, cell_m, place[0], place[1], along_x, along_y, soft, colour
                )
                green = ramp(colour[1] - 0.5 * (colour[0] + colour[2]), 0.01, 0.05)
                for c in range(3):
                    colour[c] *= 1.0 + (colours[5, c] - 1.0) * green
                wet = wetness * (1.0 - green) * ramp(noise2(place[0] * 0.4, place[1] * 0.4, 23), 0.15, 0.7)
                for c in range(3):
                    colour[c] *= 1.0 - 0.3 * wet
                mirror = (0.05 + 0.6 * wet) * (1.0 - green) * (1.0 - min(facing, 1.0)) ** 5
            else:
                for c in range(3):
                    colour[c] = rgb[t, c] / 255.0
                mirror = paint(kind, u, v, place, seed[t], colour, soft / max(facing, 0.15))
                if kind == FOLIAGE or kind == HEDGE:
                    for c in range(3):
                        colour[c] *= colours[4, c]
                if mirror > 0.0:  # Fresnel: everything mirrors more at a glance
                    mirror *= 0.25 + 0.75 * (1.0 - min(facing, 1.0)) ** 3
            # sun and sky on it
            toward = normal[0] * toward_sun[0] + normal[1] * toward_sun[1] + normal[2] * toward_sun[2]
            if kind == FOLIAGE or kind == HEDGE:  # leaves scatter the light and let some through
                toward = 0.35 + 0.5 * toward
            direct = 0.0
            if toward > 0.0:
                direct = toward
                if shadow_strength > 0.0:
                    direct *= 1.0 - shadow_strength * (1.0 - _sunlit(place, normal, sun_matrix, sun_nearness))
            share = 1.0
            if shadow_strength > 0.0:
                share = _sky_share(place, normal, sky_frame, sky_visible, sky_top_m)
                share = 1.0 - shadow_strength * (1.0 - share)
            share *= 0.62 + 0.38 * normal[2]
            for c in range(3):
                bounce = 0.10 * lit[c] * (1.0 - normal[2]) * 0.5
                colour[c] = colour[c] * colour[c] * (sun[c] * direct + ambient[c] * share + bounce * share)
            if mirror > 0.001:
                _mirror(normal, toward_eye, facing, toward_sun, sky, cloud, lit, light_seed, direct, sun, mirrored)
                for c in range(3):
                    colour[c] += mirror * mirrored[c] * (0.35 + 0.65 * share)
            if eye[3] != 0.0:
                clear = exp(-distance / haze_m)
                for c in range(3):
                    colour[c] = colour[c] * clear + (1.0 - clear) * 0.6 * sky[1, c]
            for c in range(3):
                out[row, col, c] = colour[c]


@kernel
def _look_beyond(inverse_matrix: F64, eye: F64, px: float, py: float, direction: F64, land_eye: F64) -> None:
    """Direction of a pixel's line of sight, and where it starts (parallel views: where it meets height zero)."""
    if eye[3] == 0.0:
        for axis in range(3):
            direction[axis] = -eye[axis]
            land_eye[axis] = inverse_matrix[axis, 0] * px + inverse_matrix[axis, 1] * py + inverse_matrix[axis, 2]
        land_eye[3] = 0.0
        return
    length = 0.0
    for axis in range(3):
        seen = inverse_matrix[axis, 0] * px + inverse_matrix[axis, 1] * py + inverse_matrix[axis, 2]
        direction[axis] = seen
        length += seen * seen
    for axis in range(3):
        direction[axis] /= sqrt(length)
    land_eye[:] = eye


@kernel
def _normal(xyz_m: F32, normal: F64) -> None:
    """Unit normal of a triangle, [3, 3] corners."""
    ax, ay, az = xyz_m[1, 0] - xyz_m[0, 0], xyz_m[1, 1] - xyz_m[0, 1], xyz_m[1, 2] - xyz_m[0, 2]
    bx, by, bz = xyz_m[2, 0] - xyz_m[0, 0], xyz_m[2, 1] - xyz_m[0, 1], xyz_m[2, 2] - xyz_m[0, 2]
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = max(sqrt(x * x + y * y + z * z), 1e-12)
    normal[0], normal[1], normal[2] = x / length, y / length, z / length


@kernel
def _mirror(
    normal: F64,
    toward_eye: F64,
    facing: float,
    toward_sun: F64,
    sky: F64,
    cloud: float,
    lit: F64,
    seed: int,
    direct: float,
    sun: F64,
    out: F64,
) -> None:
    """What a smooth surface mirrors: the sky, the houses opposite at the horizon, the sun's glint."""
    x = 2.0 * facing * normal[0] - toward_eye[0]
    y = 2.0 * facing * normal[1] - toward_eye[1]
    z = 2.0 * facing * normal[2] - toward_eye[2]
    sky_radiance(x, y, max(z, 0.0), toward_sun, sky, 0.0, seed, out)
    opposite = 1.0 - ramp(z, 0.1, 0.35)
    glint = max(x * toward_sun[0] + y * toward_sun[1] + z * toward_sun[2], 0.0) ** 60
    for c in range(3):
        out[c] += (0.12 * lit[c] - out[c]) * 0.8 * opposite
        out[c] = min(out[c], 2.0)
        if direct > 0.0:
            out[c] += 3.0 * glint * sun[c]
