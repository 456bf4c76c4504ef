import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.map import build as build_module
from cvlnet.map import encode as encode_module
from cvlnet.map import overlay as overlay_module
from cvlnet.map import versions as versions_module
from cvlnet.map.arrays import MapArrays
from cvlnet.map.build import build_map, in_this_process, planned
from cvlnet.map.encode import EncodedCells, Window
from cvlnet.map.overlay import merge_maps, update_map
from cvlnet.map.region import encode_region
from cvlnet.map.store import Map
from cvlnet.model.build import build_model

ALL = Window(slice(0, None), slice(0, None))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Windows of 16 cells, so that small images have several."""
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 32)


@pytest.fixture
def model(tiny_config):
    torch.manual_seed(3)
    return build_model(tiny_config).eval()


def image_of(size_px, seed, middle, east_m=0.0, north_m=0.0, name="map.png"):
    """Blotches of 0.5 m per pixel around a place."""
    blotches = np.random.default_rng(seed).integers(0, 256, (size_px // 6, size_px // 6, 3), dtype=np.uint8)
    pixels = cv2.resize(blotches, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    center = LatLon(*LocalFrame(middle).latlon_deg([east_m, north_m]).tolist())
    return OverheadImage(pixels, MetricRaster(center, size_px, size_px, 0.5), Path(name))


def everything(opened: Map) -> EncodedCells:
    cells = opened.header.cells
    return opened.read(Window(slice(0, cells.rows), slice(0, cells.cols)))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_map_is_the_region_of_its_imagery(model, image, tmp_path):
    region = encode_region(model, image)
    opened = build_map(model, image, tmp_path / "map")
    found = opened.region()
    assert torch.equal(found.descriptor, region.descriptor)
    assert torch.equal(found.uncertainty, region.uncertainty)
    assert torch.equal(found.searched, region.searched)
    assert torch.equal(found.known, region.known)
    assert (found.cells, found.places, found.anchor, found.steps) == (
        region.cells,
        region.places,
        region.anchor,
        region.steps,
    )


def test_a_part_of_a_map_lies_where_the_whole_has_it(model, image, tmp_path, middle):
    opened = build_map(model, image, tmp_path / "map")
    whole = opened.region()
    near = LatLon(*LocalFrame(middle).latlon_deg([9.0, 5.0]).tolist())
    part = opened.region(near=near, radius_m=7.0)
    assert part.places.rows < whole.places.rows
    places_m = part.places.cell_centers_xy_m()
    distance_m = torch.linalg.vector_norm(places_m - torch.tensor([9.0, 5.0]), dim=-1)
    assert torch.equal(part.searched, distance_m <= 7.0)
    assert len(part) == pytest.approx(np.pi * 7**2 / 2**2, rel=0.2)
    indices = whole.places.row_col(places_m).round().long()
    rows, cols = indices[..., 0], indices[..., 1]
    torch.testing.assert_close(whole.places.xy_m(indices.double()), places_m)
    assert torch.equal(part.uncertainty, whole.uncertainty[rows, cols])
    row, col = indices[0, 0].tolist()
    seen = whole.descriptor[:, row : row + part.cells.rows, col : col + part.cells.cols]
    assert torch.equal(part.descriptor, seen)
    assert torch.equal(part.tile_center_m(torch.tensor([0, 0])), whole.tile_center_m(indices[0, 0]))


def test_int8_rounds_to_half_a_step(model, image, tmp_path):
    exact = everything(build_map(model, image, tmp_path / "half"))
    rounded = build_map(model, image, tmp_path / "int8", storage="int8")
    difference = (everything(rounded).descriptor - exact.descriptor).abs()
    assert 0 < float(difference.max()) < 0.51 / 127
    sizes = [Map.open(tmp_path / name).size_bytes for name in ("half", "int8")]
    assert sizes[1] < 0.8 * sizes[0]


def test_windows_without_imagery_have_no_chunks(model, middle, tmp_path):
    image = image_of(300, 0, middle)
    valid = np.ones((300, 300), dtype=bool)
    valid[:, :200] = False
    opened = build_map(model, replace(image, valid=valid), tmp_path / "map")
    chunks = [name for name in opened.manifest if name.startswith("descriptor/c/")]
    columns = {int(name.rsplit("/", 1)[1]) for name in chunks}
    assert 0 < len(chunks) < 25
    assert min(columns) >= 2
    assert not everything(opened).known[:, :30].any()
    assert float(opened.region().searched.float().mean()) == pytest.approx(1 / 3, abs=0.08)


def test_the_preview_is_the_imagery(model, image, tmp_path):
    preview = build_map(model, image, tmp_path / "map").preview()
    east_m, north_m = np.meshgrid(np.arange(-24.0, 25.0, 4), np.arange(-24.0, 25.0, 4))

    def colours(of, xy_m, reach):
        seen = []
        for x, y in of.raster.xy_px(LocalFrame(image.center).latlon_deg(xy_m)):
            rows, cols = (slice(round(v) - reach, round(v) + reach) for v in (y, x))
            seen.append(of.pixels[rows, cols].reshape(-1, 3).mean(axis=0))
        return np.array(seen)

    places_m = np.stack([east_m.ravel(), north_m.ravel()], axis=-1)
    expected, found = colours(image, places_m, 4), colours(preview, places_m, 1)
    assert np.abs(found - expected).mean() < 12
    assert np.abs(colours(preview, places_m * [1, -1], 1) - expected).mean() > 25
    assert preview.valid[preview.shape[0] // 2, preview.shape[1] // 2]
    assert not preview.valid[0, 0]


def test_what_is_built_already_is_returned_and_anything_else_refused(model, image, middle, tmp_path, tiny_config):
    out = tmp_path / "map"
    build_map(model, image, out)
    before = files_of(out)
    build_map(model, image, out)
    assert files_of(out) == before
    with pytest.raises(InputError, match="holds a map of other imagery, weights or settings; update it by cvlnet"):
        build_map(model, image_of(120, 5, middle), out)
    other = build_model(tiny_config).eval()
    with pytest.raises(InputError, match="other imagery, weights"):
        build_map(other, image, out)
    with pytest.raises(InputError, match="made with other weights; give the weights that made it"):
        Map.open(out).require_made_by(other)


class Interruption(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_interrupted_build_goes_on_and_ends_the_same(model, image, tmp_path, after):
    whole = build_map(model, image, tmp_path / "whole")

    def engine(folder, header, parts, progress):
        in_this_process(model, image)(folder, header, parts[:after], progress)
        raise Interruption

    out = tmp_path / "parts"
    with pytest.raises(Interruption):
        build_map(model, image, out, engine=engine)
    with pytest.raises(InputError, match="there is no map"):
        Map.open(out)
    counted = []

    def rest(folder, header, parts, progress):
        counted.extend(parts)
        in_this_process(model, image)(folder, header, parts, progress)

    build_map(model, image, out, engine=rest)
    assert len(counted) == len(encode_module.windows(whole.header.cells, whole.header.window)) - after
    assert files_of(out / "v1") == files_of(tmp_path / "whole" / "v1")
    with pytest.raises(InputError, match="no map"):
        Map.open(tmp_path)


def test_an_unfinished_map_of_other_imagery_is_not_continued(model, image, middle, tmp_path):
    def engine(folder, header, parts, progress):
        raise Interruption

    with pytest.raises(Interruption):
        build_map(model, image, tmp_path / "map", engine=engine)
    with pytest.raises(InputError, match="holds an unfinished map of other imagery, weights or settings; repeat the"):
        build_map(model, image_of(120, 5, middle), tmp_path / "map")


def test_a_map_that_was_finished_but_not_published_is_published(model, image, tmp_path, monkeypatch):
    def killed(*_):
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(versions_module, "_point", killed)
        with pytest.raises(Interruption):
            build_map(model, image, tmp_path / "map")
    assert not (tmp_path / "map" / "map.json").exists()
    build_map(model, image, tmp_path / "map").verify()
    build_map(model, image, tmp_path / "whole")
    assert files_of(tmp_path / "map" / "v1") == files_of(tmp_path / "whole" / "v1")


def test_a_writer_killed_before_it_tidied_up_leaves_a_map_that_can_be_updated(model, middle, tmp_path, monkeypatch):
    def killed(*_):
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(versions_module.shutil, "rmtree", killed)
        with pytest.raises(Interruption):
            build_map(model, image_of(120, 0, middle), tmp_path / "map")
    assert (tmp_path / "map" / ".building").is_dir()
    newer = image_of(180, 1, middle, 10.0, 10.0, "newer.png")
    update_map(model, tmp_path / "map", newer).verify()
    assert not (tmp_path / "map" / ".building").exists()


KILLED = """
import sys, time, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cvlnet.map import encode
encode.WINDOW_PX, encode._MARGIN_PX = 64, 32
torch.set_num_threads(1)
from cvlnet.checkpoint import load_model
from cvlnet.imagery.georef import open_overhead
from cvlnet.map.build import build_map, in_this_process
model, _ = load_model(Path(sys.argv[2]))
image = open_overhead(Path(sys.argv[3]))
def told(*arguments):
    print("begun", flush=True)
    in_this_process(model, image)(*arguments)
