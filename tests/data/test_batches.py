from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.data.batches import SpacedBatchSampler
from cvlnet.data.samples import Draw
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame

MIN_M = 30.0
FRAME = LocalFrame(LatLon(49.0, 8.4))


def street(count: int = 400, gap_m: float = 5.0, north_m: float = 0.0) -> list[LatLon]:
    xy_m = np.stack([np.arange(count) * gap_m, np.full(count, north_m)], axis=-1)
    return [LatLon(*place) for place in FRAME.latlon_deg(xy_m).tolist()]


def batches(sampler: SpacedBatchSampler) -> list[list[int]]:
    return [[draw.item for draw in batch] for batch in sampler]


@given(st.integers(0, 1000), st.integers(0, 50), st.integers(2, 8), st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_no_two_samples_of_a_batch_are_near_and_none_comes_twice(
    seed: int, epoch: int, batch_size: int, neighbours: int
) -> None:
    places = street()
    xy_m = FRAME.xy_world_m([place.degrees for place in places])
    sampler = SpacedBatchSampler(places, batch_size, MIN_M, seed=seed, epoch=epoch, neighbours=neighbours)
    drawn = batches(sampler)
    assert len(drawn) == len(sampler) > 0
    assert all(len(batch) == batch_size for batch in drawn)
    for batch in drawn:
        assert all(np.hypot(*(xy_m[a] - xy_m[b])) >= MIN_M - 1e-3 for a, b in combinations(batch, 2))
    flat = [item for batch in drawn for item in batch]
    assert len(set(flat)) == len(flat)
    assert len(flat) > 0.8 * len(places)


def test_an_epoch_is_repeatable_and_differs_from_others() -> None:
    places = street()
    first = SpacedBatchSampler(places, 4, MIN_M, seed=1, epoch=2)
    assert batches(first) == batches(SpacedBatchSampler(places, 4, MIN_M, seed=1, epoch=2))
    assert batches(first) != batches(SpacedBatchSampler(places, 4, MIN_M, seed=1, epoch=3))
    assert batches(first) != batches(SpacedBatchSampler(places, 4, MIN_M, seed=2, epoch=2))
    assert {draw.epoch for batch in first for draw in batch} == {2}


def test_it_goes_on_where_it_was_stopped() -> None:
    places = street()
    whole = batches(SpacedBatchSampler(places, 4, MIN_M))
    resumed = SpacedBatchSampler(places, 4, MIN_M, start=5)
    assert batches(resumed) == whole[5:]
    assert list(resumed) == list(SpacedBatchSampler(places, 4, MIN_M))[5:]
    assert {draw.batch for draw in next(iter(resumed))} == {5}
    assert len(resumed) == len(whole) - 5


def test_neighbours_stand_in_the_same_streets() -> None:
    """Two streets a kilometre apart: groups of four are of one street."""
    places = street(100) + street(100, north_m=1000.0)
    grouped = SpacedBatchSampler(places, 8, MIN_M, neighbours=4)
    scattered = SpacedBatchSampler(places, 8, MIN_M)

    def groups_of_one_street(sampler: SpacedBatchSampler) -> float:
        groups = [batch[i : i + 4] for batch in batches(sampler)[:10] for i in (0, 4)]
        return float(np.mean([len({item // 100 for item in group}) == 1 for group in groups]))

    assert groups_of_one_street(grouped) > 0.8
    assert groups_of_one_street(scattered) < 0.4


def test_a_batch_is_of_one_town() -> None:
    """Two towns ten kilometres apart; only what is left over at the end is mixed."""
    places = street(300) + street(300, north_m=10_000.0)
    drawn = batches(SpacedBatchSampler(places, 4, MIN_M, radius_m=5_000.0))
    towns = [{item // 300 for item in batch} for batch in drawn]
    assert sum(len(town) == 1 for town in towns) >= len(towns) - 10
    assert set().union(*towns) == {0, 1}
    flat = [item for batch in drawn for item in batch]
    assert len(set(flat)) == len(flat)
    assert len(flat) > 0.9 * len(places)


def test_processes_share_every_batch() -> None:
    places = street()
    whole = batches(SpacedBatchSampler(places, 4, MIN_M))
    parts = [batches(SpacedBatchSampler(places, 4, MIN_M, own=own)) for own in (slice(0, 2), slice(2, 4))]
    assert [first + second for first, second in zip(*parts, strict=True)] == whole


def test_too_little_data_for_one_batch() -> None:
    with pytest.raises(InputError) as caught:
        SpacedBatchSampler(street(20), 8, MIN_M)
    assert "20 samples fill no batch of 8 at least 30 m apart; lower --batch-size (or --min" in str(caught.value)
    with pytest.raises(InputError, match="0 samples fill no batch"):
        SpacedBatchSampler([], 2, MIN_M)


def test_draws_name_item_and_epoch() -> None:
    first = next(iter(SpacedBatchSampler(street(), 2, MIN_M, epoch=7)))
    assert all(isinstance(draw, Draw) and draw.epoch == 7 for draw in first)
