from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.imagery.crop import crop
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize.search import localize
from cvlnet.map import encode as encode_module
from cvlnet.map.region import encode_region
from cvlnet.model.build import build_model
from cvlnet.types import MapFeatures

SMALL = ModelConfig(clip_cells=16, window_cells=2, channels=8, descriptor_channels=4)


def tile_at(region, first, grid):
    """The features of the tile whose north-western place is ``first``, row and column."""
    row, col = first.tolist()
    descriptor = region.descriptor[None, :, row : row + grid.rows, col : col + grid.cols].float()
    uncertainty = region.uncertainty[None, row : row + region.steps, col : col + region.steps]
    return MapFeatures(descriptor, uncertainty, grid)


def test_places_fill_the_image_a_cell_apart(seeing_model, image):
    region = encode_region(seeing_model, image)  # 60 m, cells of 2 m
    places_m = region.places.cell_centers_xy_m()[region.searched].numpy()
    assert np.abs(places_m).max() == pytest.approx(30, abs=2)
    assert len(region) == pytest.approx(30**2, rel=0.07)
    assert region.places.rows % region.steps == 0


def test_tiles_are_the_features_of_the_crop_around_their_centre(seeing_model, image):
    region = encode_region(seeing_model, image)
    first = torch.tensor([[10, 15]])  # of the row and column of places
    tile = tile_at(region, first[0], seeing_model.map_grid)
    center = LatLon(*region.frame.latlon_deg(region.tile_center_m(first[0] + 4).numpy()).tolist())
    expected = seeing_model.encode_map(crop(image, center, seeing_model.tile_grid)[None])
    torch.testing.assert_close(tile.descriptor, expected.descriptor, atol=5e-3, rtol=0)
    assert tile.uncertainty.shape == expected.uncertainty.shape
    assert tile.grid == expected.grid


def test_network_in_blocks_gives_what_it_gives_in_one_piece(monkeypatch):
    torch.manual_seed(0)
    model = build_model(SMALL).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    image = OverheadImage(pixels, MetricRaster(LatLon(49.0, 8.4), 500, 500, 0.4), Path("map.png"))
    whole = encode_region(model, image)
    monkeypatch.setattr(encode_module, "WINDOW_PX", 256)
    parts = encode_region(model, image)
    difference = (whole.descriptor.float() - parts.descriptor.float()).norm() / whole.descriptor.float().norm()
    assert difference < 1e-3
    torch.testing.assert_close(whole.uncertainty, parts.uncertainty, atol=1e-3, rtol=0)


def test_network_gives_a_place_the_features_of_its_tile():
    torch.manual_seed(0)
    model = build_model(SMALL).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    image = OverheadImage(pixels, MetricRaster(LatLon(49.0, 8.4), 400, 400, 0.4), Path("map.png"))
    region = encode_region(model, image)
    first = torch.tensor([region.places.rows // 2, region.places.cols // 2]) // region.steps * region.steps
    center = LatLon(*region.frame.latlon_deg(region.tile_center_m(first).numpy()).tolist())
    tile = tile_at(region, first, model.map_grid)
    with torch.inference_mode():
        alone = model.encode_map(crop(image, center, model.tile_grid)[None])
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))  # of the tile's own edges the region knows nothing
    similar = torch.nn.functional.cosine_similarity(
        tile.descriptor[inner].flatten(), alone.descriptor[inner].flatten(), 0
    )
    assert similar > 0.9


def test_near_takes_only_places_within_the_radius(seeing_model, image):
    near = LatLon(49.01005, 8.43)
    region = encode_region(seeing_model, image, near=near, radius_m=8.0)
    places_m = region.places.cell_centers_xy_m()[region.searched].numpy()
    xy_m = LocalFrame(near).xy_world_m(region.frame.latlon_deg(places_m))
    assert len(region) == pytest.approx(np.pi * 4**2, rel=0.1)
    assert np.hypot(*xy_m.T).max() <= 8 + 1e-6


def test_nothing_is_described_beyond_the_edge(seeing_model, image):
    region = encode_region(seeing_model, image)
    there = region.descriptor.abs().sum(dim=0) > 0
    cells_m = region.cells.cell_centers_xy_m()
    assert torch.equal(there, (cells_m.abs() <= 30).all(dim=-1))


def test_holes_are_not_known_not_described_and_not_searched(seeing_model, image):
    """The north-eastern quarter is missing."""
    valid = np.ones((120, 120), bool)
    valid[:60, 60:] = False
    holed = replace(image, pixels=np.where(valid[..., None], image.pixels, 0).astype(np.uint8), valid=valid)
    whole, region = encode_region(seeing_model, image), encode_region(seeing_model, holed)
    cells_m, places_m = region.cells.cell_centers_xy_m(), region.places.cell_centers_xy_m()
    gone = (cells_m > 0).all(dim=-1)
    assert torch.equal(region.known, whole.known & ~gone)
    assert not region.descriptor[:, gone].any()
    inside = (places_m > 0).all(dim=-1)
    assert not region.searched[inside & (places_m > 1).all(dim=-1)].any()
    outside = (places_m < -1).any(dim=-1)
    assert torch.equal(region.searched[outside], whole.searched[outside])
    assert torch.equal(region.descriptor[:, ~gone], whole.descriptor[:, ~gone])  # the network here sees single pixels


def test_a_clip_is_not_found_in_a_hole(seeing_model, image, clip, place_m):
    valid = np.ones((120, 120), bool)
    col, row = (60 + place_m[0] / 0.5, 60 - place_m[1] / 0.5)
    valid[int(row) - 12 : int(row) + 12, int(col) - 12 : int(col) + 12] = False
    best = localize(seeing_model, clip, replace(image, valid=valid))[0]
    apart_m = np.linalg.norm(LocalFrame(image.center).xy_world_m(best.position.degrees) - place_m)
    assert apart_m > 5
    assert best.score < 0.9


def test_an_image_without_anything_is_refused(seeing_model, image):
    with pytest.raises(InputError, match="the map shows nothing where it is to be searched"):
        encode_region(seeing_model, replace(image, valid=np.zeros((120, 120), bool)))


def test_a_file_that_is_read_by_windows_gives_the_same_region(seeing_model, map_file, monkeypatch):
    whole = encode_region(seeing_model, open_overhead(map_file))
    monkeypatch.setattr("cvlnet.imagery.georef._WHOLE_PX", 0)
    windows = encode_region(seeing_model, open_overhead(map_file))
    assert torch.equal(whole.descriptor, windows.descriptor)
    assert torch.equal(whole.searched, windows.searched)


def test_map_without_places_near_is_refused(seeing_model, image):
    with pytest.raises(InputError, match="nothing within 10 m of"):
        encode_region(seeing_model, image, near=LatLon(49.02, 8.43), radius_m=10.0)


def test_map_of_a_country_is_refused(seeing_model, image):
    country = OverheadImage(image.pixels, MetricRaster(image.center, 120, 120, 2000.0), image.source)
    with pytest.raises(InputError, match=r"240\.0 x 240\.0 km are too much"):
        encode_region(seeing_model, country)
    assert len(encode_region(seeing_model, country, near=image.center, radius_m=10.0)) > 50


def test_map_smaller_than_a_crop_is_searched_for_what_it_shows(seeing_model, image):
    small = OverheadImage(image.pixels[:16, :16], MetricRaster(image.center, 16, 16, 0.5), image.source)
    region = encode_region(seeing_model, small)
    assert len(region) in (9, 16, 25)
    assert region.descriptor.any()
