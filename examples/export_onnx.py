"""The network as ONNX, and a clip matched with a tile by ONNX Runtime alone: pip install 'cvlnet[export]'."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime

from cvlnet.checkpoint import load_network, shipped_weights
from cvlnet.model.export import export
from town import DATA


def main() -> None:
    out = DATA / "onnx"
    network, _ = load_network(shipped_weights())
    for name, difference in export(network, out).items():
        print(f"{name}.onnx differs from PyTorch by {difference:.1e} at most")
    about = json.loads((out / "model.json").read_text())
    overhead, ground, match = (onnxruntime.InferenceSession(out / f"{n}.onnx") for n in ("overhead", "ground", "match"))
    image, tile = about["image"], about["tile_grid"]
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (1, 4, 3, image["height_px"], image["width_px"]), dtype=np.uint8)
    cameras = {
        "focal_px": np.full((1, 4, 2), 300.0, np.float32),
        "principal_point_px": np.full((1, 4, 2), (image["width_px"] / 2, 45.0), np.float32),
        "rotation": np.tile(np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float32), (1, 4, 1, 1)),
        "translation_m": np.array([[[-9.0 * i, 0, 1.65] for i in range(4)]], np.float32),
    }
    tiles = rng.integers(0, 256, (1, 3, tile["rows"], tile["cols"]), dtype=np.uint8)
    clip_descriptor, clip_weight = ground.run(None, {"images": pictures, **cameras})
    tile_descriptor, tile_uncertainty = overhead.run(None, {"tiles": tiles})
    given = {
        "clip_descriptor": clip_descriptor, "clip_weight": clip_weight,
        "tile_descriptor": tile_descriptor, "tile_uncertainty": tile_uncertainty,
    }  # fmt: skip
    (scores,) = match.run(None, given)
    print("scores of every displacement:", scores.shape, f"best {scores.max():.3f}")


if __name__ == "__main__":
    main()
