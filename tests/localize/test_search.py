from dataclasses import replace

import numpy as np
import pytest
import torch

from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize import encode_region, localize
from cvlnet.localize.search import Scores, distinct, local_maxima, scores_around, search
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.region import Region
from cvlnet.model.confidence import Confidence

CELL_M = 2.0


@pytest.fixture
def field(middle):
    """Fifteen by fifteen places, 2 m apart, of which scores are made by hand."""
    places = Grid(15, 15, CELL_M)
    everywhere = torch.ones(15, 15, dtype=torch.bool)
    return Region(
        descriptor=torch.zeros(1, 22, 22).half(),
        known=torch.ones(22, 22, dtype=torch.bool),
        uncertainty=everywhere.float(),
        searched=everywhere,
        cells=Grid(22, 22, CELL_M),
        places=places,
        steps=5,
        anchor=middle,
    )


def scores_with(*peaks):
    """Scores of 0.1 with peaks (row, column, value)."""
    scores = torch.full((15, 15), 0.1)
    for row, col, value in peaks:
        scores[row, col] = value
    return scores


def at_m(row, col):
    """(east, north) of a place of the field."""
    return (col - 7) * CELL_M, (7 - row) * CELL_M


def test_the_best_of_several_scores_has_the_heading_of_the_higher():
    first = Scores(torch.tensor([[1.0, 5.0], [2.0, -torch.inf]]), torch.tensor([[0, 1], [2, 0]]))
    other = Scores(torch.tensor([[3.0, 4.0], [2.0, -torch.inf]]), torch.tensor([[7, 8], [9, 0]]))
    best = Scores.best_of([first, other])
    assert best.values.tolist() == [[3.0, 5.0], [2.0, -torch.inf]]
    assert best.turn.tolist() == [[7, 1], [2, 0]]


def test_clip_is_found_where_it_was_taken(seeing_model, image, clip, place_m, middle):
    fixes = localize(seeing_model, clip, image)
    assert np.abs(LocalFrame(middle).xy_world_m(fixes[0].position.degrees) - place_m).max() < 1
    assert fixes[0].score == pytest.approx(1, abs=0.05)
    assert fixes[0].margin > 0.2


def test_clip_is_found_at_the_edge_of_the_map(seeing_model, image, clip, place_m, middle):
    """Of the image there is left what lies west of a line 3 m east of the vehicle: over half of what the clip sees."""
    cols = round((30 + place_m[0] + 3) / 0.5)
    west = LocalFrame(middle).latlon_deg([(cols / 2 - 60) * 0.5, 0.0]).tolist()
    part = OverheadImage(image.pixels[:, :cols], MetricRaster(LatLon(*west), cols, 120, 0.5), image.source)
    fixes = localize(seeing_model, clip, part)
    assert np.abs(LocalFrame(middle).xy_world_m(fixes[0].position.degrees) - place_m).max() < 1
    unlike = fixes[0].score
    assert 0.5 < unlike < 0.97  # where the neutral score is not known, what is beyond the edge counts as unlike
    for neutral in (0.0, 0.5, 1.0):
        confidence = Confidence(0.0, 1.0, 1.0, 0.0, 0.5, neutral=neutral)
        (fix, *_) = localize(seeing_model, clip, part, confidence=confidence)
        assert np.abs(LocalFrame(middle).xy_world_m(fix.position.degrees) - place_m).max() < 1
        assert fix.score == pytest.approx(unlike**2 + (1 - unlike**2) * neutral, abs=0.03)  # what is shown fits


def test_scores_are_those_of_each_tile_alone(seeing_model, image, clip):
    region = encode_region(seeing_model, image)
    scores = search(seeing_model, clip, region)
    first = torch.tensor([15, 20])  # the north-western place of a tile
    center = LatLon(*region.frame.latlon_deg(region.tile_center_m(first).numpy()).tolist())
    tile = crop(image, center, seeing_model.tile_grid)
    with torch.inference_mode():
        alone = seeing_model(batched(clip), tile[None]).scores[0, 0]
    row, col = first.tolist()
    torch.testing.assert_close(scores[row : row + 5, col : col + 5], alone, atol=5e-3, rtol=0)


def test_places_that_are_not_searched_have_no_score(seeing_model, image, clip):
    region = encode_region(seeing_model, image, near=LatLon(49.01, 8.43), radius_m=9.0)
    scores = search(seeing_model, clip, region)
    assert torch.equal(scores.isfinite(), region.searched)


def test_peaks_are_told_once_and_ranked_with_their_lead(field):
    fixes = distinct(field, scores_with((2, 3, 0.5), (7, 7, 0.9), (12, 10, 0.7)), 1000.0, most=3)
    assert [fix.score for fix in fixes] == pytest.approx([0.9, 0.7, 0.5])
    assert [fix.margin for fix in fixes] == pytest.approx([0.2, -0.2, -0.4])
    places_m = [field.frame.xy_world_m(fix.position.degrees) for fix in fixes]
    np.testing.assert_allclose(places_m, [at_m(7, 7), at_m(12, 10), at_m(2, 3)], atol=1e-3)


