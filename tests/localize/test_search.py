import numpy as np
import pytest
import torch

from cvlnet.data.imagery import OverheadImage, crop
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.localize import encode_region, localize
from cvlnet.localize.region import Region
from cvlnet.localize.search import candidates, distinct, search, similarity_map
from cvlnet.model.build import build_model
from cvlnet.model.match import ScoreVolume
from cvlnet.types import MapFeatures

CELL_M, STEPS = 2.0, 5


@pytest.fixture
def line(middle):
    """Three tiles in a row, 40 m apart, of which scores are made by hand."""
    centers = LocalFrame(middle).latlon_deg([(-40.0, 0.0), (0.0, 0.0), (40.0, 0.0)])
    features = MapFeatures(torch.zeros(3, 1, 12, 12), torch.ones(3, STEPS, STEPS), Grid(12, 12, CELL_M))
    return Region(features, centers)


def volume_with(*peaks):
    """Scores of 0.1 with peaks (tile, row, column, value)."""
    scores = torch.full((3, STEPS, STEPS), 0.1)
    for tile, row, col, value in peaks:
        scores[tile, row, col] = value
    return ScoreVolume(scores, CELL_M)


def test_clip_is_found_where_it_was_taken(seeing_model, image, clip, place_m, middle):
    fixes = localize(seeing_model, clip, image, gap_m=6.0)
    east_north_m = LocalFrame(middle).xy_world_m([fixes[0].position.latitude_deg, fixes[0].position.longitude_deg])
    assert np.abs(east_north_m - place_m).max() < 1
    assert fixes[0].similarity == pytest.approx(1, abs=0.05)
    assert fixes[0].margin > 0.2


def test_clip_is_found_at_the_edge_of_the_map(seeing_model, image, clip, place_m, middle):
    """Of the image there is left what lies west of a line 3 m east of the vehicle: over half of what the clip sees."""
    cols = round((30 + place_m[0] + 3) / 0.5)
    west = LocalFrame(middle).latlon_deg([(cols / 2 - 60) * 0.5, 0.0]).tolist()
    part = OverheadImage(image.pixels[:, :cols], MetricRaster(LatLon(*west), cols, 120, 0.5), image.source)
    fixes = localize(seeing_model, clip, part, gap_m=6.0)
    assert np.abs(LocalFrame(middle).xy_world_m(fixes[0].position.degrees) - place_m).max() < 1
    assert 0.5 < fixes[0].similarity < 0.9  # what is beyond the edge counts as unlike


def test_scores_are_those_of_each_tile_alone(image, make_tiny_clip, tiny_config):
    torch.manual_seed(0)
    model = build_model(tiny_config).eval()
    region = encode_region(model, image, gap_m=6.0)
    volume = search(model, make_tiny_clip, region)
    tile = crop(image, LatLon(*region.centers_latlon_deg[60].tolist()), model.tile_grid)
    with torch.inference_mode():
        alone = model(batched(make_tiny_clip), tile[None]).scores[0, 0]
    torch.testing.assert_close(volume.scores[60], alone, atol=2e-3, rtol=0)


def test_candidates_are_each_tiles_best_in_order(line):
    volume = volume_with((0, 2, 2, 0.5), (1, 0, 4, 0.9), (2, 2, 3, 0.7))
    found = candidates(line, volume, sharpness=1000.0)
    assert found.tile.tolist() == [1, 2, 0]
    assert found.similarity.tolist() == pytest.approx([0.9, 0.7, 0.5])
    np.testing.assert_allclose(found.offset_m, [[4, 4], [2, 0], [0, 0]], atol=1e-4)
    np.testing.assert_allclose(found.xy_m, [[4, 4], [42, 0], [-40, 0]], atol=1e-3)


def test_places_are_told_once_and_ranked_with_their_lead(line):
    found = candidates(line, volume_with((0, 2, 2, 0.5), (1, 2, 2, 0.9), (2, 2, 2, 0.7)), 1000.0)
    fixes = distinct(line, found)
    assert [fix.similarity for fix in fixes] == pytest.approx([0.9, 0.7, 0.5])
    assert [fix.margin for fix in fixes] == pytest.approx([0.2, -0.2, -0.4])
    assert [fix.tile for fix in fixes] == [line.tile(i) for i in (1, 2, 0)]


def test_fixes_of_one_place_are_merged(line):
    found = candidates(line, volume_with((0, 2, 2, 0.5), (1, 2, 2, 0.9), (2, 2, 2, 0.7)), 1000.0)
    fixes = distinct(line, found, elsewhere_m=45.0)
    assert [fix.similarity for fix in fixes] == pytest.approx([0.9])
    assert fixes[0].margin == pytest.approx(0.4)  # the lead over the last, where none lies elsewhere


def test_no_more_fixes_than_asked_for(line):
    found = candidates(line, volume_with((0, 2, 2, 0.5)), 1000.0)
    assert len(distinct(line, found, most=2)) == 2


def test_fixes_stand_apart(seeing_model, image, clip):
    region = encode_region(seeing_model, image, gap_m=6.0)
    fixes = distinct(region, candidates(region, search(seeing_model, clip, region), 20.0), elsewhere_m=5.0)
    places = region.frame.xy_world_m([(f.position.latitude_deg, f.position.longitude_deg) for f in fixes])
    apart_m = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(len(places))
    assert len(fixes) > 3
    assert apart_m.min() > 5


def test_similarity_map_holds_the_best_score_at_its_place(line):
    similarity = similarity_map(line, volume_with((0, 2, 2, 0.5), (1, 0, 4, 0.9)))
    row, col = np.unravel_index(np.nanargmax(similarity.values), similarity.values.shape)
    place_m = similarity.grid.xy_m(torch.tensor([float(row), float(col)])).numpy()
    assert np.nanmax(similarity.values) == pytest.approx(0.9)
    assert np.abs(place_m - [4, 4]).max() <= CELL_M / 2 + 1e-3
    assert np.isnan(similarity.values).any()  # between the tiles


def test_similarity_map_of_a_lattice_has_no_holes(seeing_model, image, clip):
    region = encode_region(seeing_model, image, gap_m=6.0)
    values = similarity_map(region, search(seeing_model, clip, region)).values
    assert not np.isnan(values[1:-1, 1:-1]).any()


@pytest.fixture
def make_tiny_clip(clip):
    images = torch.randint(0, 256, clip.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return type(clip)(images, clip.camera, clip.ground_from_cam)


def batched(clip):
    camera, pose = clip.camera, clip.ground_from_cam
    return type(clip)(clip.images[None], type(camera).stack([camera]), type(pose).stack([pose]))
