from collections import Counter, defaultdict

import pytest

from cvlnet.training.schedule import Schedule, Visit

SHAPES = [(1, 1), (1, 5), (2, 5), (4, 1), (4, 3), (4, 8), (3, 7)]


def test_four_towns_take_turns_and_leave_one_by_one():
    schedule = Schedule(mixed=4, batches=4)
    towns = [schedule.visit(step).town for step in range(24)]
    assert towns == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8, 5, 6, 7]
    assert [schedule.visit(step) for step in (0, 1, 4, 8, 20)] == [
        Visit(0, 3),
        Visit(1, 2),
        Visit(4, 0),
        Visit(4, 1),
        Visit(8, 0),
    ]


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("mixed", "batches"), SHAPES)
def test_every_town_gives_all_its_batches_in_order(mixed, batches, beside):
    schedule = Schedule(mixed, batches, beside)
    given = defaultdict(list)
    for step in range(schedule.lap * batches * 6):
        visit = schedule.visit(step)
        assert (visit is None) == (beside and step % schedule.lap == mixed)
        if visit is not None:
            given[visit.town].append(visit.batch)
    assert list(given) == sorted(given) == list(range(len(given)))  # in the order of their numbers, none left out
    for town, numbers in given.items():
        first = 0 if town >= mixed else (mixed - 1 - town) * batches // mixed
        ends = list(range(first, batches))
        assert numbers == ends if town < 4 * mixed else numbers == ends[: len(numbers)]


@pytest.mark.parametrize(("mixed", "batches"), SHAPES)
def test_consecutive_steps_see_different_towns(mixed, batches):
    schedule = Schedule(mixed, batches)
    for step in range(3 * mixed * batches):
        assert len(schedule.towns(step, step + mixed)) == mixed


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("mixed", "batches"), SHAPES)
@pytest.mark.parametrize("ahead", [0, 4, 28])
def test_no_more_towns_are_in_use_than_are_said_to_be(mixed, batches, beside, ahead):
    schedule = Schedule(mixed, batches, beside)
    steps = 5 * schedule.lap * batches + ahead
    first, last = {}, {}
    for step in range(steps):
        for town in schedule.towns(step, step + 1):
            first.setdefault(town, step)
            last[town] = step
    used = Counter(
        step for town in first for step in range(max(first[town] - ahead, 0), last[town] + 1) if step < steps - ahead
    )
    assert max(used.values()) <= schedule.most_at_once(ahead)
    assert schedule.most_at_once(0) == mixed


@pytest.mark.parametrize("beside", [False, True])
def test_the_number_of_towns_seen_grows_with_the_steps(beside):
    schedule = Schedule(3, 4, beside)
    seen = set()
    assert schedule.seen(0) == 0
    for step in range(60):
        seen |= set(schedule.towns(step, step + 1))
        assert schedule.seen(step + 1) == len(seen)
