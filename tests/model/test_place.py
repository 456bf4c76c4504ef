"""Descriptors of places, on maps of smooth patterns, where pooling loses little."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.io.tensor_file import write_tensors
from cvlnet.map.header import weights_of
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.place import (
    STEP,
    PlaceProjection,
    fit_projection,
    least_uncertainty,
    pooled_clips,
    shipped_projection,
)
from cvlnet.types import ClipFeatures

CLIP, CHANNELS = 24, 2
ROWS, COLS = 40, 47  # places: six squares and a part, and seven and a part


def smooth_map(seed=0, rows=ROWS, cols=COLS):
    """Descriptors that change little within four cells, of lengths between 0.5 and 1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, CHANNELS, 10, 11, generator=generator)
    fine = functional.interpolate(coarse, (rows + CLIP - 1, cols + CLIP - 1), mode="bicubic")[0]
    return fine / (0.2 + fine.square().sum(dim=0, keepdim=True)).sqrt()


def clip_of(descriptor, row, col, weight=None):
    part = descriptor[None, :, row : row + CLIP, col : col + CLIP]
    return ClipFeatures(part, torch.ones(1, CLIP, CLIP) if weight is None else weight[None], Grid(CLIP, CLIP, 1.6))


def clips(count=40, seed=0):
    descriptor, generator = smooth_map(seed), torch.Generator().manual_seed(seed)
    parts = [
        clip_of(descriptor, *(int(torch.randint(n, (1,), generator=generator)) for n in (ROWS, COLS)))
        for _ in range(count)
    ]
    return ClipFeatures(
        torch.cat([p.descriptor for p in parts]), torch.cat([p.weight for p in parts]), Grid(CLIP, CLIP, 1.6)
    )


@pytest.fixture(scope="module")
def whole():
    """A projection onto all components, which loses nothing of what is pooled."""
    ones = torch.ones(ROWS, COLS)
    numbers = CHANNELS * (CLIP // 4) ** 2
    return fit_projection([(smooth_map(seed), ones) for seed in range(3)], [clips()], numbers, "net", {"seeds": [0]})


def best_products(projection, descriptor, clip, uncertainty=None):
    uncertainty = torch.ones(ROWS, COLS) if uncertainty is None else uncertainty
    return (projection.of_map(descriptor, uncertainty) @ projection.of_clips(clip)[0].T).max(dim=-1).values


def test_products_rise_with_the_best_score_of_each_square(whole):
    descriptor = smooth_map(5)
    clip = clip_of(descriptor, 14, 20)
    best = functional.max_pool2d(DenseMatcher(descriptor, CLIP).scores(clip), STEP, ceil_mode=True)[0]
    products = best_products(whole, descriptor, clip)
    assert products.shape == best.shape == (7, 8)
    assert divmod(int(products.argmax()), 8) == divmod(int(best.argmax()), 8) == (14 // STEP, 20 // STEP)
    assert float(torch.corrcoef(torch.stack([products.flatten(), best.flatten()]))[0, 1]) > 0.9


def test_where_nothing_changes_within_a_pool_products_are_the_scores(whole):
    """A map of one colour, and a clip that sees only what stays in its window when it is moved to a quarter."""
    weight = torch.zeros(CLIP, CLIP)
    weight[4:-4, 4:-4] = 1
    descriptor = torch.tensor([0.3, -0.4])[:, None, None].expand(CHANNELS, ROWS + CLIP - 1, COLS + CLIP - 1)
    projection = replace(whole, weight=functional.avg_pool2d(weight[None], 4)[0])
    products = best_products(projection, descriptor, clip_of(descriptor, 14, 20, weight))
    torch.testing.assert_close(products[:-1, :-1], torch.ones(6, 7), atol=2e-3, rtol=0)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (12, 18), (17, 23), (13, 22), (16, 19), (35, 41)])
