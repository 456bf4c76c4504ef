import shutil
from math import radians

import numpy as np
import pytest

from cvlnet.cli import run
from cvlnet.config import ClipFiles
from cvlnet.data.clips import ClipSpec
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize.indexed import index_map
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.request import MapFiles, answer, write_answer
from cvlnet.localize.trial import Trial, same_share, try_map
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.map.store import Map


@pytest.fixture(scope="module")
def localizer():
    return Localizer()


@pytest.fixture(scope="module")
def town_map(localizer, tiny_town, tmp_path_factory):
    """The map of the tiny town, by the package's weights."""
    (imagery,) = (tiny_town / "overhead").glob("*.tif")
    out = tmp_path_factory.mktemp("maps") / "town"
    build_map(localizer.model, open_overhead(imagery), out)
    return out


def test_a_town_s_clips_are_found_on_its_map(localizer, tiny_town, town_map):
    spec = ClipSpec(localizer.model.image_spec)
    trial = try_map(localizer, tiny_town, {"": localizer.area(town_map)}, clip_spec=spec)
    assert len(trial.errors_m) == 3
    assert trial.off_map == 0
    assert np.median(trial.errors_m) < 20  # three clips of ten metres; by chance about 90 m
    assert (trial.heading_errors_rad == 0).all()
    assert (trial.question_s > 0).all()
    lines = trial.lines(Heading())
    assert lines[0].startswith("3 queries on the whole map: ")
    assert len(lines) == 2


def test_headings_that_were_turned_are_found_again(localizer, tiny_town, town_map):
    spec, known = ClipSpec(localizer.model.image_spec), Heading(None, radians(15))
    trial = try_map(localizer, tiny_town, {"": localizer.area(town_map)}, clip_spec=spec, heading=known, most_queries=2)
    found = trial.errors_m < 10
    assert found.any()
    assert np.degrees(trial.heading_errors_rad[found]).max() < 10
    assert "heading known to ±15 degrees; in the fixes within 10 m it is wrong by" in trial.lines(known)[-1]


def test_an_index_gives_the_fixes_of_the_whole_map(localizer, tiny_town, town_map, tmp_path):
    source = tmp_path / "map"
    shutil.copytree(town_map, source)
    drive = ClipFiles(drive=sorted((tiny_town / "raw_data").glob("*/*_sync"))[-1])
    with pytest.raises(InputError, match="map: has no index; make one: cvlnet map index"):
        answer(localizer, drive, MapFiles(source, indexed=True))
    opened = Map.open(source)
    index_map(opened)
    dense, indexed = (answer(localizer, drive, MapFiles(source, indexed=indexed), most=3) for indexed in (False, True))
    for one, other in zip(dense.fixes, indexed.fixes, strict=True):
        assert np.hypot(*LocalFrame(one.position).xy_world_m(other.position.degrees)) < 1.0
        assert other.score == pytest.approx(one.score, abs=1e-3)
    write_answer(indexed, tmp_path / "out")
    near = MapFiles(source, near=dense.best.position, radius_m=30.0, indexed=True)
    assert answer(localizer, drive, near).best.score == pytest.approx(dense.best.score, abs=1e-3)
    for text in ("±20", "unknown"):
        rough = Heading.parse(text)
        dense, indexed = (
            answer(localizer, drive, MapFiles(source, indexed=indexed), heading=rough, most=2)
            for indexed in (False, True)
        )
        for one, other in zip(dense.fixes, indexed.fixes, strict=True):
            assert np.hypot(*LocalFrame(one.position).xy_world_m(other.position.degrees)) < 1.0
            assert other.score == pytest.approx(one.score, abs=1e-3)
            assert other.margin == pytest.approx(one.margin, abs=2e-3)
            assert other.turn_rad == pytest.approx(one.turn_rad, abs=1e-6)
            assert other.heading_sigma_rad == pytest.approx(one.heading_sigma_rad, abs=1e-4)
    write_answer(indexed, tmp_path / "rough")
    copied = shutil.copytree(source, tmp_path / "updated")
    (copied / "index/v1").rename(copied / "index/v7")
    with pytest.raises(InputError, match="its index is that of an older version; make one: cvlnet map index"):
        answer(localizer, drive, MapFiles(copied, indexed=True))
    with pytest.raises(InputError, match="is no map with an index; make one by cvlnet map build and cvlnet map index"):
        answer(localizer, drive, MapFiles(next((tiny_town / "overhead").glob("*.tif")), indexed=True))


def test_the_share_of_the_same_best_fixes():
    numbers = np.zeros((5, 4))
    places = np.array([[49.0, 8.0]] * 4)
    moved = places + np.array([[0, 0], [8e-6, 0], [1e-5, 0], [0, 0.1]])  # 0, 0.9, 1.1 m, 7 km
    one, other = (Trial(positions, *numbers, 0) for positions in (places, moved))
    assert same_share(one, other) == 0.5
    assert same_share(one, one) == 1.0


def test_an_index_is_tried_beside_comparing_every_place(localizer, tiny_town, town_map, tmp_path, capsys):
    source = shutil.copytree(town_map, tmp_path / "map")
    command = ["map", "evaluate", str(source), str(tiny_town), "--indexed", "--most-queries", "1", "--heading", "±5"]
    assert run(["map", "index", str(source)]) == 0
    described = capsys.readouterr().out
    assert run(["map", "info", str(source), "--verify"]) == 0
    assert described.strip() in capsys.readouterr().out.splitlines()
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" queries")[0] for line in lines[:1] + lines[4:5]] == ["1", "1"]
    assert lines[3] == "By the index:"
    assert lines[-1] == "100.0% of the best fixes are those of comparing every place"


def test_queries_off_the_map_are_left_out(localizer, tiny_town, tmp_path):
    pixels = np.zeros((200, 200, 3), np.uint8)
    image = OverheadImage(pixels, MetricRaster(LatLon(10.0, 10.0), 200, 200, 0.5), tmp_path / "elsewhere.png")
    build_map(localizer.model, image, tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no query lies on the map; give a map of the place"):
        try_map(
            localizer,
            tiny_town,
            {"": localizer.area(tmp_path / "elsewhere")},
            clip_spec=ClipSpec(localizer.model.image_spec),
        )


def test_the_figures_are_told_in_words():
    errors = np.array([0.5, 2.0, 4.0, 50.0])
    places = np.zeros((4, 2))
    trial = Trial(
        places, errors, errors * np.nan, np.radians([0.5, 1.0, 1.5, 90.0]), errors * 0 + 0.07, errors * 0 + 0.1, 3
    )
    assert trial.lines(Heading(None, radians(20))) == [
        "4 queries on the whole map: 25.0 % within 1 m, 50.0 % within 3 m, 75.0 % within 5 m, 75.0 % within 10 m, "
        "median 3.0 m",
        "a question took 100 ms (median), of which 70 ms are for encoding the frames",
        "heading known to ±20 degrees; in the fixes within 10 m it is wrong by 1.00 degrees (median)",
        "3 queries were left out: the map does not show their place",
    ]
