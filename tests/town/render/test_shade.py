"""Colours of the ground and of leaves in dry summers and in autumn."""

from dataclasses import replace

import numpy as np
import pytest
from handmade import F64, even_light, ground, quad

from cvlnet.grid import Grid
from cvlnet.town.render.light import Autumn, sun_direction
from cvlnet.town.render.raster import empty_picture, rasterise
from cvlnet.town.render.shade import shade
from cvlnet.town.render.stage import prepare
from cvlnet.town.render.view import from_above
from cvlnet.town.scene import Ground, Material, Mesh

GRASS, PAVING = (90, 100, 62), (140, 138, 134)
NOTHING = Mesh.join([])
AUTUMN = Autumn(dry=0.7, litter=0.7, turned=0.5)


def coloured(rgb: tuple[int, int, int]) -> Ground:
    plain = ground(size_m=30.0)
    return replace(plain, albedo=np.full_like(plain.albedo, rgb))


def radiance(autumn: Autumn, rgb: tuple[int, int, int] = GRASS, crowns: Mesh = NOTHING) -> F64:
    """What is seen from above: linear RGB, [100, 100, 3] at 0.2 m."""
    stage = prepare([crowns], coloured(rgb), replace(even_light(sun_direction(1.0, 1.0)), autumn=autumn))
    view = from_above(Grid(100, 100, 0.2))
    nearness, triangle = empty_picture(view)
    rasterise(view, stage.mesh, nearness, triangle)
    return shade(view, stage.mesh, triangle, stage.lighting).astype(np.float64)


def greenness(seen: F64) -> F64:
    return np.asarray((seen[..., 1] - seen[..., [0, 2]].mean(axis=-1)) / seen.mean(axis=-1))


def test_drought_leaves_patches_of_straw_and_soil_in_grass_and_paved_ground_as_it_is() -> None:
    green, shares = greenness(radiance(Autumn())), []
    for dry in (0.2, 0.5, 1.0):
        worn = greenness(radiance(Autumn(dry=dry)))
        shares.append(float(np.mean(worn < 0.5 * green.mean())))
    assert shares == sorted(shares)
    assert shares[0] < 0.15 < shares[1] < 0.6 < shares[2]
    np.testing.assert_array_equal(radiance(Autumn(dry=1.0), PAVING), radiance(Autumn(), PAVING))


@pytest.mark.parametrize("rgb", [GRASS, PAVING])
def test_fallen_leaves_are_browner_than_the_ground(rgb: tuple[int, int, int]) -> None:
    before, after = radiance(Autumn(), rgb), radiance(Autumn(litter=0.8), rgb)
    redder = after[..., 0] / after[..., 2] - before[..., 0] / before[..., 2]
    assert redder.min() > -0.02
    assert redder.max() > 0.3


def test_paved_ground_is_swept() -> None:
    def covered(rgb: tuple[int, int, int]) -> float:
        before, after = radiance(Autumn(), rgb), radiance(Autumn(litter=0.8), rgb)
        return float(np.mean(np.abs(after - before).sum(axis=-1) > 0.15 * before.sum(axis=-1)))

    assert 0 < 2 * covered(PAVING) < covered(GRASS)


def test_a_share_of_the_trees_turns() -> None:
    def turned(share: float, material: Material = Material.FOLIAGE) -> int:
        crowns = [
            quad((x, y, 3.0), (x + 1.0, y, 3.0), (x + 1.0, y + 1.0, 3.0), (x, y + 1.0, 3.0), material, 70, seed)
            for seed, (x, y) in enumerate(np.ndindex(8, 8))
        ]
        before, after = (
            radiance(Autumn(), crowns=Mesh.join(crowns)),
            radiance(Autumn(turned=share), crowns=Mesh.join(crowns)),
        )
        changed = np.abs(after - before).sum(axis=-1) > 1e-4
        assert (after[changed][:, 0] > after[changed][:, 2]).all()
        return round(float(changed.sum()) * 0.04)

    assert turned(0.0) == 0
    assert 20 < turned(0.5) < 44
    assert turned(1.0) > 50
    assert turned(1.0, Material.TYRE) == 0


def test_without_autumn_nothing_changes_and_with_it_every_picture_is_the_same_again() -> None:
    np.testing.assert_array_equal(radiance(AUTUMN), radiance(AUTUMN))
    assert np.ptp(greenness(radiance(Autumn()))) < 0.2 < np.ptp(greenness(radiance(AUTUMN)))
