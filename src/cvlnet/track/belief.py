"""Where the vehicle may be: a probability for every place of a map and some headings, and for being elsewhere.

A histogram filter (Thrun, Burgard and Fox 2005, "Probabilistic Robotics", chapter 8). Each heading, by which the
odometry's frame may be turned against the map's, has a layer of its own: motion moves the layer as a whole, so that
nothing blurs it but the doubt about the motion. What a layer moved by less than a cell is kept as its offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import uniform_filter1d
from torch import Tensor
from torch.nn import functional

from cvlnet.arrays import F64
from cvlnet.data.odometry import turned_m, wrapped_rad
from cvlnet.grid import Grid

MODE_M = 8.0  # a mode of the belief holds what lies within this distance of its peak, along each axis
_LEAST_LAYER = 1e-5  # probability of a layer that is followed
_BOXES = 3  # means over squares that together make a Gaussian
_LEAST_VARIANCE = 1e-6  # of a blur, in cells
_MOST_BLUR = 0.25  # of the probability that goes to each neighbour in one step of the blur
_WIDEST = 4.0  # standard deviation of a blur, in sides of the grid: of a wider one no more than a hundredth stays there
_MOST_TURNED = 0.25  # of the probability that goes to each neighbouring turn at once


@dataclass(frozen=True)
class Mode:
    """A place where the vehicle may be. mean: x, y (metres), turn (radians); with its covariance.

    probability: that the vehicle is there.
    """

    mean: F64
    covariance: F64
    probability: float

    @property
    def xy_m(self) -> tuple[float, float]:
        """The place (east, north)."""
        return float(self.mean[0]), float(self.mean[1])


@dataclass
class _Layer:
    """The belief in one turn. offset_m: of the vehicle from the cells' places, (east, north)."""

    turn_rad: float
    offset_m: F64
    places: Float[Tensor, "rows cols"]

    @property
    def probability(self) -> float:
        return float(self.places.sum(dtype=torch.float64))


