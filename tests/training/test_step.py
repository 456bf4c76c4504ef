import math

import numpy as np
import pytest
import torch

from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.crop import turn_of_world
from cvlnet.model.build import build_model
from cvlnet.training.step import Trainer, frames_of_step, learning_rate_factor, step_seed, turned_xy_m

MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)


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


def test_every_number_of_frames_has_its_share_of_the_steps():
    config = TrainConfig(frames=4, fewest_frames=2)
    numbers = [frames_of_step(step, config) for step in range(300)]
    assert {number: 80 < numbers.count(number) < 120 for number in numbers} == {2: True, 3: True, 4: True}
    assert numbers == [frames_of_step(step, config) for step in range(300)]
    assert {frames_of_step(step, TrainConfig(frames=4)) for step in range(100)} == {4}


@pytest.mark.parametrize("step", [0, 3, 10, 50, 98])
def test_a_restored_training_goes_on_with_the_learning_rates_of_its_step(step, tmp_path):
    config = TrainConfig(steps=100, warmup_steps=10, learning_rate=2e-3, backbone_learning_rate=5e-4)
    trainer = Trainer(build_model(MODEL), config)
    _step_by_zero(trainer)
    trainer.restore(trainer.tensors(), step, tmp_path)
    for now in (step, step + 1):
        rates = [group["lr"] / learning_rate_factor(now, config) for group in trainer.optimizer.param_groups]
        assert rates == pytest.approx([5e-4, 5e-4, 2e-3, 2e-3])
        trainer.optimizer.step()
        trainer.schedule.step()


def test_a_state_without_that_of_the_optimizer_is_refused(tmp_path):
    trainer = Trainer(build_model(MODEL), TrainConfig(steps=100))
    with pytest.raises(InputError, match="lacks the optimizer's state after step 3; delete it"):
        trainer.restore(trainer.tensors(), 3, tmp_path)


def _step_by_zero(trainer):
    """An optimizer step on gradients of zero, which gives every parameter its moments."""
    for parameter in trainer.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    trainer.optimizer.step()


def test_the_running_average_forgets_the_early_steps(tmp_path):
    """The first step is copied; then the weight of the average rises as n / (n + 10), at most to the decay."""
    model = build_model(MODEL)
    trainer = Trainer(model, TrainConfig(average_decay=0.5))
    _step_by_zero(trainer)
    norm = next(layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    expected, values = 0.0, [4.0, 1.0, 7.0, -2.0]
    for n, value in enumerate(values, 1):
        with torch.no_grad():
            model.log_sharpness.fill_(value)
            norm.running_mean.fill_(value)
            norm.num_batches_tracked.fill_(n)
        trainer.average.update_parameters(model)
        decay = min(n / (n + 10), 0.5) if n > 1 else 0.0
        expected = decay * expected + (1 - decay) * value
        tensors = {name: tensor.clone() for name, tensor in trainer.tensors().items()}
        assert float(tensors["average.log_sharpness"]) == pytest.approx(expected)
    averaged = trainer.averaged_model
    assert not averaged.training
    same = next(layer for layer in averaged.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    assert float(same.running_mean[0]) == pytest.approx(expected)
    assert int(same.num_batches_tracked) == len(values)
    again = Trainer(build_model(MODEL), TrainConfig(average_decay=0.5))
    again.restore(tensors, len(values), tmp_path)
    for each in (trainer, again):
        each.average.update_parameters(model)
    assert torch.equal(trainer.averaged_model.log_sharpness, again.averaged_model.log_sharpness)


def test_the_running_average_settles_at_its_decay():
    model = build_model(MODEL)
    trainer = Trainer(model, TrainConfig(average_decay=0.9))
    trainer.average.n_averaged.fill_(1000)
    before = trainer.averaged_model.log_sharpness.item()
    with torch.no_grad():
        model.log_sharpness.fill_(before + 1)
    trainer.average.update_parameters(model)
    assert trainer.averaged_model.log_sharpness.item() == pytest.approx(before + 0.1, rel=1e-5)


def test_parts_of_a_batch_need_norms_that_stay_as_they_are():
    with pytest.raises(ValueError, match="encode_at_once"):
        TrainConfig(encode_at_once=2, freeze_norms=False)
    assert TrainConfig(encode_at_once=2).freeze_norms
