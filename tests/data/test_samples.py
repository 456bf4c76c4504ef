import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from kitti_tree import NAME, place, write_kitti_cvl
from torch.utils.data import DataLoader

from cvlnet.data.batches import SpacedBatchSampler
from cvlnet.data.clips import ClipErrors, ClipSpec
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import open_tile, read_recordings, read_split
from cvlnet.data.samples import (
    Augmentation,
    ClipTileSamples,
    Draw,
    JoinedSamples,
    Sample,
    TileCrops,
    collate,
    load_tile,
)
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.imagery.overhead import OverheadImage

SPEC = ClipSpec(ImageSpec(62, 16))
GRID = Grid(64, 64, 0.5)
WINDOW = Augmentation(max_shift_m=6.0, turn_world=True, mirror_world=True, max_errors=ClipErrors(heading_rad=0.05))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_kitti_cvl(tmp_path)
    return tmp_path


def samples(
    root: Path, augmentation: Augmentation | None = None, cache: ImageCache | None = None, seed: int = 0
) -> ClipTileSamples:
    split = read_split(root, "train")
    return ClipTileSamples(split, read_recordings(split), SPEC, GRID, augmentation=augmentation, cache=cache, seed=seed)


def same(a: Sample, b: Sample) -> bool:
    return (
        torch.equal(a.tile, b.tile)
        and torch.equal(a.clip.images, b.clip.images)
        and torch.equal(a.offset_m, b.offset_m)
        and torch.equal(a.clip.ground_from_cam.rotation, b.clip.ground_from_cam.rotation)
    )


def test_without_augmentation_the_offset_is_the_vehicle_s_from_the_tile_s_centre(root: Path) -> None:
    data = samples(root)
    for index, frame in enumerate((9, 10, 12)):
        sample = data[index]
        assert sample.offset_m.tolist() == pytest.approx([0.0, frame - 10.0], abs=1e-4)  # the tile is at frame 10
        assert data.frame.xy_world_m(sample.latlon_deg.numpy()) == pytest.approx([0.0, frame - 9.0], abs=1e-4)
        assert torch.equal(sample.crop_from_world, torch.eye(2, dtype=torch.float64))
        assert sample.query_id == f"{NAME}/{frame:010d}"
        assert sample.tile.shape == (3, 64, 64)


def test_a_draw_is_one_sample_and_epochs_differ(root: Path) -> None:
    data = samples(root, WINDOW)
    assert same(data[Draw(1, 3)], samples(root, WINDOW)[Draw(1, 3)])
    assert same(data[1], data[Draw(1, 0)])
    assert not same(data[Draw(1, 3)], data[Draw(1, 4)])
    assert not same(data[Draw(1, 3)], samples(root, WINDOW, seed=1)[Draw(1, 3)])


def test_augmented_offsets_cover_the_window_and_turns_the_circle(root: Path) -> None:
    data = samples(root, WINDOW)
    drawn = [data[Draw(1, epoch)] for epoch in range(60)]
    offsets_m = torch.stack([sample.offset_m for sample in drawn])
    forward = torch.stack([sample.clip.ground_from_cam.rotation[0, :2, 2] for sample in drawn])
    assert offsets_m.abs().max() <= 6.0
    assert (offsets_m.min(dim=0).values < -4).all()
    assert (offsets_m.max(dim=0).values > 4).all()
    assert forward.mean(dim=0).norm() < 0.4


def test_the_world_takes_one_turn_in_a_batch(root: Path) -> None:
    data = samples(root, replace(WINDOW, max_errors=ClipErrors()))

    def forward(draw: Draw) -> torch.Tensor:
        return data[draw].clip.ground_from_cam.rotation[0, :2, 2]

    assert torch.allclose(forward(Draw(0, 2, 5)), forward(Draw(1, 2, 5)), atol=1e-5)
    assert not torch.allclose(forward(Draw(0, 2, 5)), forward(Draw(0, 2, 6)), atol=1e-5)
    assert not torch.allclose(forward(Draw(0, 2, 5)), forward(Draw(0, 3, 5)), atol=1e-5)


def test_the_turned_crop_shows_the_vehicle_s_place_at_its_offset(root: Path) -> None:
    """A white cross is painted where the car of frame 10 stands; in every draw it lies at the offset."""
    import cv2

    split = read_split(root, "train")
    (tile,) = split.tiles.values()
    pixels = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(pixels, (200, 200), 8, (255, 255, 255), -1)
    cv2.imwrite(str(tile.path), pixels)
    for path in (None, ImageCache(root / "cache")):
        data = samples(root, replace(WINDOW, max_errors=ClipErrors()), path)
        for epoch in range(8):
            sample = data[Draw(1, epoch)]
            weight = sample.tile[0].double() / sample.tile[0].sum()
            xy_m = (GRID.cell_centers_xy_m() * weight.unsqueeze(-1)).sum(dim=(0, 1))
            assert torch.allclose(xy_m.float(), sample.offset_m, atol=0.25)  # 200, 200 is half a pixel off the centre


