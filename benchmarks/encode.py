"""How long it takes to encode a query, a clip to its fused overhead features, beside the published network."""

from __future__ import annotations

from functools import partial
from math import radians

import torch

from cvlnet.config import PITCH_ERROR_DEG, Precision
from cvlnet.localize.turned import TurnedClip
from cvlnet.model.build import build_model
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip
from measure import device_option, in_own_process, print_results, run, seconds_each
from published import published_network
from samples import CONFIGURATIONS, FRAMES, random_clips

PUBLISHED = "published network"
PITCHES = "EfficientNet-Lite0, three pitches"  # as localization encodes a clip
WAYS: tuple[tuple[str, Precision], ...] = (
    (PUBLISHED, "float32"),
    ("VGG16 (paper)", "float32"),
    ("VGG16 (paper)", "bfloat16"),
    ("EfficientNet-Lite0", "float32"),
    ("EfficientNet-Lite0", "bfloat16"),
    (PITCHES, "float32"),
)


def measure(name: str, precision: Precision, frames: int, device: torch.device) -> float:
    """Seconds a clip."""
    config = CONFIGURATIONS["VGG16 (paper)" if name == PUBLISHED else name.partition(",")[0]]
    model = published_network(frames) if name == PUBLISHED else build_model(config)
    model.to(device).eval().precision = precision
    clip = random_clips(config, clips=1, frames=frames).to(device)
    with torch.inference_mode():
        if name == PITCHES:
            assert isinstance(model, CVLNet)
            return seconds_each(partial(under_pitches, model, clip[0]))
        return seconds_each(lambda: model.encode_clip(clip))


def under_pitches(model: CVLNet, clip: Clip) -> None:
    """Encode a clip for every pitch that localization tries."""
    for pitched in TurnedClip(model, clip, pitch_error_rad=radians(PITCH_ERROR_DEG)).pitched:
        pitched.features([0.0])


def main() -> None:
    device = device_option(__doc__)
    rows = []
    for frames in (1, FRAMES):
        published_s: float | None = None
        for name, precision in WAYS:
            seconds, peak_mib = in_own_process(measure, name, precision, frames, device)
            published_s = published_s or seconds
            ratio = f"{published_s / seconds:.1f}"
            rows.append((name, precision, f"{frames}", f"{1e3 * seconds:.1f}", ratio, f"{peak_mib:.0f}"))
    header = ("network", "precision", "frames", "ms a clip", "times faster", "peak MiB")
    print_results("Encoding a query", header, rows)


if __name__ == "__main__":
    run(main)
