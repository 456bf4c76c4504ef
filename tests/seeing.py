"""A small overhead image, a network that sees the ground itself, and a video folder on disk."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from cvlnet.checkpoint import save_tensors
from cvlnet.config import ModelConfig
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.geometry import Camera, Pose
from cvlnet.imagery.crop import crop
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.model.build import build_model
from cvlnet.model.provenance import Provenance
from cvlnet.types import Clip, ClipFeatures

TINY = ModelConfig(
    image_width_px=128,
    image_height_px=32,
    overhead_m_per_px=0.5,
    clip_cells=8,
    window_cells=2,
    channels=4,
    descriptor_channels=4,
)
MIDDLE = LatLon(49.01, 8.43)


@pytest.fixture
def middle():
    return MIDDLE


@pytest.fixture
def tiny_config():
    return TINY


@pytest.fixture
def image(tmp_path):
    """60 x 60 m of blotches, 0.5 m per pixel."""
    blotches = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    pixels = cv2.resize(blotches, (120, 120), interpolation=cv2.INTER_CUBIC)
    return OverheadImage(pixels, MetricRaster(MIDDLE, 120, 120, 0.5), tmp_path / "map.png")


@pytest.fixture
def clip():
    """One frame that looks north-east; the network below does not look at it."""
    zero = torch.zeros(1)
    level = Pose(torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), torch.tensor([0.0, 0.0, 1.65]))
    camera = Camera(torch.full((1, 2), 40.0), torch.tensor([[32.0, 10.0]]), 64, 32)
    ground_from_body = Pose.from_euler(zero, zero, zero + torch.pi / 4, torch.zeros(1, 3))
    return Clip(torch.zeros(1, 3, 32, 64, dtype=torch.uint8), camera, ground_from_body @ level)


@pytest.fixture
def place_m():
    """Where `seeing_model` stands, (east, north) of the middle."""
    return 8.0, -4.0


@pytest.fixture
def seeing_model(image, place_m):
    """Both features are the overhead colours themselves, the clip's those around `place_m`."""
    model = build_model(replace(TINY, descriptor_channels=3)).eval()
    place = LatLon(*LocalFrame(MIDDLE).latlon_deg(place_m).tolist())

    def colours(pixels):
        cells = functional.avg_pool2d(pixels.float() / 255, 4)
        return cells - 0.5

    def encode_overhead(images):
        seen = colours(images)
        return seen, torch.ones(len(seen), seen.shape[2] - 1, seen.shape[3] - 1)

    def describe_clips(turns, _):
        inner = crop(image, place, model.tile_grid)[None]
        seen = colours(inner)[..., 2:-2, 2:-2].expand(len(turns), -1, -1, -1)
        return ClipFeatures(seen, torch.ones_like(seen[:, 0]), model.clip_grid)

    model.encode_overhead, model.describe_clips = encode_overhead, describe_clips
    model.encode_frames = lambda images: torch.zeros(*images.shape[:-3], 1, 1, 1)
    model.fuse_frames = lambda frames, *_: (frames[:, 0], torch.ones(len(frames), 1, 1, dtype=torch.bool))
    return model


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_tensors(path, build_model(TINY).state_dict(), Provenance(TINY))
    return path


@pytest.fixture
def map_file(image):
    """The image on disk with its georeference."""
    cv2.imwrite(str(image.source), image.pixels[..., ::-1])
    entry = {"center": [MIDDLE.latitude_deg, MIDDLE.longitude_deg], "m_per_px": 0.5}
    image.source.with_name("georef.json").write_text(json.dumps(entry))
    return image.source


@pytest.fixture
def video(tmp_path):
    """Seven frames of a drive to the north."""
    folder = tmp_path / "video"
    (folder / "frames").mkdir(parents=True)
    rows = ["file,time_s,x_m,y_m,yaw_deg"]
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "frames" / f"{i}.png"), pixels)
        rows.append(f"{i}.png,{i / 10},0,{i},90")
    (folder / "poses.csv").write_text("\n".join(rows) + "\n")
    numbers = {"width": 64, "height": 40, "fx": 40, "fy": 40, "cx": 32, "cy": 16, "height_m": 1.65}
    (folder / "camera.json").write_text(json.dumps(numbers | {"pixel_origin": "corner"}))
    return folder