class Belief:
    """A probability of every place of a grid under every turn of the odometry, and of being elsewhere.

    turns_rad: evenly spaced, or a single one. share_mapped: prior probability of being on the map. searched: the
    places where the vehicle may be; all are as likely at first.
    """

    def __init__(
        self,
        places: Grid,
        searched: Float[Tensor, "rows cols"],
        turns_rad: Sequence[float],
        step_rad: float,
        share_mapped: float,
    ) -> None:
        self.grid, self.step_rad = places, step_rad
        self._first_rad = turns_rad[0]
        self._uniform = searched / searched.sum(dtype=torch.float64).float()
        self._spare = torch.zeros_like(self._uniform)
        self._turns = {self._number(turn): turn for turn in turns_rad}
        self._coming = dict.fromkeys(self._turns, 0.0)  # what turns without a layer are to get
        self.elsewhere = 1.0
        self._layers: dict[int, _Layer] = {}
        self.spread(share_mapped)

    def _number(self, turn_rad: float) -> int:
        """The number of a turn's layer, counted from the first turn, around the circle."""
        number, count = round((turn_rad - self._first_rad) / self.step_rad), round(2 * pi / self.step_rad)
        return (number + count // 2) % count - count // 2

    def _turn_rad(self, number: int) -> float:
        return wrapped_rad(self._first_rad + number * self.step_rad)

    @property
    def turns_rad(self) -> tuple[float, ...]:
        """The turns that have a layer."""
        return tuple(layer.turn_rad for layer in self._layers.values())

    @property
    def layers(self) -> tuple[_Layer, ...]:
        """The belief under each of them."""
        return tuple(self._layers.values())

    def spread(self, probability: float) -> None:
        """Move a probability from elsewhere to the map, evenly over all places and all turns that are thought possible.

        Turns that have no layer get one as soon as their share of all that was spread is worth it.
        """
        for number, turn in self._turns.items():
            self._coming[number] += probability / len(self._turns)
            if number in self._layers or self._coming[number] >= _LEAST_LAYER:
                come = min(self._coming[number], self.elsewhere)
                self._layer(number, turn).places.add_(self._uniform, alpha=come)
                self.elsewhere -= come
                self._coming[number] = 0.0

    def _layer(self, number: int, turn_rad: float) -> _Layer:
        if number not in self._layers:
            self._layers[number] = _Layer(turn_rad, np.zeros(2), torch.zeros_like(self._uniform))
        return self._layers[number]

    def move(self, dx_m: float, dy_m: float, sigma_m: float, turned_share: float) -> None:
        """Take a motion (in the odometry's frame) with a standard deviation.

        turned_share: of the probability that goes to each neighbouring turn.
        """
        for layer in self._layers.values():
            layer.offset_m = layer.offset_m + turned_m((dx_m, dy_m), layer.turn_rad)
            cells = np.round(layer.offset_m / self.grid.cell_m)
            layer.offset_m = layer.offset_m - cells * self.grid.cell_m
            before = layer.probability
            shift(layer.places, int(-cells[1]), int(cells[0]), self._spare)
            layer.places, self._spare = blurred(self._spare, layer.places, sigma_m / self.grid.cell_m)
            self.elsewhere += before - layer.probability
        while turned_share > 0:
            self._turn(min(turned_share, _MOST_TURNED))
            turned_share -= _MOST_TURNED

    def _turn(self, share: float) -> None:
        """Let a share of every layer go to each of the two beside it."""
        moving = [(number, layer, layer.probability) for number, layer in self._layers.items()]
        given = {number: layer.places * share for number, layer, had in moving if share * had >= _LEAST_LAYER}
        for number, places in given.items():
            for turn in (self._turn_rad(number - 1), self._turn_rad(number + 1)):
                layer = self._layer(self._number(turn), turn)
                if not layer.probability:
                    layer.offset_m = self._layers[number].offset_m.copy()
                layer.places.add_(places)
            self._layers[number].places.sub_(places, alpha=2)

    def leak(self, kidnapped: float, entered: float) -> None:
        """Let a share of the belief leave for elsewhere, and a share of elsewhere come to any place of the map."""
        gone = kidnapped * sum(layer.probability for layer in self._layers.values())
        for layer in self._layers.values():
            layer.places.mul_(1 - kidnapped)
        come = entered * self.elsewhere
        self.elsewhere += gone
        self.spread(come)

    def weigh(self, ratios: Iterable[Float[Tensor, "rows cols"]]) -> None:
        """Take evidence: the likelihood ratio, against elsewhere, of every place under every turn, in their order."""
        for layer, ratio in zip(self.layers, ratios, strict=True):
            layer.places.mul_(ratio)
        self._normalize()

    def weigh_position(self, xy_m: tuple[float, float], sigma_m: float, outliers: float) -> None:
        """Take a measured position with a standard deviation. outliers: share of measurements that mean nothing."""
        away_m = torch.linalg.vector_norm(
            self.grid.cell_centers_xy_m(torch.float32) - torch.tensor(xy_m, dtype=torch.float32), dim=-1
        )
        size_m2 = self.grid.size_m[0] * self.grid.size_m[1]
        variance_m2 = sigma_m**2 + (self.grid.cell_m / 2) ** 2  # a place stands for half a cell around it
        density = (-0.5 * away_m**2 / variance_m2).exp() / (2 * np.pi * variance_m2) * size_m2
        self.weigh([outliers + (1 - outliers) * density] * len(self._layers))

    def _normalize(self) -> None:
        total = self.elsewhere + sum(layer.probability for layer in self._layers.values())
        self.elsewhere /= total
        for layer in self._layers.values():
            layer.places.div_(total)
        gone = [number for number, layer in self._layers.items() if layer.probability < _LEAST_LAYER]
        for number in gone:
            self.elsewhere += self._layers.pop(number).probability

    def marginal(self, most_cells: int = 512) -> tuple[Float[Tensor, "rows cols"], Grid]:
        """The probability of every place under any turn, and the grid of these places.

        The values and `elsewhere` add up to 1. The grid has at most ``most_cells`` rows and columns: where the belief's
        own has more, square blocks of its cells are one cell. It begins at the same north-west corner; its last row and
        column may reach beyond the map. Offsets of less than one of the belief's own cells are left out.
        """
        whole = self._over_turns().numpy()
        factor = -(-max(whole.shape) // most_cells)
        for axis in (0, 1):
            whole = np.add.reduceat(whole, np.arange(0, whole.shape[axis], factor), axis)
        return torch.from_numpy(whole), _joined(self.grid, factor)

    def _over_turns(self) -> Float[Tensor, "rows cols"]:
        """The sum of all layers, in memory that the next motion uses."""
        total = self._spare.zero_()
        for layer in self._layers.values():
            total.add_(layer.places)
        return total

    def modes(self, most: int = 5, least: float = 0.01) -> tuple[Mode, ...]:
        """The places that the vehicle may be at, most likely first, each with at least this probability."""
        if not self._layers:
            return ()
        reach, marginal = self._reach, self._over_turns()
        side = 2 * reach + 1
        mean = functional.avg_pool2d(marginal[None, None], (side, 1), stride=1, padding=(reach, 0))
        mass = functional.avg_pool2d(mean, (1, side), stride=1, padding=(0, reach))[0, 0] * side**2
        found = []
        for _ in range(most):
            row, col = divmod(int(mass.argmax()), self.grid.cols)
            if float(mass[row, col]) < least:
                break
            own, apart = (
                tuple(slice(max(0, at - wide), at + wide + 1) for at in (row, col)) for wide in (reach, 2 * reach)
            )
            found.append(self._mode(*own))
            mass[apart] = 0  # what is counted to one mode is not counted to another
        return tuple(sorted(found, key=lambda mode: -mode.probability))

    def near(self, xy_m: tuple[float, float]) -> float:
        """The probability of the places within `MODE_M` of a place, along each axis."""
        row, col = self.grid.row_col(torch.tensor(xy_m, dtype=torch.float64)).round().long().tolist()
        reach = self._reach
        rows, cols = (slice(max(0, at - reach), max(0, at + reach + 1)) for at in (row, col))
        return float(sum(layer.places[rows, cols].sum(dtype=torch.float64) for layer in self._layers.values()))

    @property
    def _reach(self) -> int:
        """Cells to each side that `MODE_M` is."""
        return max(1, round(MODE_M / self.grid.cell_m))

    def _mode(self, rows: slice, cols: slice) -> Mode:
        """The mode of the places in a window."""
        places_m = self.grid.xy_m(
            torch.stack(
                torch.meshgrid(
                    torch.arange(rows.start, min(rows.stop, self.grid.rows), dtype=torch.float64),
                    torch.arange(cols.start, min(cols.stop, self.grid.cols), dtype=torch.float64),
                    indexing="ij",
                ),
                dim=-1,
            )
        ).reshape(-1, 2)
        layers = self.layers
        weights = torch.stack([layer.places[rows, cols].reshape(-1) for layer in layers]).double().numpy()
        probability = float(weights.sum())
        best = layers[int(weights.sum(axis=1).argmax())].turn_rad
        points = np.concatenate(
            [
                np.concatenate(
                    [
                        places_m.numpy() + layer.offset_m,
                        np.full((len(places_m), 1), wrapped_rad(layer.turn_rad - best)),
                    ],
                    axis=1,
                )
                for layer in layers
            ]
        )
        share = weights.reshape(-1) / probability
        mean = share @ points
        apart = points - mean
        cell = np.diag([self.grid.cell_m**2, self.grid.cell_m**2, max(self.step_rad, 1e-3) ** 2]) / 12
        covariance = (apart * share[:, None]).T @ apart + cell
        mean[2] = wrapped_rad(mean[2] + best)
        return Mode(mean, covariance, probability)


def _joined(grid: Grid, factor: int) -> Grid:
    """The grid whose cells are blocks of another one's, from its north-west corner on."""
    rows, cols, cell_m = -(-grid.rows // factor), -(-grid.cols // factor), grid.cell_m * factor
    east_m, north_m = grid.center_xy_m
    beyond_m = cols * cell_m - grid.size_m[0], rows * cell_m - grid.size_m[1]
    return Grid(rows, cols, cell_m, (east_m + beyond_m[0] / 2, north_m - beyond_m[1] / 2))


def shift(places: Float[Tensor, "rows cols"], down: int, right: int, out: Float[Tensor, "rows cols"]) -> None:
    """Write the values, moved by whole cells, to another tensor; zero where nothing came from."""
    rows, cols = places.shape
    out.zero_()
    if abs(down) < rows and abs(right) < cols:
        target = out[max(down, 0) : rows + min(down, 0), max(right, 0) : cols + min(right, 0)]
        target.copy_(places[max(-down, 0) : rows + min(-down, 0), max(-right, 0) : cols + min(-right, 0)])


def blurred(
    places: Float[Tensor, "rows cols"], spare: Float[Tensor, "rows cols"], sigma_cells: float
) -> tuple[Float[Tensor, "rows cols"], Float[Tensor, "rows cols"]]:
    """The values under a Gaussian of so many cells, and a tensor whose memory is free; both may be changed.

    Means over squares, and binomial steps for what they leave.
    """
    left = min(sigma_cells, _WIDEST * max(places.shape)) ** 2
    while left > _BOXES * 2 / 3:  # a mean over 3 cells has a variance of 2 / 3
        side = int(np.sqrt(12 * left / _BOXES + 1))
        side = side - 1 + side % 2  # odd
        for _ in range(_BOXES):
            for axis in (0, 1):
                uniform_filter1d(places.numpy(), side, axis, output=spare.numpy(), mode="constant")
                places, spare = spare, places
        left -= _BOXES * (side**2 - 1) / 12
    while left > _LEAST_VARIANCE:
        share = min(left / 2, _MOST_BLUR)
        for axis in (0, 1):
            length = places.shape[axis] - 1
            torch.mul(places, 1 - 2 * share, out=spare)
            spare.narrow(axis, 1, length).add_(places.narrow(axis, 0, length), alpha=share)
            spare.narrow(axis, 0, length).add_(places.narrow(axis, 1, length), alpha=share)
            places, spare = spare, places
        left -= 2 * share
    return places, spare
