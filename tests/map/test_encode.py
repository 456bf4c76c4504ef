from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.map import encode as encode_module
from cvlnet.map.encode import EncodedCells, Window, encoded, windows
from cvlnet.map.region import Layout
from cvlnet.model.build import build_model


@pytest.mark.parametrize(("rows", "cols", "side"), [(10, 10, 4), (8, 12, 4), (3, 50, 16), (16, 16, 16)])
def test_windows_cover_every_cell_once(rows, cols, side):
    count = np.zeros((rows, cols), dtype=int)
    for part in windows(Grid(rows, cols, 1.0), side):
        count[part.rows, part.cols] += 1
        assert part.rows.start % side == part.cols.start % side == 0
    assert (count == 1).all()


def test_windows_begin_at_multiples_of_four_cells():
    with pytest.raises(ValueError, match="windows begin at multiples of 4 cells, not of 6"):
        windows(Grid(10, 10, 1.0), 6)


def test_what_was_cut_is_joined():
    generator = torch.Generator().manual_seed(0)
    whole = EncodedCells(
        torch.rand(3, 10, 13, generator=generator).half(),
        torch.rand(10, 13, generator=generator),
        *(torch.rand(10, 13, generator=generator) > 0.5 for _ in range(3)),
        torch.randint(0, 256, (3, 10, 13), dtype=torch.uint8, generator=generator),
    )
    parts = windows(Grid(10, 13, 1.0), 4)
    joined = EncodedCells.joined([(part, whole[part]) for part in parts])
    assert all(torch.equal(getattr(joined, name), getattr(whole, name)) for name in whole.__dataclass_fields__)


@pytest.fixture
def model(tiny_config):
    torch.manual_seed(0)
    return build_model(tiny_config).eval()


def test_cells_far_from_the_anchor_lie_on_its_grid(seeing_model):
    """A hundred kilometres east of the anchor, where north on the grid is not the meridian's."""
    anchor = LatLon(49.0, 8.0)
    far = LocalFrame(anchor)
    center_m = np.array([90_000.0, 20_000.0])
    pixels = np.zeros((200, 200, 3), np.uint8)
    center = LatLon(*far.latlon_deg(center_m).tolist())
    raster = MetricRaster(center, 200, 200, 0.5)
    drawn = []
    for x, y in raster.xy_px(far.latlon_deg(center_m + np.array([[-38.0, 30.0], [38.0, -33.0], [0.0, 0.0]]))):
        pixels[round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4] = 255
        drawn.append([round(x), round(y)])
    marks_m = far.xy_world_m(raster.latlon_deg(drawn))
    image = OverheadImage(pixels, raster, Path("far.png"))
    layout = Layout.of(seeing_model)
    cells = layout.cells(Grid(40, 40, layout.cell_m, tuple(center_m.tolist())))
    ((_, found),) = encoded(seeing_model, image, anchor, cells, [Window(slice(0, cells.rows), slice(0, cells.cols))])
    bright = found.preview.float().mean(dim=0)
    offset_m = np.array(layout.offset_m)
    xy_m = cells.cell_centers_xy_m().numpy() - offset_m
    for mark_m in marks_m:
        near = np.linalg.norm(xy_m - mark_m, axis=-1) < 6
        weight = bright.numpy() * near
        middle_m = (xy_m * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
        assert np.abs(middle_m - mark_m).max() < 0.2  # a north that is the meridian's would be 0.6 m off


def test_damage_in_what_is_read_ahead_is_raised(model, monkeypatch):
    image = OverheadImage(
        np.zeros((200, 200, 3), np.uint8), MetricRaster(LatLon(49.0, 8.0), 200, 200, 0.5), Path("a.png")
    )
    read, calls = encode_module._read, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise InputError("is not a whole picture", where="a.png", remedy="copy it again")
        return read(*arguments)

    monkeypatch.setattr(encode_module, "_read", breaks)
    cells = Grid(40, 40, 2.0)
    found = encoded(model, image, LatLon(49.0, 8.0), cells, windows(cells, 16))
    assert [part for part, _ in islice(found, 2)] == windows(cells, 16)[:2]
    with pytest.raises(InputError, match=r"a\.png: is not a whole picture"):
        next(found)


def test_no_windows_are_no_work(model):
    image = OverheadImage(np.zeros((9, 9, 3), np.uint8), MetricRaster(LatLon(49.0, 8.0), 9, 9, 0.5), Path("a.png"))
    assert list(encoded(model, image, LatLon(49.0, 8.0), Grid(40, 40, 2.0), [])) == []