build_map(model, image, Path(sys.argv[4]), engine=told)
print("ended", flush=True)
"""


@pytest.mark.slow
def test_a_build_that_is_killed_at_any_point_ends_the_same(weights, map_file, tmp_path):
    source = Path(build_module.__file__).parents[2]

    def start(out):
        command = [sys.executable, "-c", KILLED, str(source), str(weights), str(map_file), str(out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole = start(tmp_path / "whole")
    assert whole.communicate(timeout=120)[0].endswith("ended\n")
    out, killed = tmp_path / "killed", 0
    wanted = len(list((tmp_path / "whole" / "v1" / "state").rglob("*"))) or 1
    for share in (0.1, 0.4, 0.8):
        process = start(out)
        assert process.stdout.readline() == "begun\n"
        while process.poll() is None:
            done = len(list((out / ".building" / "map" / "state").rglob("*")))
            if done >= share * wanted:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
    assert start(out).communicate(timeout=120)[0].endswith("ended\n")
    assert killed >= 2
    assert files_of(out / "v1") == files_of(tmp_path / "whole" / "v1")


def test_two_writers_at_once_are_refused(model, image, tmp_path):
    def engine(folder, header, parts, progress):
        with pytest.raises(InputError, match="another process is writing this map; wait until it has ended"):
            build_map(model, image, tmp_path / "map")
        in_this_process(model, image)(folder, header, parts, progress)

    build_map(model, image, tmp_path / "map", engine=engine)


def test_an_update_replaces_the_inside_of_newer_imagery_and_adds_what_was_missing(model, middle, tmp_path, monkeypatch):
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    old = build_map(model, image_of(240, 0, middle), tmp_path / "map")  # 120 m
    before = everything(old)
    newer = image_of(120, 1, middle, 50.0, 40.0, "newer.png")  # from (20, 10) to (80, 70)
    new = update_map(model, tmp_path / "map", newer)
    assert [source.name for source in new.header.sources] == ["map.png", "newer.png"]
    cells, old_cells = new.header.cells, old.header.cells
    xy_m = cells.cell_centers_xy_m()
    found = everything(new)
    row, col = (round(x) for x in cells.row_col(old_cells.xy_m(torch.zeros(2, dtype=torch.float64))).tolist())
    old_on_new = torch.zeros_like(found.descriptor)
    old_on_new[:, row : row + old_cells.rows, col : col + old_cells.cols] = before.descriptor
    same = (found.descriptor == old_on_new).all(dim=0)
    from_newer_m = (xy_m - torch.tensor([50.0, 40.0])).abs().amax(dim=-1)
    in_old = xy_m.abs().amax(dim=-1) < 58
    assert same[in_old & (from_newer_m > 32)].all()  # outside, the old cells
    assert same[in_old & (from_newer_m < 30) & (from_newer_m > 24)].all()  # and along the edge of the newer
    assert same[from_newer_m < 20].float().mean() < 0.02  # inside, the newer
    assert found.known[from_newer_m < 28].all()  # and beyond the old map
    assert float(cells.corners_xy_m()[1, 0]) > 80
    alone = build_map(model, newer, tmp_path / "alone", onto=old)
    own = alone.header.cells
    row, col = (round(x) for x in own.row_col(cells.xy_m(torch.zeros(2, dtype=torch.float64))).tolist())
    of_newer = everything(alone).descriptor[:, row : row + cells.rows, col : col + cells.cols]
    inside = from_newer_m < 20
    torch.testing.assert_close(found.descriptor[:, inside], of_newer[:, inside], atol=2e-3, rtol=0)


def test_an_interrupted_update_leaves_the_old_map_and_goes_on(model, middle, tmp_path, monkeypatch):
    build_map(model, image_of(240, 0, middle), tmp_path / "map")
    shutil.copytree(tmp_path / "map", tmp_path / "other")
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    newer = image_of(180, 1, middle, 10.0, 10.0, "newer.png")
    before = files_of(tmp_path / "map" / "v1")
    calls = []

    def thrice(*arguments, **named):
        calls.append(1)
        if len(calls) > 3:
            raise Interruption
        return encode_module.encoded(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(overlay_module, "encoded", thrice)
        with pytest.raises(Interruption):
            update_map(model, tmp_path / "map", newer)
    assert files_of(tmp_path / "map" / "v1") == before
    Map.open(tmp_path / "map").verify()
    reader = Map.open(tmp_path / "map")
    read = everything(reader)
    updated = update_map(model, tmp_path / "map", newer)
    assert updated.arrays.folder.name == "v2"
    assert torch.equal(everything(reader).descriptor, read.descriptor)  # who has opened the old map keeps it
    assert not torch.equal(everything(updated).descriptor, read.descriptor)
    update_map(model, tmp_path / "other", newer)
    assert files_of(tmp_path / "other" / "v2") == files_of(tmp_path / "map" / "v2")


@pytest.mark.parametrize("lay_over", ["update", "merge"])
def test_newer_imagery_is_laid_over_a_base_whose_files_were_copied_without_their_times(
    model, middle, tmp_path, monkeypatch, lay_over
):
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    newer = image_of(180, 1, middle, 10.0, 10.0, "newer.png")
    first = build_map(model, image_of(240, 0, middle), tmp_path / "first")
    second = build_map(model, newer, tmp_path / "second", onto=first)

    def laid_over(name):
        if lay_over == "merge":
            return merge_maps(first, second, tmp_path / name)
        shutil.copytree(tmp_path / "first", tmp_path / name)
        return update_map(model, tmp_path / name, newer)

    expected = laid_over("linked")

    link = os.link

    def link_on_one_disk(source, target):
        if "v1" in Path(source).parts:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(versions_module.os, "link", link_on_one_disk)
    monkeypatch.setattr(versions_module.shutil, "copy2", shutil.copyfile)
    assert files_of(laid_over("copied").arrays.folder) == files_of(expected.arrays.folder)


def test_an_update_that_is_repeated_changes_nothing(model, middle, tmp_path, monkeypatch):
    """As it is by who interrupted it when it was finished; the map's index stays that of its version."""
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    build_map(model, image_of(240, 0, middle), tmp_path / "map")
    newer = image_of(180, 1, middle, 10.0, 10.0, "newer.png")
    updated = update_map(model, tmp_path / "map", newer)
    again = update_map(model, tmp_path / "map", newer)
    assert (again.version, again.header) == (updated.version, updated.header)
    other = update_map(model, tmp_path / "map", image_of(180, 2, middle, 10.0, 10.0, "other.png"))
    assert [source.name for source in other.header.sources[1:]] == ["newer.png", "other.png"]
    assert update_map(model, tmp_path / "map", newer).version == "v4"