def test_place_is_told_by_its_tile_and_offset(field):
    fix = distinct(field, scores_with((6, 3, 0.9)), 1000.0, most=1)[0]
    assert fix.offset_m == pytest.approx((2.0, 2.0), abs=1e-3)  # a step east and north of the middle, place (7, 2)
    latitude_deg, longitude_deg = map(float, fix.tile.split("_"))
    np.testing.assert_allclose(field.frame.xy_world_m([latitude_deg, longitude_deg]), at_m(7, 2), atol=0.1)


def test_between_two_places_the_fix_lies_between(field):
    fix = distinct(field, scores_with((7, 7, 0.9), (7, 8, 0.9 - 1e-6)), 1000.0, most=1)[0]
    np.testing.assert_allclose(field.frame.xy_world_m(fix.position.degrees), (1.0, 0.0), atol=0.01)


def test_covariance_is_that_of_the_own_peak(field):
    """A higher peak within the window belongs to another place."""
    lower = distinct(field, scores_with((7, 7, 0.9), (9, 7, 0.7)), 1000.0, elsewhere_m=3.0)[1]
    np.testing.assert_allclose(lower.covariance_m2, np.eye(2) * CELL_M**2 / 12, atol=1e-3)


def test_fixes_of_one_place_are_merged(field):
    fixes = distinct(field, scores_with((7, 7, 0.9), (7, 10, 0.7)), 1000.0, most=None, elsewhere_m=100.0)
    assert [fix.score for fix in fixes] == pytest.approx([0.9])
    assert fixes[0].margin == pytest.approx(0.8)  # the lead over the lowest, where none lies elsewhere


def test_how_much_of_what_the_clip_sees_is_on_the_map(field):
    """The clip sees its left half; west of the middle column of cells the map shows nothing."""
    known = torch.ones(22, 22, dtype=torch.bool)
    known[:, :11] = False
    weight = torch.zeros(8, 8)
    weight[:, :4] = 0.5
    scores = scores_with((7, 7, 0.9), (7, 0, 0.8), (7, 14, 0.7))
    fixes = distinct(replace(field, known=known), scores, 1000.0, weight=weight, most=3)
    assert [fix.known_share for fix in fixes] == [0.0, 0.0, 1.0]  # cells 7 to 10, 0 to 3, and 14 to 17
    weight[:, 4:] = 0.25
    fixes = distinct(replace(field, known=known), scores, 1000.0, weight=weight, most=3)
    assert [fix.known_share for fix in fixes] == pytest.approx([1 / 3, 0.0, 1.0])
    assert distinct(field, scores, 1000.0)[0].known_share is None


def test_no_more_fixes_than_asked_for(field):
    assert len(distinct(field, scores_with((7, 7, 0.5)), 1000.0, most=2)) == 2


def test_fixes_stand_apart(seeing_model, image, clip):
    region = encode_region(seeing_model, image)
    fixes = distinct(region, search(seeing_model, clip, region), 20.0, most=None, elsewhere_m=5.0)
    places = region.frame.xy_world_m([fix.position.degrees for fix in fixes])
    apart_m = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(len(places))
    assert len(fixes) > 3
    assert apart_m.min() > 3


def test_slopes_are_no_peaks():
    ramp = torch.arange(25.0).reshape(5, 5)
    peaks, heights = local_maxima(ramp)
    assert peaks.tolist() == [[4, 4]]
    assert heights.tolist() == [24]
    assert len(local_maxima(torch.full((3, 3), -torch.inf))[0]) == 0


def batched(clip):
    camera, pose = clip.camera, clip.ground_from_cam
    return type(clip)(clip.images[None], type(camera).stack([camera]), type(pose).stack([pose]))


def test_around_a_place_the_scores_are_those_of_the_whole_region(seeing_model, image, clip):
    """A corner of the image is missing; of the two corners searched around one lies beside it, one at the edge."""
    holed = replace(image, valid=np.ones(image.shape, dtype=bool))
    holed.valid[:50, :50] = False
    region = encode_region(seeing_model, holed)
    features = TurnedClip(seeing_model, clip).features((0.0, 0.1))
    for neutral in (None, 0.8):
        whole = region.scores(features, seeing_model.device, neutral)
        for place in ((14, 15), (int(region.places.rows) - 6, 20)):
            found = scores_around(features, region, torch.tensor(place), 5, neutral)
            expected = whole[:, place[0] - 5 : place[0] + 6, place[1] - 5 : place[1] + 6]
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_where_the_map_shows_nothing_of_a_clip_it_has_the_neutral_score(seeing_model, image, clip):
    region = encode_region(seeing_model, image)
    features = TurnedClip(seeing_model, clip).features((0.0,))
    region.descriptor[:, :, 28:] = 0
    side = region.cells.rows - region.places.rows + 1
    shown = region.descriptor.any(dim=0).unfold(0, side, 1).unfold(1, side, 1).flatten(2)
    beyond, before = region.searched & ~shown.any(dim=2), region.searched & shown.all(dim=2)
    assert int(beyond.sum()) > 50
    assert int(before.sum()) > 50
    plain, neutral = (region.scores(features, seeing_model.device, value)[0] for value in (None, 0.8))
    torch.testing.assert_close(neutral[beyond], torch.full_like(neutral[beyond], 0.8), atol=1e-3, rtol=0)
    torch.testing.assert_close(neutral[before], plain[before], atol=1e-3, rtol=0)
    assert torch.equal(neutral.isfinite(), region.searched)
