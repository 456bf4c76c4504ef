"""The weights in the package: what they say of a scene that is drawn here, and what they find in a small town."""

from math import radians
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.data.clips import ClipErrors, ClipSpec, misdescribed
from cvlnet.evaluation.metrics import position_errors_m
from cvlnet.evaluation.predict import predict
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize.search import fixes_in
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.region import encode_region
from cvlnet.model.ssm import match
from cvlnet.town.dataset.synthesize import write_dataset
from cvlnet.town.presets import TownConfig
from cvlnet.types import Clip

VEHICLE_M = np.array([3.0, -2.0])  # from the tile's centre, east and north
YAW_RAD, STEP_M = 0.4, 9.0
HERE = LatLon(49.01, 8.43)
GRASS, ASPHALT, PAVING, PAINT, SKY = (90, 110, 60), (105, 105, 110), (165, 160, 150), (235, 235, 235), (200, 215, 235)


@pytest.fixture(scope="module")
def network():
    return load_model(shipped_weights())


def ground_rgb(xy_m):
    """Colours [..., 3] of a flat world at (east, north): two streets that cross, their kerbs and a dashed line.

    One street passes the vehicle in its own direction; the other crosses it 14 m ahead.
    """
    ahead, left = along(xy_m - VEHICLE_M)
    across, beside = ahead - 14.0, left + 1.8
    street = np.minimum(np.abs(beside), np.abs(across))
    rgb = np.where((street < 3.6)[..., None], ASPHALT, np.where((street < 5.6)[..., None], PAVING, GRASS)).astype(float)
    dashed = (np.abs(beside) < 0.15) & (np.abs(across) > 4.0) & (ahead % 6.0 < 3.0)
    rgb[dashed] = PAINT
    blotches = np.sin(0.9 * xy_m[..., 0] + 0.4) * np.sin(0.7 * xy_m[..., 1]) + np.sin(0.23 * xy_m.sum(axis=-1))
    return rgb + 8 * blotches[..., None]


def along(xy_m):
    """(ahead, left) of the vehicle's heading."""
    cos, sin = np.cos(YAW_RAD), np.sin(YAW_RAD)
    return xy_m[..., 0] * cos + xy_m[..., 1] * sin, -xy_m[..., 0] * sin + xy_m[..., 1] * cos


def drawn_tile(grid, center_m=(0.0, 0.0)):
    rgb = ground_rgb(grid.cell_centers_xy_m().numpy() + np.array(center_m))
    return torch.from_numpy(rgb.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def drawn_clip(spec, frames=4):
    """A vehicle that came straight along the street, a frame every nine metres, with KITTI's camera."""
    looks_ahead = Pose(torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), torch.tensor([1.08, -0.26, 1.65]))
    back_m = -STEP_M * torch.arange(frames, dtype=torch.float32)
    yaw = torch.full((frames,), YAW_RAD)
    xyz_m = torch.stack([back_m * yaw.cos(), back_m * yaw.sin(), torch.zeros(frames)], dim=-1)
    ground_from_cam = Pose.from_euler(torch.zeros(frames), torch.zeros(frames), yaw, xyz_m) @ looks_ahead
    camera = Camera(
        torch.full((frames, 2), 0.58 * spec.width_px),
        torch.tensor([spec.width_px / 2, 0.35 * spec.height_px]).repeat(frames, 1),
        spec.width_px,
        spec.height_px,
    )
    x, y = np.meshgrid(np.arange(spec.width_px) + 0.5, np.arange(spec.height_px) + 0.5)
    images = []
    for frame in range(frames):
        focal_px, (cx, cy) = 0.58 * spec.width_px, camera.principal_point_px[frame].tolist()
        rays = np.stack([(x - cx) / focal_px, (y - cy) / focal_px, np.ones_like(x)], axis=-1)
        rays = rays @ ground_from_cam.rotation[frame].numpy().astype(float).T
        origin = ground_from_cam.translation_m[frame].numpy().astype(float)
        down = rays[..., 2] < -0.01
        depth = np.where(down, origin[2] / np.where(down, -rays[..., 2], 1.0), 0.0)
        seen = ground_rgb(VEHICLE_M + origin[:2] + depth[..., None] * rays[..., :2])
        images.append(np.where(down[..., None], seen, SKY).round().clip(0, 255).astype(np.uint8))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return Clip(pixels[None], Camera.stack([camera]), Pose.stack([ground_from_cam]))


