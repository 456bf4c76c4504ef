from pathlib import Path

import numpy as np
import pytest

from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame
from cvlnet.localize.localizer import Localizer


@pytest.fixture
def localizer(weights, seeing_model):
    """One that sees the ground itself."""
    localizer = Localizer(weights)
    localizer.model = seeing_model
    return localizer


def test_a_clip_is_found_where_it_was_taken(localizer, clip, image, place_m, middle):
    answer = localizer.locate(clip, image)
    assert np.abs(LocalFrame(middle).xy_world_m(answer.best.position.degrees) - place_m).max() < 1
    assert answer.best.known_share == 1
    assert not answer.is_sure  # these weights have no measured confidence


def test_a_region_is_encoded_once_and_asked_often(localizer, clip, image, middle):
    region = localizer.encode(image, near=middle, radius_m=20.0)
    asked = localizer.locate(clip, image, region=region)
    assert asked.region is region
    assert asked.fixes == localizer.locate(clip, image, near=middle, radius_m=20.0).fixes


def test_the_package_s_own_weights_have_a_confidence():
    localizer = Localizer()
    assert localizer.confidence is not None
    assert 0.5 < localizer.confidence.threshold < 1


def test_missing_weights_are_refused():
    with pytest.raises(InputError, match=r"nowhere.safetensors: there is no such file"):
        Localizer(Path("nowhere.safetensors"))
