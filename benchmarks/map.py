"""How long it takes to encode the map: a square kilometre as a whole, as localization does, and tile by tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cvlnet.geo import LatLon, MetricRaster
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.map.region import encode_region
from cvlnet.model.build import build_model
from measure import in_own_process, print_results, seconds_each
from samples import CONFIGURATIONS, random_tiles

SIDE_M = 250.0
GAP_M = 10.0  # of the tiles, as in KITTI-CVL
BATCH = 8


def measure_whole(name: str) -> tuple[float, float]:
    """Seconds a square kilometre, and MB that its features take."""
    model = build_model(CONFIGURATIONS[name]).eval()
    m_per_px = model.tile_grid.cell_m
    side_px = round(SIDE_M / m_per_px)
    pixels = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    image = OverheadImage(pixels, MetricRaster(LatLon(49.0, 8.4), side_px, side_px, m_per_px), Path("random"))
    images_a_km2 = (1000 / SIDE_M) ** 2
    region = encode_region(model, image)
    megabytes = (2 * region.descriptor.numel() + 4 * region.uncertainty.numel()) / 1e6
    return seconds_each(lambda: encode_region(model, image)) * images_a_km2, megabytes * images_a_km2


def measure_tiles(name: str) -> tuple[float, float]:
    """The same, tile by tile."""
    model = build_model(CONFIGURATIONS[name]).eval()
    tiles = random_tiles(model.tile_grid.rows, BATCH)
    tiles_a_km2 = (1000 / GAP_M) ** 2
    with torch.inference_mode():
        seconds = seconds_each(lambda: model.encode_map(tiles)) / BATCH
        features = model.encode_map(tiles[:1])
    megabytes = (2 * features.descriptor.numel() + 4 * features.uncertainty.numel()) / 1e6
    return seconds * tiles_a_km2, megabytes * tiles_a_km2


def main() -> None:
    rows = []
    for name in CONFIGURATIONS:
        for way, measure in (("as a whole", measure_whole), (f"a tile every {GAP_M:g} m", measure_tiles)):
            (seconds, megabytes), peak_mib = in_own_process(measure, name)
            rows.append((name, way, f"{seconds:.0f}", f"{megabytes:.0f}", f"{peak_mib:.0f}"))
    header = ("network", "way", "s a km2", "MB a km2", "peak MiB")
    print_results(f"Encoding the map, images of {SIDE_M:g} m", header, rows)


if __name__ == "__main__":
    main()
