import pytest

from cvlnet.config import ModelConfig, TrainConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_width_px", 100), ("clip_cells", 7), ("overhead_m_per_px", 0.0), ("channels", 10**9), ("window_cells", -1)],
)
def test_a_model_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"ModelConfig.{name} must be .*, not {value}"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("frames", 17), ("steps", 0), ("learning_rate", -1.0), ("neighbours", 9)])
def test_a_training_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"TrainConfig.{name} must be .*, not {value}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize("change", [{"backbone": "resnet"}, {"fusion": "sum"}, {"image_fit": "bottom"}])
def test_what_is_none_of_the_choices_is_refused(change):
    with pytest.raises(ValueError, match=r"must be one of"):
        ModelConfig(**change)
    with pytest.raises(ValueError, match=r"TrainConfig\.loss must be one of infonce, soft_margin"):
        TrainConfig(loss="triplet")


@pytest.mark.parametrize("heights_m", [(), (1.5,), (0.0, float("nan")), (0.0,) * 17])
def test_heights_begin_at_the_road_and_are_numbers(heights_m):
    with pytest.raises(ValueError, match=r"ModelConfig\.heights_m must be"):
        ModelConfig(heights_m=heights_m)
