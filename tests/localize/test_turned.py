from math import degrees, pi, radians

import numpy as np
import pytest
import torch

from cvlnet.data.clips import AS_DESCRIBED, pitched
from cvlnet.grid import Grid
from cvlnet.localize.turned import Heading, TurnedClip, nearly_turned, rotated, turned
from cvlnet.model.build import build_model
from cvlnet.types import ClipFeatures


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


@pytest.mark.parametrize(
    "text", ["", "north", "90", "±", "±181", "±-5", "90±20±3", "1e3±5", "nan±5", "..±1", "9" * 400 + "±5"]
)
def test_what_is_no_heading_is_refused(text):
    with pytest.raises(ValueError, match=r"heading is (unknown|known|a finite)"):
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


def test_a_clip_is_encoded_once_for_all_pitches(model, clip, monkeypatch):
    encoded = []
    encode = model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda images: encoded.append(images) or encode(images))
    asked = TurnedClip(model, clip, pitch_error_rad=radians(3))
    assert np.degrees([under.pitch.angle_rad for under in asked.pitched]) == pytest.approx([-2, 0, 2])
    for under in asked.pitched:
        alone = TurnedClip(model, pitched(clip, under.pitch)).features([0.4])
        torch.testing.assert_close(under.features([0.4]).descriptor, alone.descriptor, atol=1e-5, rtol=0)
    assert len(encoded) == 1 + 3
    assert not torch.equal(*(asked.pitched[i].features([0.0]).weight for i in (0, 2)))


def test_by_default_a_clip_has_the_described_pitch_alone(model, clip):
    asked = TurnedClip(model, clip)
    assert asked.pitched == (asked,)
    assert asked.pitch == AS_DESCRIBED


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


def features(descriptor, weight=None, center_xy_m=(0.0, 0.0)):
    """One clip of one channel, on cells of 2 m."""
    values = torch.as_tensor(descriptor, dtype=torch.float32)
    seen = torch.ones_like(values) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    return ClipFeatures(values[None, None], seen[None], Grid(*values.shape, 2.0, center_xy_m))


def test_features_turned_by_a_quarter_are_those_of_the_cells_beside():
    """What was seen to the east is seen to the north then."""
    found = rotated(features([[1.0, 2.0], [3.0, 4.0]], [[0.5, 1.0], [0.25, 0.0]]), radians(90))
    torch.testing.assert_close(found.weight[0], torch.tensor([[1.0, 0.0], [0.5, 0.25]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.descriptor[0, 0] * (found.weight[0] > 0.1), torch.tensor([[2.0, 0.0], [1.0, 3.0]]))


def test_a_turn_of_nothing_leaves_features_as_they_are():
    given = features(torch.arange(36.0).reshape(6, 6), torch.linspace(0.1, 1.0, 36).reshape(6, 6))
    found = rotated(given, 0.0)
    torch.testing.assert_close(found.descriptor, given.descriptor, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.weight, given.weight, atol=1e-5, rtol=0)
    assert found.grid == given.grid


@pytest.mark.parametrize("angle_deg", [10.0, 37.0, -120.0])
@pytest.mark.parametrize("center_xy_m", [(0.0, 0.0), (0.75, -0.75)])
def test_features_are_turned_about_the_vehicle(angle_deg, center_xy_m):
    """A spot 9 m east and 4 m north of it, wherever the cells lie around it."""
    grid = Grid(24, 24, 2.0, center_xy_m)
    spot = torch.tensor([9.0, 4.0])
    places_m = grid.cell_centers_xy_m(torch.float32)
    seen = torch.exp(-0.5 * ((places_m - spot) / 3.0).square().sum(dim=-1))
    found = rotated(features(seen, seen, center_xy_m), radians(angle_deg))
    c, s = np.cos(radians(angle_deg)), np.sin(radians(angle_deg))
    share = found.weight[0] / found.weight.sum()
    mean_m = (share[..., None] * places_m).sum(dim=(0, 1))
    torch.testing.assert_close(
        mean_m, torch.tensor([c * 9 - s * 4, s * 9 + c * 4], dtype=torch.float32), atol=0.05, rtol=0
    )


def test_cells_that_see_nothing_do_not_count_in_those_beside_them():
    weight = torch.ones(8, 8)
    weight[:, 4:] = 0.0
    values = torch.full((8, 8), 5.0)
    values[:, 4:] = -100.0
    found = rotated(features(values, weight), radians(20))
    seen = found.weight[0] > 0.05
    assert seen.sum() > 20
    torch.testing.assert_close(found.descriptor[0, 0][seen], torch.full((int(seen.sum()),), 5.0))
    assert found.weight.min() >= 0
    assert found.weight.max() <= 1 + 1e-5


def test_a_few_turns_are_projected_themselves():
    asked = []

    def project(turns_rad):
        asked.append(tuple(turns_rad))
        count, plain = len(turns_rad), features(torch.eye(4))
        return ClipFeatures(plain.descriptor.expand(count, -1, -1, -1), plain.weight.expand(count, -1, -1), plain.grid)

    assert nearly_turned(project, (0.1, 0.2, 0.3)).weight.shape == (3, 4, 4)
    assert asked == [(0.1, 0.2, 0.3)]


def test_many_turns_are_resampled_from_few():
    """Those of the whole circle from eight; each in its place."""
    asked = []
    spot = features(torch.eye(8)[3] * torch.eye(8)[6][:, None])  # of no symmetry

    def project(turns_rad):
        asked.append(np.degrees(turns_rad))
        parts = [rotated(spot, turn) for turn in turns_rad]
        return ClipFeatures(torch.cat([p.descriptor for p in parts]), torch.cat([p.weight for p in parts]), spot.grid)

    turns = Heading(None, pi).turns_rad(0.0)
    found = nearly_turned(project, turns)
    assert found.weight.shape == (72, 8, 8)
    assert len(asked) == 1
    assert len(asked[0]) <= 9
    apart = np.abs((np.degrees(turns)[:, None] - asked[0] + 180) % 360 - 180).min(axis=1)
    assert apart.max() <= 22.5 + 1e-6
    for at in (0, 9, 18, 45):  # every 45 degrees: projected itself
        torch.testing.assert_close(found.weight[at], rotated(spot, turns[at]).weight[0], atol=1e-4, rtol=0)


def test_many_turns_nearly_have_the_features_of_each(model, clip):
    turns = Heading(None, radians(30)).turns_rad(0.0)
    exact = TurnedClip(model, clip).features(turns)
    nearly = nearly_turned(TurnedClip(model, clip).features, turns)
    assert nearly.weight.shape == exact.weight.shape
    for at in range(len(turns)):
        both = exact.weight[at] * nearly.weight[at]
        alike = torch.cosine_similarity(exact.descriptor[at], nearly.descriptor[at], dim=0)
        assert float((alike * both).sum() / both.sum()) > 0.8
