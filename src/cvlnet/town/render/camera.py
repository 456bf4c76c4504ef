"""The camera's frames in linear light: culling, z-buffer, shading. `photo` adds what a real camera does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Float32, Float64

from cvlnet.geometry import Camera, Pose
from cvlnet.town.render.raster import empty_picture, rasterise
from cvlnet.town.render.shade import shade
from cvlnet.town.render.stage import Stage
from cvlnet.town.render.view import View, perspective
from cvlnet.town.scene import Mesh, MovingObject

FARTHEST_M = 260.0  # farther triangles are not drawn; the skyline replaces them


def seen_by(stage: Stage, view: View) -> Mesh:
    """Triangles of all buckets that reach into a perspective view, nearest bucket first."""
    sides = np.stack([stage.low_m, stage.high_m]).astype(np.float64)  # [2, B, 3]
    boxes = np.stack([sides[corner, :, range(3)].T for corner in product((0, 1), repeat=3)])  # [8, B, 3]
    x, y, w = np.moveaxis(boxes @ view.matrix[:3, :3].T + view.matrix[:3, 3], -1, 0)
    outside = (w < view.nearest).all(0) | (w > FARTHEST_M).all(0)
    outside |= (x < 0).all(0) | (x > view.width_px * w).all(0)
    outside |= (y < 0).all(0) | (y > view.height_px * w).all(0)
    chosen = np.flatnonzero(~outside)
    chosen = chosen[np.argsort(w.min(0)[chosen], kind="stable")]
    ranges = [np.arange(stage.first[b], stage.first[b + 1]) for b in chosen]
    return stage.mesh.selected(np.concatenate(ranges) if ranges else np.zeros(0, np.int64))


def render_camera(
    stage: Stage, camera: Camera, world_from_cam: Pose, moving: Sequence[Mesh] = ()
) -> tuple[Float32[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"]]:
    """Linear RGB radiance and depth in metres (inf where there is no triangle) of a frame.

    moving: meshes of moving objects at their present positions; they cast shadows, too.
    """
    view = perspective(camera, world_from_cam)
    nearness, triangle = empty_picture(view)
    mesh = Mesh.join([*moving, seen_by(stage, view)])
    rasterise(view, mesh, nearness, triangle, stage.lighting.light.leafless)
    sun = stage.lighting.sun_map
    with_shadows = _cast(sun.view, sun.nearness, moving)
    radiance = shade(view, mesh, triangle, stage.lighting)
    for (rows, cols), before in reversed(with_shadows):
        sun.nearness[rows, cols] = before
    return radiance, np.where(triangle < 0, np.inf, 1.0 / np.where(triangle < 0, 1.0, nearness)).astype(np.float32)


def _cast(
    view: View, nearness: Float32[np.ndarray, "height width"], moving: Sequence[Mesh]
) -> list[tuple[tuple[slice, slice], Float32[np.ndarray, "_ _"]]]:
    """Draw moving objects into the sun map; returns the windows changed, with their previous contents."""
    undo = []
    for mesh in moving:
        corners = mesh.xyz_m.reshape(-1, 3).astype(np.float64)
        xy = corners @ view.matrix[:2, :3].T + view.matrix[:2, 3]
        (left, top), (right, bottom) = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int)
        rows, cols = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
        window = nearness[rows, cols]
        if window.size == 0:
            continue
        undo.append(((rows, cols), window.copy()))
        drawn = window.copy()
        shift = np.eye(4)
        shift[0, 2], shift[1, 2] = -cols.start, -rows.start
        triangle = np.full(window.shape, -1, np.int32)
        part = View(shift @ view.matrix, view.eye, view.m_per_px, window.shape[1], window.shape[0], view.nearest)
        rasterise(part, mesh, drawn, triangle)
        nearness[rows, cols] = drawn
    return undo


def present_mesh(thing: MovingObject, time_s: float, height_m: Float64[np.ndarray, " times"]) -> Mesh | None:
    """Mesh of a moving object at a time, or None outside its time span.

    height_m: of the ground at each point of its trajectory.
    """
    if not thing.time_s[0] <= time_s <= thing.time_s[-1]:
        return None
    x, y = (float(np.interp(time_s, thing.time_s, thing.xy_m[:, axis])) for axis in (0, 1))
    z = float(np.interp(time_s, thing.time_s, height_m))
    yaw_rad = float(np.interp(time_s, thing.time_s, np.unwrap(thing.yaw_rad)))
    return thing.mesh.moved((x, y, z), yaw_rad)