def match_drawn(model):
    """Scores of the drawn clip on the tile that it stands on, and on one that is drawn 69 m away."""
    tiles = torch.stack([drawn_tile(model.tile_grid), drawn_tile(model.tile_grid, (60.0, 35.0))])
    with torch.inference_mode():
        return match(model.encode_clip(drawn_clip(model.image_spec)), model.encode_map(tiles))


def test_a_drawn_scene_has_the_known_answer(network):
    model, _ = network
    volume = match_drawn(model)
    found = volume.decode(model.sharpness.item())

    def is_known(value, known):
        torch.testing.assert_close(value, torch.tensor(known), atol=1e-4, rtol=0)

    is_known(found.score[0], [1.387292, 1.254424])
    is_known(found.offset_m[0], [[3.416096, -1.542328], [6.566363, -9.136301]])
    is_known(found.covariance_m2[0, 0], [[3.213089, 0.654249], [0.654249, 1.844690]])
    is_known(volume.scores[0, 0, 3, 5], 0.522341)
    error_m = found.offset_m[0, 0] - torch.from_numpy(VEHICLE_M)
    assert error_m.norm() < 0.7  # what is known is right, too


def test_in_bfloat16_the_drawn_scene_has_nearly_the_same_answer(network, monkeypatch):
    monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: True)
    model, _ = load_model(shipped_weights(), "bfloat16")
    exact, rounded = match_drawn(network[0]), match_drawn(model)
    assert not torch.equal(exact.scores, rounded.scores)
    assert float(exact.scores.std()) > 0.3
    torch.testing.assert_close(rounded.scores, exact.scores, atol=0.04, rtol=0)
    offsets_m = [volume.decode(model.sharpness.item()).offset_m[0, 0] for volume in (exact, rounded)]
    assert (offsets_m[0] - offsets_m[1]).norm() < 0.2


@pytest.mark.parametrize("error_deg", [-3.0, 0.0, 3.0])
def test_a_drawn_scene_is_found_though_the_camera_looks_farther_down_than_is_described(network, error_deg):
    """Of the pitches from -2 to 2 degrees the nearest is the best; the degree that is left moves the fix by 4 m."""
    model, _ = network
    pixels = Grid(600, 600, 0.4)
    image = OverheadImage(drawn_tile(pixels).permute(1, 2, 0).numpy(), MetricRaster(HERE, 600, 600, 0.4), Path("map"))
    asked = misdescribed(drawn_clip(model.image_spec)[0], ClipErrors(pitch_rad=radians(error_deg)))
    region = encode_region(model, image)
    errors_m, scores = {}, {}
    for allowed_deg in (0.0, 3.0):
        turned = TurnedClip(model, asked, pitch_error_rad=radians(allowed_deg))
        _, (best, *_) = fixes_in(model, turned, region)
        errors_m[allowed_deg] = np.linalg.norm(LocalFrame(HERE).xy_world_m(best.position.degrees) - VEHICLE_M)
        scores[allowed_deg] = best.score
    assert errors_m[3.0] < 5.0
    assert error_deg == 0 or errors_m[0.0] > errors_m[3.0] + 2.0
    assert np.degrees(best.pitch_rad) == pytest.approx(np.sign(error_deg) * 2)
    assert (scores[3.0] > scores[0.0] + 0.03) == (error_deg != 0)


@pytest.fixture(scope="module")
def small_town(tmp_path_factory):
    """Two drives of 18 seconds, with a frame of each two seconds, in a town of a seed for validation."""
    out = tmp_path_factory.mktemp("towns") / "small"
    town = TownConfig(150_001, 200.0, 2, 180, frame_step=20, frame_width_px=512, cameras=(2,))
    write_dataset(out, (town,), name="small", workers=1)
    return out


def test_nearly_all_places_of_a_small_town_are_found(network, small_town):
    model, _ = network
    predictions = predict(model, small_town, ClipSpec(model.image_spec, frames=3), splits=("test2",), most_queries=10)
    ranking = predictions.rankings["test2"]
    true_m = predictions.true_xy_m[ranking.queries]
    errors_m = position_errors_m(ranking.xy_m, true_m)[:, 0]
    tile_m = np.linalg.norm(predictions.tile_xy_m[ranking.tile[:, 0]] - true_m, axis=-1)
    assert ranking.gallery_size >= 8
    assert (errors_m < 5.0).sum() >= 9
    assert (tile_m < 16.0).sum() >= 9
    assert np.median(errors_m) < 3.0
