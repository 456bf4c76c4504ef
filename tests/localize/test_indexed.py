"""Clips found by an index beside the search of every place of the same map."""

from dataclasses import replace
from math import degrees, log, radians

import numpy as np
import pytest
import torch
from torch.nn import functional

from cvlnet.data.clips import Pitch
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.index.area import Circle
from cvlnet.index.place_index import verify_index
from cvlnet.localize import indexed as indexed_module
from cvlnet.localize import turned as turned_module
from cvlnet.localize.indexed import IndexedPlaces, Places, index_places
from cvlnet.localize.search import fixes_in
from cvlnet.localize.turned import Heading, TurnedClip, rotated
from cvlnet.map import encode as encode_module
from cvlnet.map.build import build_map
from cvlnet.map.region import Region
from cvlnet.model.build import build_model
from cvlnet.model.confidence import Confidence
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.place import fit_projection
from cvlnet.types import ClipFeatures
from seeing import TINY

CLIP, CHANNELS, STEPS, CELL_M = 8, 3, 5, 2.0
ROWS, COLS = 85, 115  # places: squares of six are cut at both edges, and a block of one tile has five
MODEL = build_model(TINY)
MODEL.log_sharpness.data.fill_(log(50.0))


class Asked(TurnedClip):
    """A clip whose features are given: those of a vehicle whose recorded heading is wrong by ``error_rad``.

    gain: how much more than by a turn the features are turned, for clips too small to show a turn of a degree.
    """

    def __init__(self, seen, error_rad=0.0, gain=1.0):
        self.model, self.seen, self.error_rad, self.gain = MODEL, seen, error_rad, gain
        self.asked_rad, self._nearly = set(), {}

    def features(self, turns_rad):
        self.asked_rad.update(turns_rad)
        return ClipFeatures.joined([rotated(self.seen, self.gain * (turn + self.error_rad)) for turn in turns_rad])


def pitched_clip(*under):
    """A clip whose features are given for every pitch: a pitch with what is seen then."""
    clip = Asked(under[0][1])
    clip.__dict__["pitched"] = tuple(Asked(seen) for _, seen in under)
    for part, (pitch, _) in zip(clip.pitched, under, strict=True):
        part.pitch = pitch
    return clip


@pytest.fixture
def region(middle):
    """Random descriptors that change little from cell to cell; a hole, and places of unlike uncertainty."""
    generator = torch.Generator().manual_seed(0)
    cells = Grid(ROWS + CLIP - 1, COLS + CLIP - 1, CELL_M)
    coarse = torch.randn(1, CHANNELS, cells.rows // 6, cells.cols // 6, generator=generator)
    descriptor = functional.interpolate(coarse, (cells.rows, cells.cols), mode="bicubic")[0]
    descriptor = descriptor / (0.2 + descriptor.square().sum(dim=0, keepdim=True)).sqrt()
    known = torch.ones(cells.rows, cells.cols, dtype=torch.bool)
    known[30:50, 60:90] = False
    searched = torch.ones(ROWS, COLS, dtype=torch.bool)
    searched[30:45, 60:85] = False
    uncertainty = 0.8 + 0.4 * torch.rand(ROWS, COLS, generator=generator)
    places = Grid(ROWS, COLS, CELL_M)
    return Region((descriptor * known).half(), known, uncertainty, searched, cells, places, STEPS, middle)


def clip_at(region, row, col, seed=0):
    """What a clip sees at a place, with noise."""
    generator = torch.Generator().manual_seed(seed)
    seen = region.descriptor[None, :, row : row + CLIP, col : col + CLIP].float()
    weight = torch.rand(1, CLIP, CLIP, generator=generator)
    return ClipFeatures(seen + 0.2 * torch.randn(seen.shape, generator=generator), weight, Grid(CLIP, CLIP, CELL_M))


@pytest.fixture
def projection(region):
    clips = [clip_at(region, 7 * i % ROWS, 11 * i % COLS, i) for i in range(60)]
    return fit_projection([(region.descriptor, region.uncertainty)], clips, 12, "net")


def exhaustive(region, clip, *, turns_rad=(0.0,), **named):
    """The fixes of a search of every place, as `MapArea.find` turns the clip into the grid of a panel."""
    convergence_rad = region.frame.convergence_rad(region.places.center_xy_m)
    of_grid = tuple(turn + convergence_rad for turn in turns_rad)
    _, fixes = fixes_in(MODEL, clip, region, turns_rad=of_grid, **named)
    return [replace(fix, turn_rad=fix.turn_rad - convergence_rad) for fix in fixes]


def assert_same(fix, expected, region, *, margin=True):
    np.testing.assert_allclose(*(region.frame.xy_world_m(one.position.degrees) for one in (fix, expected)), atol=0.05)
    assert fix.tile == expected.tile
    assert fix.offset_m == pytest.approx(expected.offset_m, abs=0.05)
    np.testing.assert_allclose(fix.covariance_m2, expected.covariance_m2, atol=0.1)
    assert fix.score == pytest.approx(expected.score, abs=1e-3)
    assert fix.known_share == pytest.approx(expected.known_share, abs=1e-6)
    if margin:
        assert fix.margin == pytest.approx(expected.margin, abs=2e-3)
    assert fix.turn_rad == pytest.approx(expected.turn_rad, abs=1e-9)
    if expected.heading_sigma_rad is None:
        assert fix.heading_sigma_rad is None
    else:
        assert fix.heading_sigma_rad == pytest.approx(expected.heading_sigma_rad, abs=1e-3)


PLACES = [(0, 0), (84, 114), (83, 3), (2, 110), (40, 20), (47, 88), (54, 29), (24, 24), (25, 25), (66, 101)]


@pytest.mark.parametrize("confidence", [None, Confidence(0.0, 1.0, 1.0, 0.0, 0.5, neutral=0.6)])
@pytest.mark.parametrize("block_tiles", [24, 1])
def test_with_all_squares_as_candidates_the_fixes_are_those_of_a_search_of_all_places(
    region, projection, tmp_path, monkeypatch, block_tiles, confidence
):
    monkeypatch.setattr(indexed_module, "_BLOCK_TILES", block_tiles)
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection, kept_blocks=7)
    for place in PLACES:
        clip = Asked(clip_at(region, *place))
        fixes = found.find(clip, candidates=10**6, most=4, confidence=confidence)
        expected = exhaustive(region, clip, most=4, confidence=confidence)
        assert len(fixes) == 4
        for fix, other in zip(fixes, expected, strict=True):
            assert_same(fix, other, region)
        assert len(found._kept) <= 7