def test_a_heading_error_turns_the_clip_alone(root: Path) -> None:
    none = Augmentation(0.0, False, False, ClipErrors())
    exact = samples(root, none)[1]
    wrong = samples(root, replace(none, max_errors=ClipErrors(heading_rad=0.1)))[1]
    turn = np.arccos(float(exact.clip.ground_from_cam.rotation[0, :, 2] @ wrong.clip.ground_from_cam.rotation[0, :, 2]))
    assert torch.equal(exact.tile, wrong.tile)
    assert 0 < turn <= 0.1


def test_a_wrong_calibration_is_drawn_anew_for_every_draw(root: Path) -> None:
    most = ClipErrors(height_m=0.3, focal_share=0.1)
    data = samples(root, Augmentation(0.0, False, False, most))
    exact = samples(root)[1].clip
    drawn = [data[Draw(1, epoch)].clip for epoch in range(6)]
    lower_m = torch.stack([exact.ground_from_cam.translation_m - c.ground_from_cam.translation_m for c in drawn])[
        ..., 2
    ]
    shorter = torch.stack([exact.camera.focal_px / c.camera.focal_px for c in drawn]) - 1
    assert lower_m[:, 0].unique().numel() == shorter[:, 0, 0].unique().numel() == 6
    torch.testing.assert_close(lower_m, lower_m[:, :1].expand_as(lower_m))  # one error for the frames of a clip
    assert 0.1 < lower_m.abs().max() <= 0.3
    assert 0.03 < shorter.abs().max() <= 0.1


def test_a_tile_that_is_hardly_larger_than_the_crop_is_turned_by_quarters(root: Path) -> None:
    split = read_split(root, "train")
    tight = Grid(150, 150, 0.5)  # 75 of 78 m
    data = ClipTileSamples(split, read_recordings(split), SPEC, tight, augmentation=replace(WINDOW, max_shift_m=1.0))
    drawn = [data[Draw(1, epoch)] for epoch in range(5)]
    assert all(sample.tile.shape == (3, 150, 150) for sample in drawn)
    forward = torch.stack([sample.clip.ground_from_cam.rotation[0, :2, 2] for sample in drawn])
    assert (forward.abs().amin(dim=1) < 0.06).all()  # quarter turns, and the heading error


@pytest.mark.parametrize("from_edge_m", [16.5, 20.0, 40.0])
def test_near_the_edge_of_a_map_the_crop_shows_the_vehicle(from_edge_m: float) -> None:
    """A crop of 32 m, of which no turned one fits near the edge; the map is much larger than that."""
    raster = MetricRaster(LatLon(49.0, 8.4), 800, 800, 0.5)
    image = OverheadImage(np.zeros((800, 800, 3), np.uint8), raster, Path("map.png"))
    vehicle = LatLon(*LocalFrame(image.center).latlon_deg((200.0 - from_edge_m, 30.0)).tolist())
    for item in range(20):
        placed = WINDOW.placed(image, vehicle, GRID, 0, Draw(item, 0, item))
        assert np.abs(placed.offset_m).max() <= WINDOW.max_shift_m
        seen_m = LocalFrame(placed.center).xy_world_m(vehicle.degrees) @ placed.crop_from_world.T
        assert seen_m == pytest.approx(placed.offset_m, abs=0.01)


def test_a_tile_smaller_than_the_crop(root: Path) -> None:
    split = read_split(root, "train")
    data = ClipTileSamples(split, read_recordings(split), SPEC, Grid(200, 200, 0.5))
    with pytest.raises(InputError, match=r"does not hold the crop of 100.0 x 100.0 m .*; take a larger overhead image"):
        data[0]


def test_the_cache_changes_nothing(root: Path) -> None:
    cache = ImageCache(root / "cache")
    for augmentation in (None, WINDOW):
        plain, cached = samples(root, augmentation), samples(root, augmentation, cache)
        assert all(same(plain[i], cached[i]) for i in range(3) for _ in range(2))


