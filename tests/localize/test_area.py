from math import degrees, pi, radians, remainder

import numpy as np
import pytest
import torch

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize import area as area_module
from cvlnet.localize.area import MapArea
from cvlnet.localize.search import fixes_in, ranked
from cvlnet.localize.turned import Heading, TurnedClip
from cvlnet.map import encode as encode_module
from cvlnet.map.build import build_map
from cvlnet.map.region import Region, encode_region
from cvlnet.types import ClipFeatures, Fix


@pytest.fixture
def town_map(seeing_model, image, tmp_path, monkeypatch):
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 16)
    return build_map(seeing_model, image, tmp_path / "map")


@pytest.mark.parametrize("most_places", [10**6, 120])
def test_a_map_in_panels_gives_the_fixes_of_the_whole(
    seeing_model, town_map, image, clip, place_m, middle, monkeypatch, most_places
):
    monkeypatch.setattr(area_module, "_MOST_PLACES", most_places)
    area = MapArea(seeing_model, town_map)
    assert len(area.panels) == (1 if most_places > 1000 else 16)
    asked = TurnedClip(seeing_model, clip)
    region, scores, fixes = area.find(asked, most=5)
    _, expected = fixes_in(seeing_model, asked, encode_region(seeing_model, image), most=5)
    assert np.abs(LocalFrame(middle).xy_world_m(fixes[0].position.degrees) - place_m).max() < 1
    for found, alone in zip(fixes, expected, strict=True):
        apart_m = LocalFrame(alone.position).xy_world_m(found.position.degrees)
        assert np.abs(apart_m).max() < 0.01
        np.testing.assert_allclose(found.covariance_m2, alone.covariance_m2, rtol=1e-3, atol=1e-3)
        assert found.score == pytest.approx(alone.score, abs=1e-3)
        assert found.margin == pytest.approx(alone.margin, abs=2e-3)
        assert found.tile == alone.tile
    assert scores.values.shape == region.searched.shape
    assert float(scores.values.max()) == pytest.approx(fixes[0].score, abs=1e-6)


def test_panels_are_read_once_as_long_as_memory_allows(seeing_model, town_map, clip, monkeypatch):
    monkeypatch.setattr(area_module, "_MOST_PLACES", 120)
    reads = []
    region = town_map.region

    def counted(**named):
        if "places" in named:  # a panel, not what lies around a place at its edge
            reads.append(1)
        return region(**named)

    monkeypatch.setattr(type(town_map), "region", lambda self, **named: counted(**named))
    for kept_bytes, expected in ((10**9, 16), (0, 32)):
        area = MapArea(seeing_model, town_map, kept_bytes=kept_bytes)
        reads.clear()
        first, again = (area.find(TurnedClip(seeing_model, clip))[2] for _ in range(2))
        assert first == again
        assert len(reads) == expected
        reads.clear()
        assert area.searches(first[0].position)
        assert not area.searches(LatLon(0.0, 0.0))
        assert len(reads) == (0 if kept_bytes else 1)  # the panel of the place alone


def test_searches_is_as_the_panels_say(seeing_model, town_map, monkeypatch, middle):
    monkeypatch.setattr(area_module, "_MOST_PLACES", 120)
    rng = np.random.default_rng(0)
    for area in (MapArea(seeing_model, town_map), MapArea(seeing_model, town_map, near=middle, radius_m=20.0)):
        places = [LatLon(*LocalFrame(middle).latlon_deg(xy_m).tolist()) for xy_m in rng.uniform(-80, 80, (60, 2))]
        found = [area.searches(place) for place in places]
        assert found == [any(region.searches(place) for region in area.regions()) for place in places]
        assert len(set(found)) == 2


def test_a_map_of_another_network_is_refused(seeing_model, town_map):
    with torch.no_grad():
        seeing_model.log_sharpness.add_(1)
    with pytest.raises(InputError, match="the map was made with other weights"):
        MapArea(seeing_model, town_map)