def test_a_clip_is_found_wherever_in_its_square_it_was_taken(whole, row, col):
    descriptor = smooth_map(6)
    products = best_products(whole, descriptor, clip_of(descriptor, row, col))
    assert divmod(int(products.argmax()), 8) == (row // STEP, col // STEP)


def test_each_quarter_is_that_of_its_places(whole):
    """At the middle of a quarter the clip moved there is the window that is described."""
    descriptor = smooth_map(7)
    described = whole.of_map(descriptor, torch.ones(ROWS, COLS))[2, 3]
    for quarter, (row, col) in enumerate([(1, 1), (1, 4), (4, 1), (4, 4)]):
        clip = clip_of(descriptor, 2 * STEP + row, 3 * STEP + col)
        assert int((whole.of_clips(clip)[0] @ described).argmax()) == quarter


def test_products_are_divided_by_the_least_uncertainty_of_the_square(whole):
    descriptor, uncertainty = smooth_map(5), torch.full((ROWS, COLS), 2.0)
    uncertainty[3, 9] = 0.5
    clip = clip_of(descriptor, 14, 20)
    ratio = best_products(whole, descriptor, clip) / best_products(whole, descriptor, clip, uncertainty)
    expected = torch.full((7, 8), 2.0)
    expected[0, 1] = 0.5
    torch.testing.assert_close(ratio, expected)
    torch.testing.assert_close(least_uncertainty(uncertainty), expected)


def test_a_map_described_in_parts_is_described_alike(whole):
    descriptor, uncertainty = smooth_map(8), torch.rand(ROWS, COLS) + 0.5
    part = whole.of_map(descriptor[:, 12 : 30 + CLIP - 1, 18 : 42 + CLIP - 1], uncertainty[12:30, 18:42])
    torch.testing.assert_close(part, whole.of_map(descriptor, uncertainty)[2:5, 3:7])


def test_cells_that_a_clip_does_not_see_do_not_count(whole):
    clip, weight = clip_of(smooth_map(5), 14, 20), torch.ones(1, CLIP, CLIP)
    weight[..., :12] = 0
    seen = replace(clip, weight=weight)
    changed = seen.descriptor.clone()
    changed[..., :12] = 7.0
    torch.testing.assert_close(whole.of_clips(seen), whole.of_clips(replace(seen, descriptor=changed)))


def test_the_length_of_clips_and_an_empty_map_do_not_matter(whole):
    clip = clip_of(smooth_map(5), 14, 20)
    torch.testing.assert_close(whole.of_clips(clip), whole.of_clips(replace(clip, descriptor=3 * clip.descriptor)))
    assert (whole.of_map(torch.zeros(CHANNELS, ROWS + CLIP - 1, COLS + CLIP - 1), torch.ones(ROWS, COLS)) == 0).all()
    assert (whole.of_clips(replace(clip, weight=torch.zeros(1, CLIP, CLIP))) == 0).all()


def test_components_are_orthonormal_and_the_first_lose_least(whole):
    flat = whole.components.flatten(1).float()
    torch.testing.assert_close(flat @ flat.T, torch.eye(len(flat)), atol=2e-3, rtol=0)
    windows = pooled_clips(clips()).flatten(2).flatten(0, 1)
    kept = [(windows @ flat[:dims].T).square().sum().item() / windows.square().sum().item() for dims in (1, 8, 72)]
    assert kept[0] < kept[1] < kept[2]
    assert kept[1] > 0.5
    assert kept[2] == pytest.approx(1, abs=1e-3)


def test_numbers_of_the_maps_have_one_size(whole):
    described = torch.cat([whole.of_map(smooth_map(seed), torch.ones(ROWS, COLS)).flatten(0, 1) for seed in range(3)])
    torch.testing.assert_close(described.square().mean(dim=0).sqrt(), torch.ones(72), atol=0.01, rtol=0)


def test_the_first_components_are_a_projection_of_their_own(whole):
    few, clip = whole.first(5), clip_of(smooth_map(5), 14, 20)
    torch.testing.assert_close(few.of_clips(clip), whole.of_clips(clip)[..., :5])
    assert few.dims == 5
    assert few.fingerprint != whole.fingerprint == replace(whole, origin={}).fingerprint
    assert replace(whole, network="other").fingerprint != whole.fingerprint
    for dims in (0, 73):
        with pytest.raises(ValueError, match=f"1 to 72 dimensions, not {dims}"):
            whole.first(dims)


def test_nothing_to_fit_is_refused():
    ones = torch.ones(ROWS, COLS)
    with pytest.raises(ValueError, match="no maps"):
        fit_projection([], [clips()], 3, "net")
    with pytest.raises(ValueError, match="no clips"):
        fit_projection([(smooth_map(), ones)], [], 3, "net")
    with pytest.raises(ValueError, match="1 to 72 dimensions, not 73"):
        fit_projection([(smooth_map(), ones)], [clips()], 73, "net")


def test_a_file_gives_back_what_was_saved(whole, tmp_path):
    whole.save(tmp_path / "p.safetensors")
    found = PlaceProjection.load(tmp_path / "p.safetensors")
    assert found.fingerprint == whole.fingerprint
    assert (found.network, found.origin) == ("net", {"seeds": [0]})
    found.require_network("net", tmp_path)
    with pytest.raises(InputError, match="fitted to other weights"):
        found.require_network("other", tmp_path)


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({}, {"format": 2}, "format 2, not 1"),
        ({"components": torch.ones(3, 2, 6, 5)}, {}, "components of"),
        ({"components": torch.ones(3, 72)}, {}, "components of"),
        ({"components": torch.ones(3, 2, 6, 6, dtype=torch.int32)}, {}, "components is not of finite numbers"),
        ({"spread": torch.ones(4)}, {}, "4 spreads for 3 components"),
        ({"spread": torch.tensor([1.0, 0.0, 1.0])}, {}, "a spread is not positive"),
        ({"spread": torch.tensor([1.0, torch.nan, 1.0])}, {}, "spread is not of finite numbers"),
        ({"weight": torch.zeros(6, 6)}, {}, "a weight negative"),
        ({"weight": -torch.eye(6)}, {}, "a weight negative"),
        ({"weight": None}, {}, "'weight'"),
        ({"more": torch.ones(3)}, {}, "3 spreads for 3 components"),
    ],
)
def test_a_file_that_holds_no_projection_is_one_line(tensors, header, message, tmp_path):
    whole = {"components": torch.ones(3, 2, 6, 6), "spread": torch.ones(3), "weight": torch.ones(6, 6)} | tensors
    header = {"format": 1, "network": "net", "origin": {}} | header
    given = {name: tensor for name, tensor in whole.items() if tensor is not None}
    write_tensors(tmp_path / "p.safetensors", given, "cvlnet-places", header)
    with pytest.raises(InputError, match=message) as caught:
        PlaceProjection.load(tmp_path / "p.safetensors")
    assert "fit the projection to these weights again" in str(caught.value)


def test_the_shipped_projection_is_that_of_the_shipped_weights():
    projection = PlaceProjection.load(shipped_projection())
    model, _ = load_model(shipped_weights())
    projection.require_network(weights_of(model), shipped_projection())
    assert (projection.dims, projection.clip_cells) == (256, model.clip_grid.rows)
    assert all(100_000 <= seed < 200_000 for seed in projection.origin["seeds"])  # none of the test towns


def test_weights_are_no_projection():
    with pytest.raises(InputError, match="no projection of places inside"):
        PlaceProjection.load(shipped_weights())