def test_with_few_candidates_the_best_fix_is_the_same(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    assert len(found.index) > 250
    for place in PLACES[4:]:  # of those at the edge the descriptors see too little of so small a clip
        clip = Asked(clip_at(region, *place))
        fixes = found.find(clip, candidates=30, most=1)
        assert len(fixes) == 1
        assert_same(fixes[0], exhaustive(region, clip, most=1)[0], region, margin=False)


@pytest.mark.parametrize(("error_deg", "width_deg"), [(13.0, 20), (-20.0, 20), (140.0, 180), (2.0, 4)])
def test_with_all_squares_as_candidates_a_rough_heading_is_found_as_by_a_search_of_all_places(
    region, projection, tmp_path, error_deg, width_deg
):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    turns_rad = Heading(None, radians(width_deg)).turns_rad(0.0)
    for place in PLACES[3:6]:
        clip = Asked(clip_at(region, *place), radians(error_deg))
        fixes = found.find(clip, turns_rad=turns_rad, candidates=10**6, most=3)
        expected = exhaustive(region, clip, turns_rad=turns_rad, most=3)
        assert len(fixes) >= 2
        for fix, other in zip(fixes, expected, strict=True):
            assert_same(fix, other, region)


@pytest.mark.parametrize("width_deg", [0, 10])
def test_of_the_pitches_the_best_is_found_as_by_a_search_of_all_places(region, projection, tmp_path, width_deg):
    """Under one pitch the clip sees what the map shows, under the others it sees what is nowhere."""
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    turns_rad = Heading(None, radians(width_deg)).turns_rad(0.0)
    right = clip_at(region, 54, 29)
    wrong = replace(right, descriptor=torch.randn(right.descriptor.shape, generator=torch.Generator().manual_seed(1)))
    clip = pitched_clip((Pitch(-0.03, 0.01), wrong), (Pitch(0.0, 0.0), wrong), (Pitch(0.03, 0.01), right))
    fixes = found.find(clip, turns_rad=turns_rad, candidates=10**6, most=3)
    expected = exhaustive(region, clip, turns_rad=turns_rad, most=3)
    for fix, other in zip(fixes, expected, strict=True):
        assert_same(fix, other, region)
        assert fix.pitch_rad == other.pitch_rad
    alone = exhaustive(region, Asked(right), turns_rad=turns_rad, most=2)
    assert fixes[0].pitch_rad == 0.03
    assert fixes[0].score == pytest.approx(alone[0].score - 0.01, abs=1e-5)
    assert fixes[0].margin <= alone[0].margin + 1e-5  # rivals of all pitches count
    assert fixes[0].position.degrees == pytest.approx(alone[0].position.degrees, abs=1e-8)


@pytest.mark.parametrize(("error_deg", "width_deg", "candidates"), [(13.0, 20, 60), (140.0, 180, 600)])
def test_with_few_candidates_the_best_fix_of_a_rough_heading_is_the_same(
    region, projection, tmp_path, error_deg, width_deg, candidates
):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    turns_rad = Heading(None, radians(width_deg)).turns_rad(0.0)
    for place in PLACES[7:]:
        clip = Asked(clip_at(region, *place), radians(error_deg))
        fixes = found.find(clip, turns_rad=turns_rad, candidates=candidates, most=1)
        assert_same(fixes[0], exhaustive(region, clip, turns_rad=turns_rad, most=1)[0], region, margin=False)
        turned_deg = (degrees(fixes[0].turn_rad) + error_deg + 180) % 360 - 180
        assert abs(turned_deg) < 10


def moved(region, anchor, east_m):
    """The region elsewhere in a map, far from its anchor."""
    cells, places = (grid.centered_at((east_m, 0.0)) for grid in (region.cells, region.places))
    return replace(region, anchor=anchor, cells=cells, places=places)


@pytest.mark.parametrize(("turns_rad", "gain"), [((0.0,), 10.0), (Heading(None, radians(10)).turns_rad(0.0), 1.0)])
def test_far_from_the_map_s_meridian_the_clip_is_turned_into_the_grid(region, projection, tmp_path, turns_rad, gain):
    """100 km from the anchor at 70 degrees the grid is turned by 2.46 degrees, for which 2.5 are taken."""
    far = moved(region, LatLon(70.0, 20.0), 1e5)
    convergence_rad = far.frame.convergence_rad((1e5, 0.0))
    assert degrees(convergence_rad) == pytest.approx(2.46, abs=0.01)
    places = Places.of_region(far, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    for place in PLACES[3:6]:
        clip = Asked(clip_at(region, *place), -convergence_rad, gain=gain)
        fixes = found.find(clip, turns_rad=turns_rad, candidates=60, most=1)
        expected = exhaustive(far, clip, turns_rad=turns_rad, most=1)
        assert fixes[0].score == pytest.approx(expected[0].score, abs=0.005)
        assert fixes[0].tile == expected[0].tile
        assert fixes[0].offset_m == pytest.approx(expected[0].offset_m, abs=0.2)
        assert fixes[0].turn_rad == pytest.approx(expected[0].turn_rad, abs=radians(0.6))


def test_a_map_is_asked_for_every_direction_of_north_in_it(region, projection, tmp_path, monkeypatch):
    """Of segments in a row from the west to the east, each is asked with the clip turned into it."""
    monkeypatch.setattr(indexed_module, "_SEGMENT_SQUARES", 4)
    monkeypatch.setattr(turned_module, "_GRID_TURN_RAD", radians(0.0005))
    far = moved(region, LatLon(70.0, 20.0), 1e5)
    places = Places.of_region(far, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    clip = Asked(clip_at(region, 40, 20))
    assert found.find(clip, most=1)
    asked = np.degrees(sorted(clip.asked_rad))
    assert len(asked) >= 5
    assert np.ptp(asked) == pytest.approx(0.0045, abs=0.0006)  # of 190 m between the middles of segments
    assert asked.mean() == pytest.approx(degrees(far.frame.convergence_rad((1e5, 0.0))), abs=0.001)
    west = Asked(clip_at(region, 40, 20))
    assert found.find(west, within=Circle((1e5 - 100, 0.0), 20.0), most=1)
    assert len(west.asked_rad) < len(asked)


def test_the_number_of_candidates_follows_that_of_places(region, projection, tmp_path, monkeypatch):
    places, asked = Places.of_region(region, "map"), []
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    search = found.index.search

    def noted(queries, most, **named):
        asked.append(most)
        return search(queries, most, **named)

    monkeypatch.setattr(found.index, "search", noted)
    for share in (1e-4, 0.5):
        monkeypatch.setattr(indexed_module, "LEAST_CANDIDATES", 20)
        monkeypatch.setattr(indexed_module, "CANDIDATE_SHARE", share)
        found.find(Asked(clip_at(region, 40, 20)), most=1)
    found.find(Asked(clip_at(region, 40, 20)), most=1, candidates=7)
    assert asked == [20, 146, 7]  # of 292 squares
    asked.clear()
    monkeypatch.setattr(indexed_module, "CANDIDATE_SHARE", 0.05)
    matched = []
    monkeypatch.setattr(
        found, "_best_places", lambda asked, firsts, groups: matched.append(groups) or (firsts[:0], torch.empty(0), 0.0)
    )
    turns_rad = Heading(None, radians(20)).turns_rad(0.0)
    assert not found.find(Asked(clip_at(region, 40, 20)), turns_rad=turns_rad)
    assert asked == [44, 44, 44]  # 0.05 x 292 x 3, for each of three groups of headings, which compete
    assert len(matched[0]) == 44
    assert set(matched[0].tolist()) <= {0, 1, 2}


def test_a_single_peak_leads_over_the_lowest_score(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    (fix,) = found.find(Asked(clip_at(region, 40, 20)), candidates=1)
    queries = projection.of_clips(clip_at(region, 40, 20))[0].numpy()
    row, col = (6 * found.index.search(queries, 1).row_col[0]).tolist()
    scores = DenseMatcher(region.descriptor, CLIP).scores(clip_at(region, 40, 20))[0] / region.uncertainty
    lowest = float(scores[row : row + 6, col : col + 6].min())
    assert fix.margin == pytest.approx(fix.score - lowest, abs=1e-3)


def test_confidences_are_those_of_scores_and_margins(region, projection, tmp_path):
    confidence = Confidence(-2.0, 1.0, 3.0, -0.5, 0.9)
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    clip = Asked(clip_at(region, 40, 20))
    for fix, expected in zip(
        found.find(clip, candidates=10**6, most=3, confidence=confidence),
        exhaustive(region, clip, most=3, confidence=confidence),
        strict=True,
    ):
        assert fix.confidence == pytest.approx(expected.confidence, abs=0.01)


def test_in_an_area_only_its_places_are_found(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    clip = Asked(clip_at(region, 40, 20))
    east_m, north_m = region.places.xy_m(torch.tensor([10.0, 100.0], dtype=torch.float64)).tolist()
    for radius_m in (1.5, 30.0):  # the smaller one holds no middle of a square
        area = Circle((east_m, north_m), radius_m)
        fixes = found.find(clip, within=area)
        assert fixes
        for fix in fixes:
            away_m = np.hypot(*(region.frame.xy_world_m(fix.position.degrees) - [east_m, north_m]))
            assert away_m <= radius_m + CELL_M  # a peak is refined between places
    outside = LatLon(*region.frame.latlon_deg((east_m - 33.0, north_m)).tolist())
    assert found.searches(outside)
    assert not found.searches(outside, area)
    assert found.searches(LatLon(*region.frame.latlon_deg((east_m, north_m)).tolist()), area)
    assert not found.searches(LatLon(*region.frame.latlon_deg((9000.0, 0.0)).tolist()))
    for turns_rad in ((0.0,), (-0.05, 0.05)):
        assert found.find(clip, turns_rad=turns_rad, within=Circle((9000.0, 0.0), 30.0)) == ()


def test_a_block_is_cut_to_an_area_once(region, projection, tmp_path, monkeypatch):
    places = Places.of_region(region, "map")
    found = IndexedPlaces(index_places(tmp_path, places, projection), places, projection)
    east_m, north_m = region.places.xy_m(torch.tensor([10.0, 100.0], dtype=torch.float64)).tolist()
    contains, cut = Circle.contains, []

    def counted(area, across_m, along_m):
        cut.append((across_m[0], along_m[0]))
        return contains(area, across_m, along_m)

    first = found.find(Asked(clip_at(region, 40, 20)), within=Circle((east_m, north_m), 30.0))
    monkeypatch.setattr(Circle, "contains", counted)
    again = found.find(Asked(clip_at(region, 40, 20)), within=Circle((east_m, north_m), 30.0))
    assert [fix.position for fix in again] == [fix.position for fix in first]
    assert len(cut) == len(found.index.entries)  # those of the index alone


def test_places_that_are_not_searched_are_neither_indexed_nor_found(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    index = index_places(tmp_path, places, projection)
    (entry,) = index.entries
    assert entry.held.shape == (15, 20)  # squares
    hidden = ~entry.held
    assert hidden.sum() == 2 * 4  # whole ones of rows 30 to 44 and columns 60 to 84
    assert hidden[5:7, 10:14].all()
    fixes = IndexedPlaces(index, places, projection).find(Asked(clip_at(region, 33, 61)), most=50)
    rows_cols = [region.places.row_col(torch.from_numpy(region.frame.xy_world_m(f.position.degrees))) for f in fixes]
    assert all(region.searched[tuple(place.round().long().tolist())] for place in rows_cols)


def test_the_index_lies_where_the_map_does(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    index = index_places(tmp_path, places, projection)
    middle_m = region.places.xy_m(torch.tensor([[2.5, 2.5], [2.5 + 6 * 3, 2.5 + 6 * 7]], dtype=torch.float64))
    np.testing.assert_allclose(index.about.lattice.xy_m(np.array([[0, 0], [3, 7]])), middle_m.numpy())


def test_an_index_of_segments_is_the_index_of_the_whole_and_is_resumed(region, projection, tmp_path, monkeypatch):
    places, clip = Places.of_region(region, "map"), clip_at(region, 40, 20)
    queries = projection.of_clips(clip)[0].numpy()
    whole = index_places(tmp_path / "whole", places, projection).search(queries, 30)
    monkeypatch.setattr(indexed_module, "_SEGMENT_SQUARES", 4)
    read = []

    def counted(part):
        read.append(part)
        if len(read) == 8:
            raise KeyboardInterrupt
        return places.region(part)

    counting = replace(places, region=counted)
    with pytest.raises(KeyboardInterrupt):
        index_places(tmp_path / "parts", counting, projection)
    assert not (tmp_path / "parts").exists()  # half an index is none: what it lacks would not be found
    parts = index_places(tmp_path / "parts", counting, projection)
    assert len(parts.entries) == 4 * 5
    assert parts.search(queries, 30).row_col.tolist() == whole.row_col.tolist()
    assert len(read) == 20 + 1  # once when it was interrupted
    verify_index(tmp_path / "parts")
    assert [path.name for path in tmp_path.iterdir()].count("parts") == len(list(tmp_path.iterdir())) - 1
    index_places(tmp_path / "parts", counting, projection)
    assert len(read) == 21


def test_an_index_of_another_map_projection_or_type_is_refused(region, projection, tmp_path):
    places = Places.of_region(region, "map")
    index = index_places(tmp_path, places, projection)
    others = [
        (replace(places, fingerprint="other"), projection, "int8"),
        (places, projection.first(11), "int8"),
        (places, projection, "float16"),
    ]
    for other, project, storage in others:
        with pytest.raises(InputError, match="holds an index of another map or kind; delete it, or keep its kind"):
            index_places(tmp_path, other, project, storage=storage)
    with pytest.raises(InputError, match="the index is of another map"):
        IndexedPlaces(index, others[0][0], projection)
    with pytest.raises(InputError, match="the index is of another descriptor"):
        IndexedPlaces(index, places, projection.first(11))


def test_a_part_of_an_index_is_refused_before_anything_is_computed(region, projection, tmp_path, monkeypatch):
    """As an interrupted copy leaves it: segments without a manifest."""
    monkeypatch.setattr(indexed_module, "_describe", lambda *_, **__: pytest.fail("computed"))
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "segment").write_bytes(b"x")
    with pytest.raises(InputError, match="v1: holds a part of an index; repeat the copy"):
        index_places(tmp_path / "v1", Places.of_region(region, "map"), projection)


def test_a_map_on_disk_is_that_in_memory(seeing_model, image, tmp_path, monkeypatch):
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 16)
    monkeypatch.setattr(indexed_module, "_BLOCK_TILES", 2)
    stored = build_map(seeing_model, image, tmp_path / "map")
    region = stored.region()
    clips = [clip_at(region, 3 * i % 20, 5 * i % 20, i) for i in range(30)]
    projection = fit_projection([(region.descriptor, region.uncertainty)], clips, 8, "net")
    on_disk, in_memory = Places.of_map(stored), Places.of_region(region, "memory")
    assert on_disk.grid == in_memory.grid
    found = [
        IndexedPlaces(index_places(tmp_path / name, places, projection), places, projection)
        for name, places in (("disk", on_disk), ("memory", in_memory))
    ]
    clip = Asked(clip_at(region, 17, 12))
    for fix, expected in zip(*(one.find(clip, most=3) for one in found), strict=True):
        assert_same(fix, expected, region)
    assert Places.of_map(build_map(seeing_model, image, tmp_path / "other")).fingerprint == on_disk.fingerprint
