import pytest

from cvlnet.config import AdaptConfig, EvaluationConfig, ModelConfig, TrainConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_width_px", 100), ("clip_cells", 7), ("overhead_m_per_px", 0.0), ("channels", 10**9), ("window_cells", -1)],
)
def test_a_model_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, not {value}"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("frames", 17), ("steps", 0), ("learning_rate", -1.0), ("neighbours", 9)])
def test_a_training_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, not {value}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("config", "name"), [(ModelConfig(), "backbone"), (ModelConfig(), "image_fit"), (TrainConfig(), "loss")]
)
def test_what_is_none_of_the_choices_is_refused(config, name):
    object.__setattr__(config, name, "bottom")  # as from a file: arguments are type-checked in tests
    with pytest.raises(ValueError, match=f"{name} must be one of .*, not 'bottom'"):
        config.__post_init__()


@pytest.mark.parametrize("heights_m", [(), (1.5,), (0.0, float("nan")), (0.0,) * 17])
def test_heights_begin_at_the_road_and_are_numbers(heights_m):
    with pytest.raises(ValueError, match=r"heights_m must be"):
        ModelConfig(heights_m=heights_m)


@pytest.mark.parametrize("seed", [-1, 2**32])
@pytest.mark.parametrize("config", [TrainConfig, AdaptConfig])
def test_seeds_are_those_of_random_generators(config, seed):
    with pytest.raises(ValueError, match=r"seed must be from 0 to below 2\^32"):
        config(seed=seed)


def test_an_evaluation_needs_a_split_and_different_cameras():
    with pytest.raises(ValueError, match=r"splits must be one or more test splits, not \(\)"):
        EvaluationConfig(splits=())
    with pytest.raises(ValueError, match=r"cameras must be one or more different cameras, not \(2, 2\)"):
        EvaluationConfig(cameras=(2, 2))
