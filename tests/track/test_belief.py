"""The histogram filter: probabilities are kept, motion moves them exactly, evidence weighs them by hand."""

from __future__ import annotations

from math import cos, degrees, exp, hypot, pi, radians, sin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.grid import Grid
from cvlnet.localize.turned import Heading
from cvlnet.track.belief import Belief, blurred, shift

STEP_RAD = radians(5.0)
AROUND = Heading(None, pi).turns_rad(0.0)


def belief(side: int = 9, *, turns: tuple[float, ...] = (0.0,), cell_m: float = 2.0, share: float = 0.5) -> Belief:
    """Of a square grid, all places of which are searched."""
    return Belief(Grid(side, side, cell_m), torch.ones(side, side), turns, STEP_RAD, share)


def peaked(turn_rad: float = 0.0, *, side: int = 21, row: int | None = None, col: int | None = None) -> Belief:
    """All of it at one cell, by default in the middle."""
    found = belief(side, turns=(turn_rad,), share=1.0)
    places = found.layers[0].places.zero_()
    places[side // 2 if row is None else row, side // 2 if col is None else col] = 1.0
    return found


def total(of: Belief) -> float:
    return of.elsewhere + sum(layer.probability for layer in of.layers)


def by_turn(of: Belief) -> dict[int, float]:
    """Probability of every turn, in degrees."""
    return {round(degrees(layer.turn_rad)): layer.probability for layer in of.layers}


def test_all_searched_places_and_all_turns_are_as_likely_at_first() -> None:
    searched = torch.ones(3, 4)
    searched[0] = 0
    found = Belief(Grid(3, 4, 1.0), searched, (0.0, STEP_RAD), STEP_RAD, 0.4)
    assert found.elsewhere == pytest.approx(0.6)
    for layer in found.layers:
        torch.testing.assert_close(layer.places, searched * 0.4 / 2 / 8)
    assert found.turns_rad == (0.0, STEP_RAD)


motions = st.tuples(
    st.just("move"), st.floats(-30, 30), st.floats(-30, 30), st.floats(0, 60), st.floats(0, 0.9)
)  # m, m, m, share
leaks = st.tuples(st.just("leak"), st.floats(0, 1), st.floats(0, 1))
evidence = st.tuples(st.just("weigh"), st.integers(0, 1000))
positions = st.tuples(st.just("position"), st.floats(-50, 50), st.floats(-50, 50), st.floats(0.01, 50))


@given(st.lists(st.one_of(motions, leaks, evidence, positions), max_size=6), st.sampled_from([(0.0,), AROUND[::6]]))
@settings(deadline=None, max_examples=60)
def test_the_probabilities_are_never_negative_and_always_add_up_to_one(
    steps: list[tuple[object, ...]], turns: tuple[float, ...]
) -> None:
    found = belief(turns=turns)
    for kind, *values in steps:
        if kind == "move":
            found.move(*values)  # type: ignore[arg-type]
        elif kind == "leak":
            found.leak(*values)  # type: ignore[arg-type]
        elif kind == "weigh":
            torch.manual_seed(values[0])  # type: ignore[arg-type]
            found.weigh([torch.rand(9, 9) * 3 + 0.01 for _ in found.layers])
        else:
            found.weigh_position((values[0], values[1]), values[2], 0.01)  # type: ignore[arg-type]
        assert total(found) == pytest.approx(1, abs=1e-5)
        assert 0 <= found.elsewhere <= 1 + 1e-6
        assert all(float(layer.places.min()) >= -1e-9 for layer in found.layers)
        modes = found.modes()
        assert sum(mode.probability for mode in modes) <= 1 + 1e-5
        assert [mode.probability for mode in modes] == sorted((m.probability for m in modes), reverse=True)


def test_a_motion_of_whole_cells_moves_the_places() -> None:
    found = peaked(side=9)
    found.move(4.0, 2.0, 0.0, 0.0)  # two cells to the east, one to the north
    assert found.layers[0].places.nonzero().tolist() == [[3, 6]]
    assert found.layers[0].offset_m == pytest.approx([0, 0])


def test_what_is_less_than_a_cell_is_kept_for_the_next_motion() -> None:
    found = peaked(side=9)
    for _ in range(2):
        found.move(0.7, -0.4, 0.0, 0.0)
    assert found.layers[0].places.nonzero().tolist() == [[4, 5]]  # 1.4 m east are nearer to a cell than to none
    assert found.layers[0].offset_m == pytest.approx([-0.6, -0.8])
    assert found.modes()[0].xy_m == pytest.approx((1.4, -0.8))


def test_a_layer_moves_as_its_turn_says() -> None:
    found = peaked(pi / 2, side=9)
    found.move(2.0, 4.0, 0.0, 0.0)  # ahead and to the left of a frame that points north
    assert found.layers[0].places.nonzero().tolist() == [[3, 2]]


@given(
    st.floats(-pi, pi),
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_a_mode_moves_by_exactly_the_motion(turn: float, steps: list[tuple[float, float]]) -> None:
    found, expected_m = peaked(turn, side=31), np.zeros(2)
    for dx_m, dy_m in steps:
        found.move(dx_m, dy_m, 0.0, 0.0)
        expected_m += [cos(turn) * dx_m - sin(turn) * dy_m, sin(turn) * dx_m + cos(turn) * dy_m]
    (mode,) = found.modes()
    assert mode.xy_m == pytest.approx(expected_m, abs=1e-5)
    assert mode.probability == pytest.approx(1)
    assert cos(mode.mean[2] - turn) == pytest.approx(1)
    np.testing.assert_allclose(np.diag(mode.covariance), [4 / 12, 4 / 12, STEP_RAD**2 / 12], rtol=1e-4)


def test_what_leaves_the_grid_is_elsewhere() -> None:
    found = belief(4, share=0.8)
    found.move(0.0, 2.0, 0.0, 0.0)
    assert found.elsewhere == pytest.approx(0.2 + 0.8 / 4)  # one of four rows
    found.move(400.0, 0.0, 0.0, 0.0)
    assert found.elsewhere == pytest.approx(1)
    assert found.modes() == ()


def test_a_shift_beyond_the_edges_leaves_nothing() -> None:
    places, out = torch.arange(12.0).reshape(3, 4), torch.ones(3, 4)
    shift(places, 1, -2, out)
    assert out.tolist() == [[0, 0, 0, 0], [2, 3, 0, 0], [6, 7, 0, 0]]
    for down, right in ((3, 0), (-3, 0), (0, 4), (0, -5)):
        shift(places, down, right, out)
        assert not out.any()


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.7, 1.0, 1.4, 1.5, 2.2, 4.0, 9.5])
def test_a_blur_has_its_variance_and_loses_nothing(sigma: float) -> None:
    places = torch.zeros(81, 91)
    places[40, 45] = 1.0
    found, _ = blurred(places, torch.zeros_like(places), sigma)
    weights = found.double().numpy()
    assert weights.sum() == pytest.approx(1, abs=1e-3)
    assert weights.min() >= 0
    rows, cols = np.arange(81) - 40, np.arange(91) - 45
    variances = [weights.sum(axis=1) @ rows**2, weights.sum(axis=0) @ cols**2]
    assert variances == pytest.approx([sigma**2] * 2, rel=2e-3, abs=2e-6)
    assert [weights.sum(axis=1) @ rows, weights.sum(axis=0) @ cols] == pytest.approx([0, 0], abs=1e-4)
    assert rows @ weights @ cols == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_a_blur_is_a_gaussian(sigma: float) -> None:
    places = torch.zeros(31, 31)
    places[15, 15] = 1.0
    found, _ = blurred(places, torch.zeros_like(places), sigma)
    away = np.arange(31) - 15
    density = np.exp(-0.5 * (away / sigma) ** 2) / (np.sqrt(2 * pi) * sigma)
    np.testing.assert_allclose(found.sum(dim=0).numpy(), density, atol=0.03)


