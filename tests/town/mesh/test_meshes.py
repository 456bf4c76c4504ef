"""Laws of the single things: they stand on the ground, have a sensible size, and differ by their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from cvlnet.town.mesh.barriers import barrier_mesh
from cvlnet.town.mesh.buildings import building_mesh
from cvlnet.town.mesh.furniture import MAKERS, prop_mesh
from cvlnet.town.mesh.vegetation import tree_mesh
from cvlnet.town.mesh.vehicles import vehicle_mesh
from cvlnet.town.plan import Barrier, Building, Prop, Tree
from cvlnet.town.polygons import rectangle
from cvlnet.town.scene import Material

SIZES_M = {
    "car": (3.2, 5.2),
    "van": (4.5, 6.5),
    "truck": (5.5, 10.0),
    "trailer": (2.0, 6.6),
    "bus": (11.5, 12.5),
    "cyclist": (1.4, 2.2),
}


@pytest.mark.parametrize("kind", SIZES_M)
def test_vehicles_have_their_size_and_stand_on_wheels(kind: str) -> None:
    for seed in range(10):
        mesh = vehicle_mesh(kind, np.random.default_rng(seed))
        low, high = mesh.xyz_m.reshape(-1, 3).min(axis=0), mesh.xyz_m.reshape(-1, 3).max(axis=0)
        assert SIZES_M[kind][0] < high[0] - low[0] < SIZES_M[kind][1]
        assert high[1] - low[1] < 2.7
        assert abs(low[2]) < 0.02
        assert Material.TYRE in mesh.material
        assert len(mesh) < 200


@pytest.mark.parametrize("kind", ["broadleaf", "young", "conifer", "poplar", "bush"])
def test_trees_have_their_height(kind: str) -> None:
    for seed in range(5):
        mesh = tree_mesh(Tree((0.0, 0.0), kind, 8.0, 5.0, (70, 90, 40), seed, near_street=True))  # type: ignore[arg-type]
        assert 5.5 < mesh.xyz_m[..., 2].max() < 10.5
        assert np.abs(mesh.xyz_m[..., :2]).max() < 4.5
        assert len(mesh) < 220


@pytest.mark.parametrize("roof", ["gable", "hip", "flat", "shed", "mansard", "sawtooth"])
@pytest.mark.parametrize("along", [True, False])
def test_roofs_lie_on_the_walls(roof: str, along: bool) -> None:
    corners = rectangle(14.0, 10.0, (3.0, -2.0), 0.4)
    plaster, tiles = Material.PLASTER_FACADE, Material.ROOF_TILES
    house = Building(corners, 6.0, 3.0, roof, along, 0.4, plaster, (200, 190, 170), tiles, (140, 80, 60), 5)  # type: ignore[arg-type]
    mesh = building_mesh(house, ground_m=1.0)
    covering = mesh.selected(mesh.material == Material.ROOF_TILES)
    assert len(covering) >= 2
    assert covering.xyz_m[..., 2].min() > 1.0 + 6.0 - 0.6
    assert covering.xyz_m[..., 2].max() < 1.0 + 6.0 + 3.1
    walls = mesh.selected(mesh.material == Material.PLASTER_FACADE)
    assert walls.xyz_m[..., 2].min() < 1.0
    assert np.allclose(walls.uv_m[..., 1], walls.xyz_m[..., 2] - 1.0, atol=1e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_props_stand_at_their_origin(name: str) -> None:
    mesh = prop_mesh(Prop(name, (0.0, 0.0), 0.0, (100, 100, 100), 3))
    assert mesh.xyz_m[..., 2].min() < 0.6
    assert np.isfinite(mesh.uv_m).all()


@pytest.mark.parametrize("kind", ["hedge", "wood_fence", "mesh_fence", "wall", "brick_wall"])
def test_barriers_follow_the_ground(kind: str) -> None:
    line = np.array([[0.0, 0.0], [20.0, 0.0]])
    barrier = Barrier(line, kind, 1.5, (80, 90, 60), 1)  # type: ignore[arg-type]
    mesh = barrier_mesh(barrier, lambda xy: xy[:, 0] * 0.05)
    right_end = mesh.xyz_m[mesh.xyz_m[..., 0] > 19.9]
    assert right_end[:, 2].max() == pytest.approx(2.5, abs=0.4)
