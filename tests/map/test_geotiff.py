import numpy as np
import pytest
import rasterio
import torch

from cvlnet.geo import LocalFrame
from cvlnet.imagery.georef import open_overhead
from cvlnet.map import encode as encode_module
from cvlnet.map.build import build_map
from cvlnet.map.encode import Window
from cvlnet.map.geotiff import write_geotiff
from cvlnet.model.build import build_model


@pytest.fixture
def opened(image, tiny_config, tmp_path, monkeypatch):
    """A map of three by three windows."""
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    torch.manual_seed(0)
    return build_map(build_model(tiny_config).eval(), image, tmp_path / "map")


@pytest.mark.parametrize(("layer", "bands"), [("preview", 4), ("features", 4), ("uncertainty", 1)])
def test_layers_are_the_map_s_values(opened, tmp_path, layer, bands):
    write_geotiff(opened, tmp_path / "out.tif", layer)
    grid = opened.header.cells
    cells = opened.read(Window(slice(0, grid.rows), slice(0, grid.cols)))
    with rasterio.open(tmp_path / "out.tif") as file:
        values = file.read()
        assert file.count == bands
    known = cells.known.numpy()
    if layer == "preview":
        assert np.array_equal(values[:3], cells.preview.numpy())
        assert np.array_equal(values[3] == 255, known)
        return
    expected = cells.descriptor.float().numpy() if layer == "features" else cells.uncertainty.numpy()[None]
    assert np.array_equal(values[:, known], expected[:, known])
    assert np.isnan(values[:, ~known]).all()


def test_the_preview_lies_where_the_imagery_does(opened, image, tmp_path):
    """What is exported is an overhead image, which shows the same colours at the same places on earth."""
    write_geotiff(opened, tmp_path / "out.tif", "preview")
    found = open_overhead(tmp_path / "out.tif")
    rows, cols = found.shape
    pixels = found.read(slice(0, rows), slice(0, cols)).pixels.astype(float)
    differences, mirrored = [], []
    for east_m in np.arange(-20.0, 21.0, 4):
        for north_m in np.arange(-20.0, 21.0, 4):
            seen = []
            for of, half, sign in ((image, 2, 1), (found, 1, 1), (found, 1, -1)):
                x, y = of.raster.xy_px(LocalFrame(image.center).latlon_deg([east_m, sign * north_m]))
                part = (image.pixels if of is image else pixels)[
                    round(y) - half : round(y) + half, round(x) - half : round(x) + half
                ]
                seen.append(part.reshape(-1, 3).mean(axis=0))
            differences.append(np.abs(seen[0] - seen[1]).mean())
            mirrored.append(np.abs(seen[0] - seen[2]).mean())
    assert np.mean(differences) < 20
    assert np.mean(mirrored) > 2 * np.mean(differences)