def test_who_reads_a_version_while_updates_remove_it_is_told(model, middle, tmp_path, monkeypatch):
    """Zarr takes chunks that are gone for places without imagery."""
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    reader = build_map(model, image_of(240, 0, middle), tmp_path / "map")
    update_map(model, tmp_path / "map", image_of(180, 1, middle, 10.0, 10.0, "newer.png"))
    assert everything(reader).known.any()
    read = MapArrays.read

    def removed_meanwhile(arrays, part):
        if arrays is reader.arrays:
            update_map(model, tmp_path / "map", image_of(180, 2, middle, 10.0, 10.0, "newest.png"))
        return read(arrays, part)

    told = "v1: this version of the map was removed by later updates; open the map again"
    with monkeypatch.context() as patch:
        patch.setattr(MapArrays, "read", removed_meanwhile)
        with pytest.raises(InputError, match=told):
            everything(reader)
    with pytest.raises(InputError, match=told):
        everything(reader)


def test_an_update_keeps_the_version_before_it_beside_what_an_interrupted_copy_left(model, middle, tmp_path):
    before = build_map(model, image_of(240, 0, middle), tmp_path / "map")
    (tmp_path / "map" / "v2" / "state").mkdir(parents=True)
    update_map(model, tmp_path / "map", image_of(240, 1, middle, 10.0, 10.0, "newer.png")).verify()
    before.verify()
    assert sorted(path.name for path in (tmp_path / "map").glob("v*")) == ["v1", "v3"]


