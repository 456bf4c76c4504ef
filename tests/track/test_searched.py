"""A map of several panels is one grid of places; around a vehicle it is read as far as it is needed."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cvlnet.localize import area as area_module
from cvlnet.localize.area import MapArea
from cvlnet.map.build import build_map
from cvlnet.map.encode import Window
from cvlnet.map.region import Region
from cvlnet.map.store import Map
from cvlnet.track import searched as searched_module
from cvlnet.track.searched import SearchedMap
from driving import MIDDLE, At, clips, ground, latlon, model, region


@pytest.fixture
def city(tmp_path: Path) -> Map:
    return build_map(model(), ground(), tmp_path / "map")


@pytest.fixture
def panels(city: Map, monkeypatch: pytest.MonkeyPatch) -> SearchedMap:
    """The map in panels of at most 50 x 50 places, of which little is read at once."""
    monkeypatch.setattr(area_module, "_MOST_PLACES", 50 * 50)
    monkeypatch.setattr(searched_module, "_AROUND_M", 60.0)
    monkeypatch.setattr(searched_module, "_KEPT_M", 20.0)
    found = SearchedMap(model(), MapArea(model(), city))
    assert len(list(MapArea(model(), city).regions())) > 3
    return found


def test_a_region_is_searched_as_it_is() -> None:
    found = SearchedMap(model(), region())
    assert found.grid == region().places
    assert found.frame == region().frame
    assert torch.equal(found.searched, region().searched)
    assert found.around((1e6, 0.0)) is region()


@pytest.mark.parametrize("neutral", [None, 0.7])
def test_panels_have_the_scores_of_the_whole(panels: SearchedMap, city: Map, neutral: float | None) -> None:
    whole = SearchedMap(model(), MapArea(model(), city, near=MIDDLE, radius_m=1000.0))
    asked = clips(At(20.0, -30.0, 0.4), [0.4, 0.5])
    assert panels.grid == city.header.layout.places(city.header.cells)
    apart, together = panels.scores(asked, neutral), whole.scores(asked, neutral)
    assert apart.shape == (2, panels.grid.rows, panels.grid.cols)
    assert int(panels.searched.sum()) > 9000
    places_m = panels.grid.cell_centers_xy_m()
    for scores, searched in ((apart, panels), (together, whole)):
        row, col = divmod(int(scores[0].argmax()), searched.grid.cols)
        assert searched.grid.xy_m(torch.tensor([row, col]).double()).tolist() == pytest.approx([20.0, -30.0], abs=1.0)
    row_col = whole.grid.row_col(places_m).round().long()
    inside = ((row_col >= 0) & (row_col < torch.tensor([whole.grid.rows, whole.grid.cols]))).all(dim=-1)
    same = together[:, row_col[..., 0].clamp(0, whole.grid.rows - 1), row_col[..., 1].clamp(0, whole.grid.cols - 1)]
    torch.testing.assert_close(apart[:, inside], same[:, inside], atol=2e-3, rtol=0)
    assert torch.equal(apart[0].isfinite(), panels.searched)


def test_the_uncertainty_of_a_place_divides_its_score() -> None:
    whole, asked = region(), clips(At(20.0, -30.0, 0.4), [0.4])
    doubtful = replace(whole, uncertainty=whole.uncertainty * 2)
    once, twice = (SearchedMap(model(), part).scores(asked) for part in (whole, doubtful))
    searched = whole.searched
    torch.testing.assert_close(twice[:, searched], once[:, searched] / 2)


def test_what_lies_around_the_vehicle_is_read_once_until_it_has_moved_on(panels: SearchedMap) -> None:
    first = panels.around((10.0, 20.0))
    assert first is not None
    assert first.searches(latlon((10.0, 20.0)))
    assert not first.searches(latlon((10.0 + 70.0, 20.0)))
    assert panels.around((29.0, 1.0)) is first
    second = panels.around((31.0, 20.0))
    assert second is not None
    assert second is not first
    assert second.searches(latlon((31.0 + 55.0, 20.0)))
    assert panels.around((14.0, 20.0)) is second


@pytest.mark.parametrize("xy_m", [(400.0, 0.0), (0.0, -300.0), (1e5, -1e5)])
def test_off_the_map_nothing_lies_around(panels: SearchedMap, xy_m: tuple[float, float]) -> None:
    assert panels.around(xy_m) is None


def test_a_map_of_one_panel_is_read_once(city: Map) -> None:
    found = SearchedMap(model(), MapArea(model(), city))
    assert found.around((0.0, 0.0)) is found.around((90.0, 90.0))
    assert found.grid == found.around((0.0, 0.0)).places  # type: ignore[union-attr]


def test_panels_beyond_memory_are_read_one_at_a_time_and_not_around_a_vehicle(
    city: Map, panels: SearchedMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    area, read, alive = MapArea(model(), city, kept_bytes=0), list[int](), list[weakref.ref[Region]]()
    once = MapArea._read

    def counted(self: MapArea, panel: Window | None) -> Region | None:
        found = once(self, panel)
        gc.collect()
        read.append(sum(ref() is not None for ref in alive))
        if found is not None:
            alive.append(weakref.ref(found))
        return found

    monkeypatch.setattr(MapArea, "_read", counted)
    found = SearchedMap(model(), area)
    found.scores(clips(At(20.0, -30.0, 0.4), [0.4]))
    assert len(read) >= len(area.panels) > 3
    assert max(read) <= 2  # the last one, and the one before it
    assert torch.equal(found.searched, panels.searched)
    read.clear()
    assert found.around((20.0, -30.0)) is not None
    assert read == []
