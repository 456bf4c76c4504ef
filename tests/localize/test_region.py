import numpy as np
import pytest
import torch

from cvlnet.data.imagery import OverheadImage, crop, holds, lattice
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.localize.region import Region, encode_region


def test_region_holds_the_features_of_every_crop_that_the_image_holds(seeing_model, image):
    region = encode_region(seeing_model, image, gap_m=6.0)
    centers, grid = lattice(image, 6.0), seeing_model.tile_grid
    assert len(region) == len(centers) == 121
    whole = [index for index, center in enumerate(centers) if holds(image, center, grid)]
    assert len(whole) == 49
    expected = seeing_model.encode_map(torch.stack([crop(image, centers[index], grid) for index in whole])).descriptor
    torch.testing.assert_close(region.features.descriptor[whole].float(), expected, atol=1e-3, rtol=0)


def test_nothing_is_described_beyond_the_edge(seeing_model, image):
    region = encode_region(seeing_model, image, gap_m=6.0)
    north_west = region.features.descriptor[0].abs().sum(dim=0)  # centred on the image's corner
    assert not north_west[:6].any()
    assert not north_west[:, :6].any()
    assert (north_west[6:, 6:] > 0).all()


def test_near_takes_only_tiles_within_the_radius(seeing_model, image):
    near = LatLon(49.01005, 8.43)
    region = encode_region(seeing_model, image, gap_m=6.0, near=near, radius_m=8.0)
    distance_m = np.hypot(*LocalFrame(near).xy_world_m(region.centers_latlon_deg).T)
    assert 0 < len(region) < 121
    assert distance_m.max() <= 8


def test_tiles_are_named_after_their_centre(seeing_model, image):
    region = encode_region(seeing_model, image, gap_m=6.0)
    assert region.tile(60) == "49.010000_8.430000"


def test_saved_region_is_the_same(seeing_model, image, tmp_path):
    region = encode_region(seeing_model, image, gap_m=6.0, near=LatLon(49.01, 8.43), radius_m=9.0)
    path = tmp_path / "region.safetensors"
    region.save(path)
    loaded = Region.load(path)
    assert torch.equal(loaded.features.descriptor, region.features.descriptor)
    assert torch.equal(loaded.features.uncertainty, region.features.uncertainty)
    assert np.array_equal(loaded.centers_latlon_deg, region.centers_latlon_deg)
    assert loaded.features.grid == region.features.grid
    assert loaded.origin == region.origin


def test_damaged_region_is_refused(seeing_model, image, tmp_path):
    path = tmp_path / "region.safetensors"
    encode_region(seeing_model, image, gap_m=6.0).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"not a whole safetensors file .*delete it"):
        Region.load(path)


def test_weights_are_no_region(weights):
    with pytest.raises(InputError, match="no encoded map"):
        Region.load(weights)


@pytest.mark.parametrize("gap_m", [0.0, -1.0, 8.1])
def test_lattice_wider_than_the_window_is_refused(seeing_model, image, gap_m):
    with pytest.raises(InputError, match=r"at most 8\.0 m"):
        encode_region(seeing_model, image, gap_m=gap_m)


def test_map_without_tiles_near_is_refused(seeing_model, image):
    with pytest.raises(InputError, match="no tile is centred within 10 m"):
        encode_region(seeing_model, image, gap_m=6.0, near=LatLon(49.02, 8.43), radius_m=10.0)


def test_map_smaller_than_a_crop_is_searched_for_what_it_shows(seeing_model, image):
    small = OverheadImage(image.pixels[:40, :40], MetricRaster(image.center, 40, 40, 0.5), image.source)
    region = encode_region(seeing_model, small, gap_m=6.0)
    assert len(region) == 9
    assert region.features.descriptor.any()
