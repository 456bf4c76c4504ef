"""Parity with the authors' network: seeded weights and inputs for every variant that a file of expected outputs names.

The weights and inputs follow from the parameters' names and from seeds alone, so that outputs of the published code can
be compared without its weights. Exits with 1 if an output differs by more than a thousandth of its largest value.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from math import cos, sin
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvlnet.model.published.network import CELLS, TILE_PX, WINDOW, PublishedVariant, published_shift_m, scores
from cvlnet.model.published.weights import M_PER_PX, published_network
from measure import print_results, run

F32 = npt.NDArray[np.float32]

COMPARED = ("ground", "overhead", "uncertainty", "score")
LARGEST_ERROR = 1e-3
FRAME_PX, YAW_RAD, TURN_RAD, STEP_M, BASELINE_M = (256, 1024), 0.4, 0.02, 3.0, 0.54
K_PX = ((721.5377 * 1024 / 1242, 0.0, 609.5593 * 1024 / 1242), (0.0, 721.5377 * 256 / 375, 172.854 * 256 / 375))


def main() -> None:
    options = parse_options()
    expected, keys = np.load(options.expected), json.loads(options.keys.read_text(encoding="utf-8"))
    names = sorted({name.rpartition("/")[0] for name in expected.files})
    if not names:
        sys.exit(f"{options.expected}: no expected outputs")
    rows, worst = [], 0.0
    for name in names:
        found = outputs(PublishedVariant.parse(name), shapes_of(name, keys))
        errors = [relative_error(found[title], expected[f"{name}/{title}"]) for title in COMPARED]
        worst = max(worst, *errors)
        rows.append((name, *(f"{error:.1e}" for error in errors)))
    print_results("Largest relative errors against the published network", ("variant", *COMPARED), rows)
    if not worst <= LARGEST_ERROR:
        sys.exit(f"an output differs by {worst:.1e} of its largest value, more than {LARGEST_ERROR:g}")


def shapes_of(name: str, keys: Mapping[str, object]) -> dict[str, Sequence[int]]:
    """Names and shapes of a variant's parameters."""
    if name not in keys:
        sys.exit(f"{name}: its parameters are not listed")
    return dict(keys[name])  # type: ignore[call-overload,no-any-return]


def outputs(variant: PublishedVariant, shapes: Mapping[str, Sequence[int]]) -> dict[str, F32]:
    """What the network of a variant says of the seeded inputs, with the seeded weights."""
    network = published_network(variant, {k: seeded(k, s) for k, s in shapes.items()}, Path(variant.name)).network
    images, xy_m, yaw_rad = clip(variant)
    k = torch.tensor([*K_PX, (0.0, 0.0, 1.0)]).expand(1, variant.pictures, 3, 3)
    with torch.no_grad():
        overhead, uncertainty = network.encode_overhead(wave(TILE_PX, TILE_PX, 300)[None])
        ground = network.encode_ground(images, k, xy_m, yaw_rad, TILE_PX / CELLS * M_PER_PX)
        volume = scores(ground, overhead, uncertainty)
    found = {
        "ground": ground,
        "overhead": overhead,
        "uncertainty": uncertainty[:, None],
        "score": volume.flatten(-2).amax(dim=-1),
        "shift": published_shift_m(volume, M_PER_PX * TILE_PX / (CELLS + 2 * WINDOW)),
    }
    return {title: value.numpy() for title, value in found.items()}


def clip(variant: PublishedVariant) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [1, n, 3, h, w], places [1, n, 2] (east, north), headings [1, n]; two cameras take turns, left first."""
    images, places_m, yaws_rad = [], [], []
    for frame in range(variant.frames):
        back_m = -STEP_M * frame
        left_m = np.array([back_m * cos(YAW_RAD), back_m * sin(YAW_RAD)])
        for right in (False, True)[: 1 + variant.stereo]:
            images.append(wave(*FRAME_PX, (200 if right else 100) + frame))
            places_m.append(left_m + right * BASELINE_M * np.array([sin(YAW_RAD), -cos(YAW_RAD)]))
            yaws_rad.append(YAW_RAD + TURN_RAD * frame)
    return torch.stack(images)[None], torch.tensor(np.array(places_m)).float()[None], torch.tensor(yaws_rad)[None]


def wave(height: int, width: int, seed: int) -> Tensor:
    """A picture [3, h, w] of smooth waves in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((3, height, width))
    for channel in range(3):
        for _ in range(3):
            fx, fy = rng.uniform(-0.06, 0.06, 2)
            total[channel] += np.sin(fx * x + fy * y + rng.uniform(0, 2 * np.pi))
    return torch.from_numpy((0.5 + total / 6).astype(np.float32))


def seeded(key: str, shape: Sequence[int]) -> Tensor:
    """The values of the parameter or buffer of that name."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    normal = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        return torch.from_numpy(np.abs(normal) * 0.5 + 0.5)
    if key.endswith("running_mean"):
        return torch.from_numpy(normal * 0.1)
    if len(shape) >= 2:
        return torch.from_numpy((normal * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32))
    return torch.from_numpy(normal * 0.05 if ".bias" in key else 1 + 0.1 * normal)


def relative_error(found: F32, wanted: F32) -> float:
    """Largest difference over the largest value; infinite if the shapes differ."""
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expected", type=Path, required=True, help=".npz of VARIANT/ground, /overhead, ...")
    parser.add_argument("--keys", type=Path, required=True, help=".json of each variant's parameters and shapes")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