def test_queries_without_a_whole_clip_are_told_and_left_out(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = root / "raw_data" / NAME / "image_02" / "data"
    for frame in range(7):
        (pictures / f"{frame:010d}.png").unlink()
    with caplog.at_level(logging.WARNING):
        data = samples(root)
    assert [query.frame for query in data.queries] == [10, 12]  # 9 has two before it
    (line,) = data.left_out
    assert line == f"{root}: 1 queries of train lack frames of their clip, the first is {NAME}/0000000009"
    assert line in caplog.text
    for path in pictures.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no query has a whole clip"):
        samples(root)


def test_joined_data_sets_come_one_after_the_other(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_kitti_cvl(other)
    joined = JoinedSamples([samples(root), samples(other, WINDOW)])
    assert len(joined) == len(joined.positions) == 6
    assert same(joined[Draw(4, 2)], samples(other, WINDOW)[Draw(1, 2)])
    assert samples(root).frame.xy_world_m(joined[5].latlon_deg.numpy()) == pytest.approx([0.0, 3.0], abs=1e-4)
    with pytest.raises(ValueError, match="no data set"):
        JoinedSamples([])


def test_batches_come_out_of_a_loader(root: Path) -> None:
    data = samples(root, WINDOW)
    sampler = SpacedBatchSampler(data.positions, 2, 1.5)
    (batch,) = DataLoader(data, batch_sampler=sampler, collate_fn=collate)
    assert batch.clip.images.shape == (2, 4, 3, 16, 62)
    assert batch.clip.camera.focal_px.shape == (2, 4, 2)
    assert batch.clip.ground_from_cam.rotation.shape == (2, 4, 3, 3)
    assert batch.tiles.shape == (2, 3, 64, 64)
    assert batch.offset_m.shape == batch.latlon_deg.shape == (2, 2)
    assert torch.equal(batch.crop_from_world[0], batch.crop_from_world[1])
    assert float(np.linalg.norm(np.subtract(*data.frame.xy_world_m(batch.latlon_deg.numpy())))) >= 1.5
    assert len(set(batch.query_ids)) == 2
    assert len(batch.tile_ids) == 2


def test_gallery_crops_are_the_tiles_centres(root: Path) -> None:
    split = read_split(root, "test2")
    tile = next(iter(split.tiles.values()))
    crops = TileCrops([tile], GRID)
    assert len(crops) == 1
    assert torch.equal(crops[0], samples(root)[1].tile)
    whole = load_tile(tile, GRID)
    assert LocalFrame(place(10)).xy_world_m(whole.center.degrees) == pytest.approx([0, 0], abs=1e-6)
    assert whole.pixels.shape[0] * GRID.cell_m == pytest.approx(400 * 0.19589, abs=2 * GRID.cell_m)
    assert open_tile(tile).pixels.shape == (400, 400, 3)


def test_labels_of_tile_and_clip_agree_at_the_offset(tiny_town: Path) -> None:
    """Drawn with any turn and shift: the clip's labels are the tile's, moved by the vehicle's offset."""
    split = read_split(tiny_town, "train")
    tile_grid, clip_grid = Grid(64, 64, 1.0), Grid(32, 32, 1.0)
    augmentation = Augmentation(max_shift_m=8.0, turn_world=True, mirror_world=True, max_errors=ClipErrors())
    recordings = read_recordings(split)
    spec = ClipSpec(ImageSpec(64, 16))
    grids = (tile_grid, clip_grid)
    data = ClipTileSamples(split, recordings, spec, tile_grid, augmentation=augmentation, label_grids=grids)
    for epoch in range(4):
        sample = data[Draw(epoch % len(data), epoch)]
        assert sample.labels is not None
        tile, clip = sample.labels.tile.double(), sample.labels.clip.double()
        east, north = (round(float(value)) for value in sample.offset_m)
        moved = tile[:, 16 - north : 48 - north, 16 + east : 48 + east]
        elsewhere = tile[:, 16 + north : 48 + north, 16 - east : 48 - east]
        assert (moved - clip).abs().mean() < 8
        assert abs(east) + abs(north) < 4 or (moved - clip).abs().mean() < (elsewhere - clip).abs().mean()


def test_labels_are_stacked_only_if_all_samples_have_them(tiny_town: Path, root: Path) -> None:
    grid = Grid(64, 64, 0.5)
    split = read_split(tiny_town, "train")
    town = ClipTileSamples(split, read_recordings(split), SPEC, GRID, label_grids=(grid, grid))
    other = samples(root)
    labels = collate([town[0], town[1]]).labels
    assert labels is not None
    assert labels.tile.shape[:2] == (2, 8)
    assert collate([town[0], other[0]]).labels is None


def test_all_tensors_of_a_batch_go_to_a_device(tiny_town: Path) -> None:
    grid = Grid(64, 64, 0.5)
    split = read_split(tiny_town, "train")
    batch = collate([ClipTileSamples(split, read_recordings(split), SPEC, GRID, label_grids=(grid, grid))[0]])
    moved = batch.to(torch.device("meta"))
    assert moved.labels is not None
    tensors = (
        moved.clip.images,
        moved.clip.camera.focal_px,
        moved.clip.ground_from_cam.rotation,
        moved.tiles,
        moved.offset_m,
        moved.latlon_deg,
        moved.crop_from_world,
        moved.labels.tile,
        moved.labels.clip,
    )
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.query_ids == batch.query_ids
