"""Preparation of a scene, once for a drive or flight: triangles in a bucket grid, shadow maps, ground texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from cvlnet.town.render.ground_texture import Texels, ground_mesh, ground_texels
from cvlnet.town.render.light import Light, sky_map, sun_map
from cvlnet.town.render.shade import Lighting
from cvlnet.town.scene import Ground, Mesh

BUCKET_M = 24.0  # edge of the square buckets by which triangles are culled
SUN_CELL_M = 0.2
SKY_CELL_M = 1.0


@dataclass(frozen=True)
class Stage:
    """A scene prepared for rendering: triangles sorted by bucket, and the lighting of a drive or flight.

    first: index of each bucket's first triangle in ``mesh``, and the end. low_m, high_m: bounding box of each bucket.
    """

    mesh: Mesh
    first: Int64[np.ndarray, " starts"]
    low_m: Float32[np.ndarray, "starts-1 3"]
    high_m: Float32[np.ndarray, "starts-1 3"]
    lighting: Lighting


@dataclass(frozen=True)
class Setting:
    """A scene prepared for any light: what `Stage` says of it, and the ground's albedo."""

    mesh: Mesh
    first: Int64[np.ndarray, " starts"]
    low_m: Float32[np.ndarray, "starts-1 3"]
    high_m: Float32[np.ndarray, "starts-1 3"]
    texels: Texels
    size_m: float


def prepare(meshes: Sequence[Mesh], ground: Ground, light: Light) -> Stage:
    """Prepare what all pictures of a drive or flight have in common."""
    return lit(arrange(meshes, ground), light)


def arrange(meshes: Sequence[Mesh], ground: Ground) -> Setting:
    """Prepare what all drives of a town have in common."""
    mesh, first = _in_buckets(Mesh.join([ground_mesh(ground), *meshes]))
    corners = mesh.xyz_m.reshape(len(mesh), 3, 3)
    low_m = np.minimum.reduceat(corners.min(1), first[:-1])
    high_m = np.maximum.reduceat(corners.max(1), first[:-1])
    return Setting(mesh, first, low_m, high_m, ground_texels(ground), max(ground.albedo_grid.size_m))


def lit(setting: Setting, light: Light) -> Stage:
    """Prepare a setting in a light."""
    lighting = Lighting(
        light,
        sun_map(setting.mesh, light.toward_sun, SUN_CELL_M, light.leafless),
        sky_map(setting.mesh, setting.size_m, SKY_CELL_M, light.leafless),
        setting.texels,
    )
    return Stage(setting.mesh, setting.first, setting.low_m, setting.high_m, lighting)


def _in_buckets(mesh: Mesh) -> tuple[Mesh, Int64[np.ndarray, " starts"]]:
    """Triangles sorted by the bucket of their centroid, and where each bucket starts."""
    middle = mesh.xyz_m.mean(axis=1)[:, :2]
    east, north = np.floor(middle / BUCKET_M).astype(np.int64).T
    key = (east - east.min()) * (int(np.ptp(north)) + 1) + north - north.min()
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return mesh.selected(order), np.append(starts, len(mesh))
