"""The overhead map of a town is imagery like any other: a data set is made of it, trained on and evaluated."""

import numpy as np
import pytest

from cvlnet.cli import run
from cvlnet.data.kitti_cvl import open_tile, read_split
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop
from cvlnet.town.dataset.survey import survey
from cvlnet.town.dataset.tiles import map_grid
from cvlnet.town.presets import TownConfig
from cvlnet.town.render.overhead import render_overhead
from cvlnet.town.streams import stream
from geotiffs import write_geotiff

GRID = Grid(200, 200, 0.5)
SMALL = "--image-width-px 128 --image-height-px 32 --clip-cells 16 --window-cells 2 --channels 8"


@pytest.fixture(scope="module")
def imagery(tmp_path_factory, tiny_town):
    """The overhead map of ``tiny_town`` as a GeoTIFF."""
    config = TownConfig(7, 220.0, drives=3, frames_per_drive=12, frame_width_px=621)
    town = survey(config, 0)
    grid = map_grid(config)
    picture = render_overhead(town.scene, grid, config.nuisances, stream(config.seed, "flight"))
    latitude_deg, longitude_deg = town.frame.anchor.degrees
    path = tmp_path_factory.mktemp("imagery") / "town.tif"
    crs = f"+proj=aeqd +lat_0={latitude_deg!r} +lon_0={longitude_deg!r} +datum=WGS84 +units=m"
    write_geotiff(path, picture, crs, -grid.size_m[0] / 2, grid.size_m[1] / 2, config.overhead_m_per_px)
    return path


@pytest.mark.slow
def test_tiles_cut_by_a_town_s_lists_show_what_the_town_s_own_tiles_show(tmp_path, tiny_town, imagery):
    command = f"dataset build --drives {tiny_town} --imagery {imagery} --lists {tiny_town} --out {tmp_path / 'cut'}"
    assert run([*command.split(), "--tile-m", "104"]) == 0
    for name in ("train", "test1"):
        own, cut = read_split(tiny_town, name), read_split(tmp_path / "cut", name)
        assert cut.queries == own.queries
        for tile in own.tiles.values():
            expected, seen = (crop(open_tile(t), tile.center, GRID).double() for t in (tile, cut.tiles[tile.id]))
            assert (expected - seen).abs().mean() < 3
            shifted = np.roll(expected.numpy(), 1, axis=2)
            assert np.abs(shifted - seen.numpy()).mean() > 2 * (expected - seen).abs().mean()


@pytest.mark.slow
def test_what_is_made_of_a_town_is_trained_on_and_evaluated(tmp_path, tiny_town, imagery, capsys):
    out, trained = tmp_path / "made", tmp_path / "run"
    made = f"dataset build --drives {tiny_town / 'raw_data'} --imagery {imagery} --out {out}"
    assert run(f"{made} --first-query 3 --tile-m 104 --test-share 0.3".split()) == 0
    assert "outside the imagery" not in capsys.readouterr().out
    training = f"train {out} --out {trained} --steps 2 --batch-size 2 --neighbours 2 --frames 2 --min-distance-m 0.5"
    assert run(f"{training} --workers 0 {SMALL}".split()) == 0
    evaluation = f"evaluate {out} --weights {trained / 'best.safetensors'} --out {tmp_path / 'report'} --frames 2"
    assert run(f"{evaluation} --most-queries 4 --workers 0".split()) == 0
    assert (tmp_path / "report" / "index.html").is_file()
