import math

import numpy as np
import pytest
import torch

from cvlnet.config import TrainConfig
from cvlnet.data.imagery import turn_of_world
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.trainer import learning_rate_factor, step_seed, turned_xy_m


def test_places_turn_with_the_world():
    latlon_deg = LocalFrame(LatLon(49.0, 8.4)).latlon_deg(np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 0.0], [0.0, 5.0]]))
    turns = [
        turn_of_world(0.3),
        turn_of_world(0.0),
        turn_of_world(math.pi / 2, mirror=True),
        turn_of_world(-math.pi / 2),
    ]
    xy_m = turned_xy_m(torch.from_numpy(latlon_deg), torch.from_numpy(np.stack(turns)))
    expected_m = torch.tensor([[0, 0], [10, 0], [0, -10], [5, 0]], dtype=torch.float64)
    torch.testing.assert_close(xy_m, expected_m, atol=1e-5, rtol=0)


def test_learning_rate_rises_then_falls_to_nothing():
    config = TrainConfig(steps=100, warmup_steps=10)
    factors = [learning_rate_factor(step, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0)


def test_every_step_of_every_process_draws_its_own_numbers_and_repeats_them():
    named = [(seed, step, rank) for seed in range(3) for step in range(5) for rank in range(4)]
    seeds = [step_seed(*name) for name in named]
    assert len(set(seeds)) == len(named)
    assert seeds == [step_seed(*name) for name in named]
    drawn = [torch.rand(8, generator=torch.Generator().manual_seed(seed)).tolist() for seed in seeds]
    assert len({tuple(numbers) for numbers in drawn}) == len(named)