def region_at(anchor, middle_m, layout):
    cells = layout.cells(Grid(5, 5, layout.cell_m, middle_m))
    shape = (cells.rows, cells.cols)
    return Region(
        descriptor=torch.zeros(1, *shape).half(),
        known=torch.ones(shape, dtype=torch.bool),
        uncertainty=torch.ones(5, 5),
        searched=torch.ones(5, 5, dtype=torch.bool),
        cells=cells,
        places=layout.places(cells),
        steps=5,
        anchor=anchor,
    )


def fix(east_m, score, margin=0.0):
    position = LatLon(*LocalFrame(LatLon(49.0, 8.0)).latlon_deg([east_m, 0.0]).tolist())
    return Fix(position, "t", (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), score, margin)


def test_fixes_of_several_panels_are_ranked_and_those_of_one_place_told_once():
    found = ranked([fix(0, 0.5), fix(100, 0.9), fix(106, 0.8), fix(200, 0.7), fix(189, 0.6)])
    assert [each.score for each in found] == [0.9, 0.7, 0.6, 0.5]
    assert [each.margin for each in found] == pytest.approx([0.2, -0.2, -0.3, -0.4])
    (alone,) = ranked([fix(0, 0.5, margin=0.3)])
    assert alone.margin == 0.3
    assert alone.confidence is None


class Seeing(TurnedClip):
    """A clip whose features are given by a function of its turns."""

    def __init__(self, model, features):
        self.model, self.of_turn, self._nearly = model, features, {}

    def features(self, turns_rad):
        return self.of_turn(turns_rad)


@pytest.mark.parametrize(("error_deg", "width_deg"), [(0, 20), (13.0, 20), (-17.5, 20), (140.0, 180), (-91.0, 180)])
def test_an_unknown_heading_is_found(seeing_model, town_map, image, place_m, middle, error_deg, width_deg):
    """What the clip sees is cut from the image, turned by the error of its heading."""
    from cvlnet.imagery.crop import crop, turn_of_world

    place = LatLon(*LocalFrame(middle).latlon_deg(place_m).tolist())
    grid = Grid(seeing_model.clip_grid.rows * 4, seeing_model.clip_grid.cols * 4, seeing_model.tile_grid.cell_m)

    def features(turns_rad):
        seen = torch.stack([crop(image, place, grid, turn_of_world(turn + radians(error_deg))) for turn in turns_rad])
        colours = torch.nn.functional.avg_pool2d(seen.float() / 255, 4) - 0.5
        return ClipFeatures(colours, torch.ones_like(colours[:, 0]), seeing_model.clip_grid)

    turns = Heading(None, radians(width_deg)).turns_rad(0.0)
    _, _, fixes = MapArea(seeing_model, town_map).find(Seeing(seeing_model, features), turns_rad=turns, most=3)
    apart_m = LocalFrame(middle).xy_world_m(fixes[0].position.degrees) - place_m
    assert np.abs(apart_m).max() < 1
    off_rad = remainder(fixes[0].turn_rad + radians(error_deg), 2 * pi)
    assert abs(degrees(off_rad)) < 1.6
    assert 0 < degrees(fixes[0].heading_sigma_rad) < 4
    assert fixes[0].score > 0.95
    assert fixes[0].margin > 0.1


def test_a_map_with_nothing_to_see_is_refused(seeing_model, tmp_path, middle, monkeypatch):
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 16)
    pixels = np.zeros((100, 100, 3), np.uint8)
    valid = np.zeros((100, 100), dtype=bool)
    valid[47:50, 47:50] = True  # less than a place needs around it
    image = OverheadImage(pixels, MetricRaster(middle, 100, 100, 0.5), tmp_path / "map.png", valid)
    empty = build_map(seeing_model, image, tmp_path / "empty")
    with pytest.raises(InputError, match="the map shows nothing where it is to be searched"):
        MapArea(seeing_model, empty).find(Seeing(seeing_model, None))
