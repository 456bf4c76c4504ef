from math import degrees, pi, radians

import numpy as np
import pytest
import torch

from cvlnet.localize.turned import Heading, TurnedClip, turned
from cvlnet.model.build import build_model


@pytest.mark.parametrize(
    ("text", "middle_deg", "width_deg"),
    [
        ("unknown", None, 180),
        ("±20", None, 20),
        ("+-20", None, 20),
        ("90±20", 90, 20),
        ("-45.5 +/- 7.5", -45.5, 7.5),
        ("0±0", 0, 0),
    ],
)
def test_a_heading_is_read_as_it_is_written(text, middle_deg, width_deg):
    heading = Heading.parse(text)
    assert heading.width_rad == pytest.approx(radians(width_deg))
    assert (heading.middle_rad is None) == (middle_deg is None)
    if middle_deg is not None:
        assert heading.middle_rad == pytest.approx(radians(middle_deg))


@pytest.mark.parametrize("text", ["", "north", "90", "±", "±181", "±-5", "90±20±3", "1e3±5", "nan±5", "..±1"])
def test_what_is_no_heading_is_refused(text):
    with pytest.raises(ValueError, match=r"heading is (unknown|known)"):
        Heading.parse(text)


def test_the_recorded_heading_alone_is_tried_by_default():
    assert Heading().turns_rad(1.0) == (0.0,)


def test_headings_that_are_tried_cover_the_range_at_most_five_degrees_apart():
    turns = np.degrees(Heading(None, radians(20)).turns_rad(2.0))
    assert turns.min() == pytest.approx(-20)
    assert turns.max() == pytest.approx(20)
    assert np.diff(turns).max() <= 5 + 1e-9
    around = np.degrees(Heading(None, pi).turns_rad(2.0))
    assert len(around) == 72
    assert np.diff(around) == pytest.approx(5.0)
    assert 0.0 in around.round(9)


def test_a_heading_that_is_given_turns_the_recorded_one_into_it():
    assert np.degrees(Heading(radians(90), 0.0).turns_rad(radians(30))) == pytest.approx([60])
    assert np.degrees(Heading(radians(-170), 0.0).turns_rad(radians(170))) == pytest.approx([20])  # the short way


@pytest.fixture
def model(tiny_config):
    torch.manual_seed(0)
    return build_model(tiny_config).eval()


def test_a_turn_of_nothing_gives_the_features_of_the_clip(model, clip):
    plain = TurnedClip(model, clip).features([0.0])
    several = TurnedClip(model, clip).features([0.3, 0.0, -1.0])
    torch.testing.assert_close(several.descriptor[1:2], plain.descriptor, atol=1e-5, rtol=0)
    torch.testing.assert_close(several.weight[1:2], plain.weight, atol=1e-5, rtol=0)


def test_turned_features_are_those_of_a_vehicle_that_was_turned(model, clip):
    angles = [radians(37), radians(-120)]
    found = TurnedClip(model, clip).features(angles)
    for i, angle in enumerate(angles):
        alone = TurnedClip(model, turned(clip, angle)).features([0.0])
        torch.testing.assert_close(found.descriptor[i : i + 1], alone.descriptor, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.weight[i : i + 1], alone.weight, atol=1e-4, rtol=0)


def test_a_turned_clip_sees_the_ground_where_it_then_looks(model, clip):
    """The clip looks north-east; turned by 90 degrees it sees the ground to its north-west."""
    weight = TurnedClip(model, clip).features([0.0, pi / 2]).weight
    cells = weight.shape[-1] // 2
    north_east, north_west = weight[:, :cells, cells:].sum(dim=(1, 2)), weight[:, :cells, :cells].sum(dim=(1, 2))
    assert north_east[0] > 2 * north_west[0]
    assert north_west[1] > 2 * north_east[1]


def test_a_turn_leaves_heights_and_turns_the_way():
    from cvlnet.geometry import Camera, Pose
    from cvlnet.types import Clip

    poses = Pose(torch.eye(3).expand(2, 3, 3), torch.tensor([[0.0, 0, 1.6], [-5.0, 2.0, 1.7]]))
    camera = Camera(torch.ones(2, 2), torch.ones(2, 2), 4, 4)
    found = turned(Clip(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), camera, poses), radians(90)).ground_from_cam
    torch.testing.assert_close(found.translation_m, torch.tensor([[0.0, 0, 1.6], [-2.0, -5.0, 1.7]]))
    assert degrees(float(found.yaw_rad()[0])) == pytest.approx(90)