def test_an_update_that_goes_on_looks_at_each_window_once(model, middle, tmp_path, monkeypatch):
    """Windows in which the newer imagery shows nothing among them."""
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    valid = np.ones((180, 180), dtype=bool)
    valid[:60] = False
    newer = replace(image_of(180, 1, middle, 10.0, 10.0, "newer.png"), valid=valid)
    build_map(model, image_of(240, 0, middle), tmp_path / "map")
    looked_at, shows = [], []

    def encoded(*arguments):
        looked_at.append(str(arguments[-1]))
        if len(looked_at) == 4:
            raise Interruption
        found = list(encode_module.encoded(*arguments))
        shows.append(bool(found[0][1].known.any()))
        return found

    monkeypatch.setattr(overlay_module, "encoded", encoded)
    with pytest.raises(Interruption):
        update_map(model, tmp_path / "map", newer)
    update_map(model, tmp_path / "map", newer).verify()
    assert shows[0] is False
    assert any(shows)
    assert sorted(looked_at) == sorted([*set(looked_at), looked_at[3]])  # the one in between twice
    assert not (tmp_path / "map" / ".building").exists()


def test_maps_that_share_their_cells_are_merged(model, middle, tmp_path):
    first = build_map(model, image_of(120, 0, middle), tmp_path / "first")
    west = image_of(120, 1, middle, -150.0, 60.0, "west.png")
    second = build_map(model, west, tmp_path / "second", onto=first)
    merged = merge_maps(first, second, tmp_path / "merged")
    merged.verify()
    found, cells = everything(merged), merged.header.cells
    for part in (first, second):
        own, read = part.header.cells, everything(part)
        known = read.known.nonzero()
        at = cells.row_col(own.xy_m(known.double())).round().long()
        assert torch.equal(found.descriptor[:, at[:, 0], at[:, 1]], read.descriptor[:, known[:, 0], known[:, 1]])
    assert int(found.known.sum()) == sum(int(everything(part).known.sum()) for part in (first, second))
    apart = build_map(model, west, tmp_path / "apart")
    with pytest.raises(InputError, match=r"has another anchor, other weights or storage; build it again by .*--onto"):
        merge_maps(first, apart, tmp_path / "never")
    with pytest.raises(InputError, match="holds a map already"):
        merge_maps(first, second, tmp_path / "merged")


