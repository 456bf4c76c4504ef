"""How long it takes to encode a query: a clip of four frames, to its fused overhead features."""

from __future__ import annotations

import torch

from cvlnet.model.build import build_model
from measure import in_own_process, print_results, seconds_each
from samples import CONFIGURATIONS, FRAMES, random_clips


def measure(name: str, frames: int) -> float:
    config = CONFIGURATIONS[name]
    model = build_model(config).eval()
    clip = random_clips(config, clips=1, frames=frames)
    with torch.inference_mode():
        return seconds_each(lambda: model.encode_clip(clip))


def main() -> None:
    rows = []
    for name in CONFIGURATIONS:
        for frames in (1, FRAMES):
            seconds, peak_mib = in_own_process(measure, name, frames)
            rows.append((name, f"{frames}", f"{1e3 * seconds:.0f}", f"{1 / seconds:.1f}", f"{peak_mib:.0f}"))
    print_results("Encoding a query", ("network", "frames", "ms a clip", "clips/s", "peak MiB"), rows)


if __name__ == "__main__":
    main()
