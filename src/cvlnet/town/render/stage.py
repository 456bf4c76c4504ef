"""A scene made ready for drawing: triangles in a bucket grid, shadows, ground texture. Done once a drive or flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from cvlnet.town.render.ground_texture import ground_mesh, ground_texels
from cvlnet.town.render.light import Light, sky_map, sun_map
from cvlnet.town.render.shade import Lighting
from cvlnet.town.scene import Ground, Mesh

BUCKET_M = 24.0  # edge of the squares by which far triangles are left out together
SUN_CELL_M = 0.2
SKY_CELL_M = 1.0


@dataclass(frozen=True)
class Stage:
    """A scene made ready for drawing: triangles sorted by bucket, and the light of one drive or flight.

    first: start of each bucket's triangles in ``mesh``, [B + 1]. low_m, high_m: what each bucket spans, [B, 3].
    """

    mesh: Mesh
    first: Int64[np.ndarray, " starts"]
    low_m: Float32[np.ndarray, "starts-1 3"]
    high_m: Float32[np.ndarray, "starts-1 3"]
    lighting: Lighting


def prepare(meshes: Sequence[Mesh], ground: Ground, light: Light) -> Stage:
    """Everything that stays as it is while a drive or flight is drawn."""
    mesh, first = _in_buckets(Mesh.join([ground_mesh(ground), *meshes]))
    corners = mesh.xyz_m.reshape(len(mesh), 3, 3)
    low_m = np.minimum.reduceat(corners.min(1), first[:-1])
    high_m = np.maximum.reduceat(corners.max(1), first[:-1])
    size_m = max(ground.albedo_grid.size_m)
    lighting = Lighting(
        light,
        sun_map(mesh, light.toward_sun, SUN_CELL_M, light.leafless),
        sky_map(mesh, size_m, SKY_CELL_M, light.leafless),
        ground_texels(ground),
    )
    return Stage(mesh, first, low_m, high_m, lighting)


def _in_buckets(mesh: Mesh) -> tuple[Mesh, Int64[np.ndarray, " starts"]]:
    """The triangles sorted by the bucket of their middle, and where each bucket starts."""
    middle = mesh.xyz_m.mean(axis=1)[:, :2]
    east, north = np.floor(middle / BUCKET_M).astype(np.int64).T
    key = (east - east.min()) * (int(np.ptp(north)) + 1) + north - north.min()
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return mesh.selected(order), np.append(starts, len(mesh))