def test_imagery_that_shows_nothing_makes_no_map(model, image, tmp_path):
    nothing = replace(image, valid=np.zeros(image.shape, dtype=bool))
    with pytest.raises(InputError, match="the imagery shows nothing: all of its pixels are missing; check its transp"):
        build_map(model, nothing, tmp_path / "map")
    build_map(model, image, tmp_path / "map").verify()


def test_an_update_that_changes_no_cell_makes_no_version(model, image, middle, tmp_path, monkeypatch):
    """Transparent imagery, also where it lies outside of the map, and imagery without surroundings."""
    built = build_map(model, image_of(240, 0, middle), tmp_path / "map")
    before = files_of(tmp_path / "map")
    hidden = replace(image_of(180, 1, middle, 40.0, 10.0, "newer.png"), valid=np.zeros((180, 180), dtype=bool))
    for newer in (hidden, image_of(60, 1, middle, 10.0, 10.0, "newer.png")):
        with pytest.raises(InputError, match=r"newer\.png: changes nothing: .*give imagery that reaches 64 m"):
            update_map(model, tmp_path / "map", newer)
        assert files_of(tmp_path / "map") == before
    assert built.version == Map.open(tmp_path / "map").version == "v1"


@pytest.mark.parametrize("most_bytes", [1_000, 4_000])
def test_a_build_on_a_full_disk_is_one_line_and_goes_on(model, image, tmp_path, most_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\); free some space"):
            build_map(model, image, tmp_path / "map")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    build_map(model, image, tmp_path / "map").verify()
    build_map(model, image, tmp_path / "whole")
    assert files_of(tmp_path / "map" / "v1") == files_of(tmp_path / "whole" / "v1")


def test_a_disk_without_hard_links_is_told_in_one_line(model, image, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", no_links)
        with pytest.raises(InputError, match=r"cannot be written \(Operation not permitted\); choose a disk with free"):
            build_map(model, image, tmp_path / "map")
    build_map(model, image, tmp_path / "map").verify()


def test_imagery_of_half_a_continent_is_refused(model, middle):
    far = OverheadImage(np.zeros((10, 10, 3), np.uint8), MetricRaster(middle, 10, 10, 30_000.0), Path("continent.png"))
    with pytest.raises(InputError, match="the imagery reaches 150 km from the middle of the map; build several maps"):
        planned(model, far)


def test_a_plan_is_plain_json(model, image, tmp_path):
    header = planned(model, image)
    assert type(header).of_json(json.loads(json.dumps(header.to_json()))) == header
