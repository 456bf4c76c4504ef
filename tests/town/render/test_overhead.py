"""The overhead picture: true to the grid without nuisances, shifted by strips with them."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from handmade import blotched_ground, box

from cvlnet.grid import Grid
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.overhead import plan_flight, render_overhead
from cvlnet.town.scene import Mesh, Scene

NOTHING = Mesh.join([])
GRID = Grid(240, 250, 0.2)


def picture(nuisances: Nuisances, seed: int = 1) -> npt.NDArray[np.uint8]:
    tower = box((2, 2, 0), (6, 6, 8), grey=240)
    scene = Scene(blotched_ground(), tower, NOTHING, NOTHING, NOTHING)
    return render_overhead(scene, GRID, nuisances, np.random.default_rng(seed))


def test_without_nuisances_the_ground_lies_on_its_cells() -> None:
    seen = picture(Nuisances.none()).astype(float)
    albedo = blotched_ground().albedo
    expected = cv2.resize(albedo, (300, 300), interpolation=cv2.INTER_AREA)[30:270, 25:275].astype(float)
    assert np.corrcoef(seen[150:, :, 1].ravel(), expected[150:, :, 1].ravel())[0, 1] > 0.97
    assert seen[120 - 30 : 120 - 10, 125 + 10 : 125 + 30].mean() > 200  # the tower's lid, where it stands
    assert np.ptp(seen[120 - 28 : 120 - 12, 125 + 12 : 125 + 28]) < 60


def test_the_same_seed_gives_the_same_picture_and_another_another() -> None:
    np.testing.assert_array_equal(picture(Nuisances(), 1), picture(Nuisances(), 1))
    assert not np.array_equal(picture(Nuisances(), 1), picture(Nuisances(), 2))


def test_strips_cover_the_picture_side_by_side() -> None:
    for seed in range(20):
        strips = plan_flight(np.random.default_rng(seed), Nuisances(), 3000, 0.2).strips
        assert 1 <= len(strips) <= 3
        edges = [(strip.first_px, strip.stop_px) for strip in strips]
        assert edges[0][0] == 0
        assert edges[-1][1] == 3000
        assert all(a[1] == b[0] for a, b in pairwise(edges))


@pytest.mark.parametrize(("strength", "expected_m"), [(0.0, 0.0), (1.0, 1.5), (2.0, 3.0)])
def test_misregistration_has_the_size_that_it_claims(strength: float, expected_m: float) -> None:
    nuisances = Nuisances(misregistration=strength)
    offsets = [
        strip.offset_m
        for seed in range(300)
        for strip in plan_flight(np.random.default_rng(seed), nuisances, 3000, 0.2).strips
    ]
    assert np.sqrt((np.array(offsets) ** 2).sum(1).mean()) == pytest.approx(expected_m, rel=0.1)


@pytest.mark.parametrize("name", ["oblique", "coarse", "seams", "overhead_text"])
def test_what_is_asked_for_is_seen(name: str) -> None:
    asked = replace(Nuisances.none(), **{name: 10.0})
    assert not np.array_equal(picture(Nuisances.none(), 1), picture(asked, 1))


def test_oblique_flights_lean_far_and_others_little() -> None:
    def leans(nuisances: Nuisances) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        flights = [plan_flight(np.random.default_rng(seed), nuisances, 3000, 0.2) for seed in range(100)]
        return np.array([np.abs(strip.lean).max() for flight in flights for strip in flight.strips])

    assert leans(Nuisances()).max() <= 0.06
    slanted = leans(Nuisances(oblique=1.0))
    assert 0.15 < (slanted > 0.06).mean() < 0.4
    assert slanted.max() <= 0.25
    assert leans(Nuisances.none()).max() == 0


@pytest.mark.parametrize("seed", [1, 3])
def test_pixels_that_are_wanted_are_those_of_the_whole_picture(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.town.render.overhead.CHUNK_PX", 32)
    nuisances = replace(Nuisances(), coarse=10.0, overhead_blur=2.0)
    scene = Scene(blotched_ground(), box((2, 2, 0), (6, 6, 8), grey=240), NOTHING, NOTHING, NOTHING)
    wanted = np.zeros((GRID.rows, GRID.cols), bool)
    wanted[130:180, 96:160] = True
    part = render_overhead(scene, GRID, nuisances, np.random.default_rng(seed), wanted)
    whole = render_overhead(scene, GRID, nuisances, np.random.default_rng(seed))
    np.testing.assert_array_equal(part[wanted], whole[wanted])
    assert not np.array_equal(part, whole)
