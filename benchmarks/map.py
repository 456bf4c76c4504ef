"""How long it takes to encode the map: tiles every ten metres, a square kilometre of them."""

from __future__ import annotations

import torch

from cvlnet.localize.region import GAP_M
from cvlnet.model.build import build_model
from measure import in_own_process, print_results, seconds_each
from samples import CONFIGURATIONS, random_tiles

BATCH = 8
TILES_PER_KM2 = (1000 / GAP_M) ** 2


def measure(name: str) -> tuple[float, float]:
    """Seconds a tile, and MB that a tile's features take on disk."""
    model = build_model(CONFIGURATIONS[name]).eval()
    tiles = random_tiles(model.tile_grid.rows, BATCH)
    with torch.inference_mode():
        seconds = seconds_each(lambda: model.encode_map(tiles)) / BATCH
        features = model.encode_map(tiles[:1])
    return seconds, (2 * features.descriptor.numel() + 4 * features.uncertainty.numel()) / 1e6


def main() -> None:
    rows = []
    for name in CONFIGURATIONS:
        (seconds, megabytes), peak_mib = in_own_process(measure, name)
        minutes, size = seconds * TILES_PER_KM2 / 60, megabytes * TILES_PER_KM2
        rows.append((name, f"{1e3 * seconds:.0f}", f"{minutes:.1f}", f"{size:.0f}", f"{peak_mib:.0f}"))
    header = ("network", "ms a tile", "minutes a km2", "MB a km2", "peak MiB")
    print_results(f"Encoding the map, a tile every {GAP_M:g} m", header, rows)


if __name__ == "__main__":
    main()
