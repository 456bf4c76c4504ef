"""Which town of an endless series each step of a training sees: a function of the step alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Visit:
    """What a step takes: the batch ``batch`` (from 0) of the town ``town`` (from 0)."""

    town: int
    batch: int


@dataclass(frozen=True)
class Schedule:
    """Steps in turn with ``mixed`` towns at a time, each of which stays for ``batches`` of them.

    beside: whether a data set takes a turn after the towns; such a step visits no town.
    The towns arrive one by one, in the order of their numbers, at even distances. So that they leave one by one, too,
    the first ones stay shorter: of four, a quarter, a half, three quarters and all of ``batches``.
    """

    mixed: int
    batches: int
    beside: bool = False

    def __post_init__(self) -> None:
        if self.mixed < 1 or self.batches < 1:
            raise ValueError(f"a step visits one of 1 or more towns with 1 or more batches, not {self}")

    @property
    def lap(self) -> int:
        """Number of steps until the same place is in turn again."""
        return self.mixed + self.beside

    def visit(self, step: int) -> Visit | None:
        """What the step ``step`` (from 0) takes; None if it is the data set's turn."""
        lap, place = divmod(step, self.lap)
        if place == self.mixed:
            return None
        shift = (self.mixed - 1 - place) * self.batches // self.mixed
        generation, batch = divmod(lap + shift, self.batches)
        return Visit(generation * self.mixed + place, batch)

    def towns(self, first: int, stop: int) -> list[int]:
        """The towns that the steps from ``first`` to before ``stop`` visit, rising."""
        visits = (self.visit(step) for step in range(first, stop))
        return sorted({visit.town for visit in visits if visit is not None})

    def seen(self, steps: int) -> int:
        """How many towns the first ``steps`` steps visit."""
        last = self.towns(max(steps - self.lap, 0), steps)
        return last[-1] + 1 if last else 0

    def most_at_once(self, ahead: int) -> int:
        """How many towns are in use at a time, at most, by a training that reads ``ahead`` steps ahead."""
        window = max(self.lap, ahead + 1)
        return max(len(self.towns(step, step + window)) for step in range(self.lap * self.batches))