@pytest.mark.parametrize("sigma", [100.0, 1e4, 1e9])
def test_a_blur_that_is_wider_than_the_grid_leaves_little_there(sigma: float) -> None:
    places = torch.zeros(9, 12)
    places[3, 4] = 1.0
    found, _ = blurred(places, torch.zeros_like(places), sigma)
    assert 0 <= float(found.sum()) < 0.02


def test_a_wide_blur_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means over squares, and few of the small steps, whose number grows with the variance."""
    steps, plain = [], torch.mul
    monkeypatch.setattr(torch, "mul", lambda *args, **named: steps.append(1) or plain(*args, **named))
    places = torch.zeros(2001, 2)
    places[1000, 0] = 1.0
    found, _ = blurred(places, torch.zeros_like(places), 123.4)
    assert len(steps) <= 8
    weights = found.sum(dim=1).double().numpy()
    assert weights @ (np.arange(2001) - 1000) ** 2 / weights.sum() == pytest.approx(123.4**2, rel=1e-3)


def test_a_long_gap_is_elsewhere_for_the_most_part() -> None:
    found = peaked()
    found.move(0.0, 0.0, 1e7, 0.0)
    assert found.elsewhere > 0.98
    assert total(found) == pytest.approx(1)


def test_a_share_of_every_turn_goes_to_each_neighbour() -> None:
    found = peaked()
    found.move(0.0, 0.0, 0.0, 0.1)
    assert by_turn(found) == pytest.approx({0: 0.8, -5: 0.1, 5: 0.1})
    found.move(0.0, 0.0, 0.0, 0.1)
    assert by_turn(found) == pytest.approx({0: 0.66, -5: 0.16, 5: 0.16, -10: 0.01, 10: 0.01})


def test_much_of_a_turn_goes_further_than_to_its_neighbours() -> None:
    found = peaked()
    found.move(0.0, 0.0, 0.0, 0.5)
    assert by_turn(found) == pytest.approx({0: 0.375, -5: 0.25, 5: 0.25, -10: 0.0625, 10: 0.0625})


def test_a_new_turn_lies_where_the_one_lies_that_it_comes_from() -> None:
    found = peaked()
    found.move(0.7, 0.3, 0.0, 0.1)
    for layer in found.layers:
        assert layer.offset_m == pytest.approx([0.7, 0.3])
    found.layers[0].offset_m[0] = 0.0
    assert found.layers[1].offset_m[0] == 0.7  # is its own


def test_a_turn_that_holds_next_to_nothing_gives_nothing() -> None:
    found = peaked()
    found.move(0.0, 0.0, 0.0, 0.9e-5)
    assert by_turn(found) == {0: 1.0}


@pytest.mark.parametrize(
    "heading", [Heading(width_rad=radians(width)) for width in (2.5, 5.0, 7.5, 12.5, 17.0, 179.99)]
)
@pytest.mark.parametrize("offset_deg", [0.0, 1.3, 2.5, 177.0])
def test_every_heading_has_a_layer_whatever_it_begins_with(heading: Heading, offset_deg: float) -> None:
    turns = tuple(turn + radians(offset_deg) for turn in heading.turns_rad(0.0))
    step = turns[1] - turns[0]
    found = Belief(Grid(2, 2, 1.0), torch.ones(2, 2), turns, step, 1.0)
    closed = heading.width_rad > radians(179.0)  # the last turn is the first again
    assert len(found.turns_rad) == len(turns) - closed
    assert found.turns_rad[closed:] == pytest.approx(turns[closed : len(turns) - closed])
    found.move(0.0, 0.0, 0.0, 0.1)
    apart = np.diff(np.sort(np.mod(found.turns_rad, 2 * pi)))
    assert apart.min() > step * 0.9


@pytest.mark.parametrize("first", [-pi, -pi + 0.03, 0.4])
def test_turns_close_around_the_circle(first: float) -> None:
    """Half a turn to either side is one layer, and its neighbours are the last and the first of the others."""
    turns = tuple(first + 2 * pi * i / 72 for i in range(72))
    found = belief(3, turns=turns, share=1.0)
    for layer in found.layers:
        layer.places.zero_()
    found.layers[0].places[1, 1] = 1.0
    found.move(0.0, 0.0, 0.0, 0.1)
    assert len(found.layers) == 72
    shares = {at: layer.probability for at, layer in enumerate(found.layers) if layer.probability}
    assert shares == pytest.approx({0: 0.8, 1: 0.1, 71: 0.1})


def test_a_single_heading_reaches_around_the_circle_without_a_double() -> None:
    found = peaked(radians(178.0), side=3)
    for _ in range(80):
        found.move(0.0, 0.0, 0.0, 0.25)
    turns = np.sort(np.mod(np.degrees(found.turns_rad), 360))
    assert np.diff(turns).min() == pytest.approx(5)
    assert len(turns) <= 72
    assert all(-pi <= turn <= pi for turn in found.turns_rad)


def test_what_leaks_out_and_in() -> None:
    found = belief(2, turns=(0.0, STEP_RAD), share=0.6)
    found.leak(0.1, 0.25)
    assert found.elsewhere == pytest.approx(0.4 + 0.06 - 0.1)
    for layer in found.layers:
        torch.testing.assert_close(layer.places, torch.full((2, 2), (0.54 + 0.1) / 8))


def test_what_comes_from_elsewhere_may_have_any_heading_that_is_possible() -> None:
    found = belief(2, turns=(0.0, STEP_RAD), share=0.5)
    found.weigh([torch.full((2, 2), 1.0), torch.full((2, 2), 1e-9)])
    assert len(found.layers) == 1
    found.leak(0.0, 0.3)
    shares = by_turn(found)
    assert shares[5] == pytest.approx((1 - shares[0] - found.elsewhere), abs=1e-6)
    assert shares[5] == pytest.approx(0.3 * 2 / 3 / 2, rel=1e-3)  # elsewhere had two thirds


def test_what_comes_little_by_little_adds_up() -> None:
    """A step that gives a turn next to nothing counts for it later."""
    found = belief(2, turns=(0.0, STEP_RAD), share=0.0)
    assert found.layers == ()
    for _ in range(100):
        found.leak(0.0, 1e-6)
    assert len(found.layers) == 2
    assert 1 - found.elsewhere == pytest.approx(1e-4, rel=0.2)


def test_evidence_by_hand() -> None:
    """Nine places of 0.05 each, and elsewhere 0.55; one place is nine times as likely as elsewhere, one half as."""
    found = belief(3, share=0.45)
    ratio = torch.ones(3, 3)
    ratio[0, 1], ratio[2, 2] = 9.0, 0.5
    found.weigh([ratio])
    whole = 0.55 + 7 * 0.05 + 0.45 + 0.025
    assert found.elsewhere == pytest.approx(0.55 / whole)
    places = found.layers[0].places
    assert float(places[0, 1]) == pytest.approx(0.45 / whole)
    assert float(places[2, 2]) == pytest.approx(0.025 / whole)
    assert float(places[1, 1]) == pytest.approx(0.05 / whole)


def test_evidence_is_for_the_turns_in_their_order() -> None:
    found = belief(2, turns=(0.0, STEP_RAD), share=1.0)
    found.weigh([torch.full((2, 2), 1.0), torch.full((2, 2), 3.0)])
    assert by_turn(found) == pytest.approx({0: 0.25, 5: 0.75})
    with pytest.raises(ValueError, match="zip"):
        found.weigh([torch.ones(2, 2)])


def test_a_turn_that_became_impossible_is_followed_no_more() -> None:
    found = belief(2, turns=(0.0, STEP_RAD), share=0.5)
    found.weigh([torch.full((2, 2), 1.0), torch.full((2, 2), 1e-5)])
    assert by_turn(found).keys() == {0}
    assert total(found) == pytest.approx(1)
    found.weigh([torch.full((2, 2), 1e-7)])
    assert found.layers == ()
    assert found.modes() == ()
    assert found.near((0.0, 0.0)) == 0
    assert found.elsewhere == pytest.approx(1)


def test_a_measured_position_by_hand() -> None:
    """The place is half a cell away from the measurement; half a cell of doubt is added to that of the measurement."""
    found = belief(5, cell_m=2.0, share=0.5)
    found.weigh_position((1.0, 0.0), 3.0, 0.1)
    variance = 3.0**2 + 1.0
    density = 100 * exp(-0.5 * 1.0 / variance) / (2 * pi * variance)
    ratio = 0.1 + 0.9 * density
    assert float(found.layers[0].places[2, 2]) / found.elsewhere == pytest.approx(0.02 * ratio / 0.5, rel=1e-5)


@pytest.mark.parametrize("sigma_m", [0.01, 0.3, 2.0])
def test_an_exact_position_between_the_places_is_believed(sigma_m: float) -> None:
    found = belief(21, share=0.5)
    found.weigh_position((3.0, -3.0), sigma_m, 0.01)  # the corner of four cells
    assert found.modes()[0].probability == pytest.approx(0.5, abs=0.02)
    assert found.modes()[0].xy_m == pytest.approx((3.0, -3.0), abs=0.1)


def test_a_position_off_the_map_speaks_for_elsewhere() -> None:
    found = belief(share=0.5)
    found.weigh_position((1e4, 0.0), 5.0, 0.01)
    assert found.elsewhere == pytest.approx(0.5 / 0.505)


def with_peaks(*peaks: tuple[int, int, float], turn_rad: float = 0.0) -> Belief:
    """Cells of two metres (row, column, probability) on 41 x 41; the rest elsewhere."""
    found = peaked(turn_rad, side=41)
    places = found.layers[0].places.zero_()
    for row, col, probability in peaks:
        places[row, col] = probability
    found.elsewhere = 1 - found.layers[0].probability
    return found


def test_modes_are_the_likely_places_in_order() -> None:
    found = with_peaks((30, 5, 0.2), (8, 30, 0.5), (20, 20, 0.005))
    first, second = found.modes()
    assert (first.probability, second.probability) == pytest.approx((0.5, 0.2))
    assert first.xy_m == pytest.approx((20.0, 24.0))
    assert second.xy_m == pytest.approx((-30.0, -20.0))
    assert len(found.modes(most=1)) == 1
    assert len(found.modes(least=0.3)) == 1
    assert len(found.modes(least=0.001)) == 3


def test_a_mode_has_the_mean_and_the_covariance_of_what_it_holds() -> None:
    found = with_peaks((20, 20, 0.3), (20, 22, 0.1), (21, 20, 0.2))
    (mode,) = found.modes()
    weights, xy_m = np.array([3, 1, 2]) / 6, np.array([[0.0, 0.0], [4.0, 0.0], [0.0, -2.0]])
    assert mode.mean[:2] == pytest.approx(weights @ xy_m)
    expected = np.cov(xy_m.T, aweights=weights, bias=True) + np.eye(2) * 4 / 12
    np.testing.assert_allclose(mode.covariance[:2, :2], expected, rtol=1e-5)
    assert mode.covariance[2, 2] == pytest.approx(STEP_RAD**2 / 12)
    assert mode.probability == pytest.approx(0.6)


def test_a_mode_reaches_eight_metres_around_its_peak() -> None:
    """Cells of 2 m: what is five of them away from the heavier part belongs to another place."""
    near, far = with_peaks((20, 20, 0.6), (20, 28, 0.2)), with_peaks((20, 20, 0.6), (20, 29, 0.2))
    assert len(near.modes()) == 1
    assert [mode.probability for mode in far.modes()] == pytest.approx([0.6, 0.2])


def test_what_one_mode_holds_no_other_holds() -> None:
    found = peaked(side=41)
    found.layers[0].places, found._spare = blurred(found.layers[0].places, found._spare, 6.0)
    modes = found.modes(most=20)
    assert len(modes) > 4
    assert sum(mode.probability for mode in modes) <= 1
    assert modes[0].xy_m == pytest.approx((0.0, 0.0), abs=0.1)
    assert modes[0].probability == pytest.approx(0.54**2, abs=0.02)  # within 4.5 cells of sigma 6, along each axis


def test_a_mode_of_several_turns_has_their_mean_across_half_a_turn() -> None:
    found = belief(21, turns=(radians(177.5), radians(182.5)), share=1.0)
    for layer, share in zip(found.layers, (0.25, 0.75), strict=True):
        layer.places.zero_()
        layer.places[10, 10] = share
    (mode,) = found.modes()
    assert degrees(mode.mean[2]) == pytest.approx(181.25 - 360)
    assert mode.covariance[2, 2] == pytest.approx(STEP_RAD**2 * (0.25 * 0.75 + 1 / 12))


def test_a_mode_at_the_edge() -> None:
    found = with_peaks((0, 0, 0.4), (40, 40, 0.3))
    assert [mode.xy_m for mode in found.modes()] == [pytest.approx((-40, 40)), pytest.approx((40, -40))]


@pytest.mark.parametrize(
    ("xy_m", "expected"),
    [
        ((0.0, 0.0), 0.7),
        ((8.9, 0.0), 0.7),
        ((9.1, 0.0), 0.0),
        ((-8.9, 8.9), 0.7),
        ((0.0, -9.1), 0.0),
        ((40.0, 40.0), 0.2),
        ((49.1, 40.0), 0.0),
        ((47.0, 47.0), 0.2),
        ((1e5, -1e5), 0.0),
        ((-60.0, 40.0), 0.0),
    ],
)
def test_how_likely_it_is_to_be_near_a_place(xy_m: tuple[float, float], expected: float) -> None:
    found = with_peaks((20, 20, 0.7), (0, 40, 0.2))
    assert found.near(xy_m) == pytest.approx(expected)


def test_the_distance_that_counts_as_near_is_stated() -> None:
    from cvlnet.track.belief import MODE_M

    assert hypot(MODE_M, 0) == 8.0


def test_the_marginal_is_the_sum_over_turns_on_the_same_cells() -> None:
    found = belief(5, turns=(0.0, STEP_RAD), share=0.6)
    found.layers[0].places[1, 2] += 0.05
    values, grid = found.marginal()
    assert grid == found.grid
    torch.testing.assert_close(values, found.layers[0].places + found.layers[1].places)
    before = values.clone()
    found.move(2.0, 0.0, 0.0, 0.0)
    torch.testing.assert_close(values, before)  # it is a copy


@pytest.mark.parametrize("most_cells", [1, 3, 4, 10, 21])
def test_a_reduced_marginal_keeps_the_probability_and_its_place(most_cells: int) -> None:
    found = Belief(Grid(21, 13, 2.0, (100.0, -40.0)), torch.ones(21, 13), (0.0,), STEP_RAD, 1.0)
    places = found.layers[0].places.zero_()
    places[17, 4], places[20, 12] = 0.75, 0.25
    values, grid = found.marginal(most_cells)
    assert (grid.rows, grid.cols) == tuple(values.shape)
    assert max(values.shape) <= most_cells
    torch.testing.assert_close(grid.corners_xy_m()[0], found.grid.corners_xy_m()[0])
    assert float(values.sum()) == pytest.approx(1.0)
    for (row, col), probability in (((17, 4), 0.75), ((20, 12), 0.25)):
        xy_m = found.grid.xy_m(torch.tensor([row, col], dtype=torch.float64))
        cell = grid.row_col(xy_m).round().long().tolist()
        assert float(values[cell[0], cell[1]]) == pytest.approx(1.0 if most_cells == 1 else probability)
