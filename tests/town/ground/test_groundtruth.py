"""Label maps: what is painted and built where the plan says, and what the overhead picture shows there."""

import numpy as np
import pytest

from cvlnet.grid import Grid
from cvlnet.labels import Label
from cvlnet.town.dataset.build import build_town
from cvlnet.town.ground.groundtruth import draw_labels, label_grid
from cvlnet.town.layout.blueprint import draw_blueprint
from cvlnet.town.presets import Nuisances, TownConfig
from cvlnet.town.render.overhead import render_overhead

CONFIG = TownConfig(seed=7, size_m=220.0, drives=3, frames_per_drive=12, nuisances=Nuisances.none())
BLUEPRINT = draw_blueprint(CONFIG)


@pytest.fixture(scope="module")
def labels():
    return draw_labels(BLUEPRINT)


def at(labels, xy_m):
    """The bytes at places, [N, 2]."""
    grid = label_grid(CONFIG)
    col = np.floor(grid.cols / 2 + xy_m[:, 0] / grid.cell_m).astype(int)
    row = np.floor(grid.rows / 2 - xy_m[:, 1] / grid.cell_m).astype(int)
    return labels[row, col]


def test_surfaces_exclude_each_other(labels):
    held = [(labels & label.bit) > 0 for label in (Label.ROAD, Label.PAVED, Label.GREEN)]
    assert np.add.reduce(held, dtype=int).max() == 1
    assert np.mean(np.any(held, axis=0)) > 0.98


def test_cars_drive_on_roads(labels):
    _, drives = build_town(BLUEPRINT)
    ways = np.concatenate([drive.xyz_m[:, :2] for drive in drives])
    assert np.mean(at(labels, ways) & Label.ROAD.bit > 0) > 0.95


def test_what_is_planned_is_there(labels):
    plan = BLUEPRINT.plan
    middles = np.array([building.corners_m.mean(axis=0) for building in plan.buildings])
    trees = np.array([tree.xy_m for tree in plan.trees])
    assert (at(labels, middles) & Label.BUILDING.bit > 0).all()
    assert (at(labels, trees) & Label.TREE.bit > 0).all()  # nothing is altered without nuisances
    assert not (at(labels, middles) & Label.ROAD.bit).any()


def test_the_overhead_picture_is_green_where_the_labels_say(labels):
    scene, _ = build_town(BLUEPRINT)
    cell_m = label_grid(CONFIG).cell_m
    side = round(CONFIG.size_m / cell_m / 2) * 2 - 20
    grid = Grid(side, side, cell_m)
    picture = render_overhead(scene, grid, CONFIG.nuisances, np.random.default_rng(0)).astype(float)
    margin = (len(labels) - side) // 2
    inner = labels[margin:-margin, margin:-margin]
    greenness = picture[..., 1] - picture[..., [0, 2]].mean(axis=-1)
    assert greenness[inner == Label.GREEN.bit].mean() > greenness[inner == Label.ROAD.bit].mean() + 10
