from pathlib import Path

import numpy as np
import pytest
import torch

import cvlnet
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame
from cvlnet.imagery.georef import open_overhead
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


def test_clips_are_read_from_a_folder(localizer, video, tmp_path):
    last, named = localizer.read_clip(str(video), frames=2), localizer.read_clip(video, frame=6, frames=2)
    assert torch.equal(last.images, named.images)
    earlier = localizer.read_clip(video, frame=3, frames=2, step=1)
    assert not torch.equal(earlier.images, named.images)
    with pytest.raises(InputError, match="no PNG or JPEG frames"):
        localizer.read_clip(tmp_path)
    with pytest.raises(ValueError, match="frames must be from 1 to 16, not 17"):
        localizer.read_clip(video, frames=17)


def test_clips_are_read_from_a_drive(localizer, tiny_town):
    drive = next((tiny_town / "raw_data").glob("*/*_sync"))
    assert localizer.read_clip(drive, frames=2).images.shape[0] == 2


def test_the_package_s_front_door():
    assert cvlnet.Localizer is Localizer
    assert cvlnet.open_overhead is open_overhead
    with pytest.raises(AttributeError, match="no attribute 'Lokalizer'"):
        _ = cvlnet.Lokalizer


def test_missing_weights_are_refused():
    with pytest.raises(InputError, match=r"nowhere.safetensors: there is no such file"):
        Localizer(Path("nowhere.safetensors"))
