import json
import re
from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.checkpoint import save_tensors
from cvlnet.config import ClipFiles, RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.georef import open_overhead
from cvlnet.localize.answer import to_json, verdict
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.request import MapFiles, answer, write_answer
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.model.build import build_model
from cvlnet.model.provenance import Provenance

SHARED = Path(__file__).parents[3] / "shared"
DRIVE = SHARED / "kitti/raw_data/2011_09_26/2011_09_26_drive_0009_sync"
needs_shared = pytest.mark.skipif(not DRIVE.is_dir(), reason=f"real frames are not at {SHARED}")


@pytest.fixture
def map_files(map_file):
    return MapFiles(map_file)


@pytest.fixture
def localizer(weights):
    return Localizer(weights)


def test_video_folder_is_localized(localizer, video, map_files, tmp_path):
    found = answer(localizer, ClipFiles(folder=video, frames=2), map_files, most=3)
    assert 1 <= len(found.fixes) <= 3
    assert found.truth is None
    write_answer(found, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "answer.geojson", "answer.json", "answer.png",
    ]  # fmt: skip


def test_last_frame_is_taken_if_none_is_named(localizer, video, map_files):
    last = answer(localizer, ClipFiles(folder=video, frames=2), map_files)
    named = answer(localizer, ClipFiles(folder=video, frame=6, frames=2), map_files)
    assert last.fixes == named.fixes


def test_a_frame_asked_for_by_its_number_that_is_another_one_s_name_is_told(localizer, video, map_files, caplog):
    poses = (video / "poses.csv").read_text()
    for i in range(6, -1, -1):
        (video / "frames" / f"{i}.png").rename(video / "frames" / f"{i + 1}.png")
    (video / "poses.csv").write_text(re.sub(r"(?m)^(\d)(?=\.png)", lambda match: str(int(match[1]) + 1), poses))
    answer(localizer, ClipFiles(folder=video, frame=5, frames=2), map_files)
    assert caplog.messages == [f"{video}: frame 5 is 6.png: frames count from 0; ask for frame 4 if 5.png is meant"]


def test_the_last_frame_that_can_be_used_is_taken(localizer, video, map_files, caplog):
    lines = (video / "poses.csv").read_text().splitlines()
    lines[-1] = lines[-1].replace(",0,6,", ",nan,nan,")
    (video / "poses.csv").write_text("\n".join(lines))
    answer(localizer, ClipFiles(folder=video, frames=2), map_files)
    assert caplog.messages[1:] == [
        f"{video}: frame 5 is located, the last one with a usable position; "
        "correct the position of frame 6, if it is meant"
    ]


@pytest.mark.parametrize(
    ("yaw_deg", "heading", "told"),
    [
        (0.0, Heading(), True),
        (0.0, Heading(None, 0.3), True),
        (0.0, Heading(0.0, 0.3), False),
        (0.0, Heading(None, pi), False),
        (5.0, Heading(), False),
    ],
)
def test_headings_that_begin_at_0_are_told_where_they_count(
    localizer, video, map_files, caplog, yaw_deg, heading, told
):
    poses = [f"{i}.png,{i},{i * cos(radians(yaw_deg))},{i * sin(radians(yaw_deg))},{yaw_deg}" for i in range(7)]
    (video / "poses.csv").write_text("\n".join(["file,time_s,x_m,y_m,yaw_deg", *poses]))
    answer(localizer, ClipFiles(folder=video, frames=2), map_files, heading=heading)
    of_headings = [message for message in caplog.messages if "begin at 0" in message]
    assert [message.split(":")[0] for message in of_headings] == ([str(video)] if told else [])


def test_a_clip_shortened_by_a_jump_is_told(localizer, video, map_files, caplog):
    lines = (video / "poses.csv").read_text().splitlines()
    lines[1:4] = [line.replace(",0,", ",900,", 1) for line in lines[1:4]]
    (video / "poses.csv").write_text("\n".join(lines))
    answer(localizer, ClipFiles(folder=video, frames=2), map_files)
    assert caplog.messages[-1] == (
        f"{video}: the clip reaches back 3 m instead of 36 m since the position jumps by 900 m at frame 3; "
        "correct the positions, or take a later frame"
    )


def test_a_camera_that_a_folder_has_not_is_told(localizer, video, map_files):
    for frame in (None, 6):
        with pytest.raises(InputError, match="video: has no camera 3; choose among 2"):
            answer(localizer, ClipFiles(folder=video, frame=frame, frames=2, camera=3), map_files)


def test_a_map_on_disk_gives_the_fixes_of_its_image(localizer, video, map_files, map_file, tmp_path):
    build_map(localizer.model, open_overhead(map_file), tmp_path / "map")
    clip = ClipFiles(folder=video, frames=2)
    of_image, of_map = (answer(localizer, clip, MapFiles(path)) for path in (map_file, tmp_path / "map"))
    assert of_map.fixes == of_image.fixes
    write_answer(of_map, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "answer.json").read_text())["map"] == str(tmp_path / "map")
    near = LatLon(49.01, 8.43)
    (best, *_) = answer(localizer, clip, MapFiles(tmp_path / "map", near=near, radius_m=8.0)).fixes
    assert np.linalg.norm(LocalFrame(near).xy_world_m(best.position.degrees)) < 9.5


def test_a_map_takes_no_hints_about_an_image(localizer, video, map_file, tmp_path):
    build_map(localizer.model, open_overhead(map_file), tmp_path / "map")
    with pytest.raises(InputError, match="a map needs no hints about an image; leave them out"):
        answer(localizer, ClipFiles(folder=video, frames=2), MapFiles(tmp_path / "map", hints=RasterHints(bands=(1,))))


def test_a_map_of_other_weights_is_refused(localizer, weights, tiny_config, video, map_file, tmp_path):
    build_map(localizer.model, open_overhead(map_file), tmp_path / "map")
    torch.manual_seed(1)
    save_tensors(weights, build_model(tiny_config).state_dict(), Provenance(tiny_config))
    with pytest.raises(InputError, match="the map was made with other weights; give the weights that made it"):
        answer(Localizer(weights), ClipFiles(folder=video, frames=2), MapFiles(tmp_path / "map"))


def test_too_few_frames_are_told(localizer, video, map_files):
    with pytest.raises(InputError, match="there are 2 up to frame 1"):
        answer(localizer, ClipFiles(folder=video, frame=1, frames=3), map_files)


def test_map_without_georeference_is_told(localizer, video, map_file):
    map_file.with_name("georef.json").unlink()
    with pytest.raises(InputError, match="position of the overhead image is not stated"):
        answer(localizer, ClipFiles(folder=video, frames=2), MapFiles(map_file))


@pytest.mark.parametrize("both", [True, False])
def test_one_source_is_needed(localizer, video, map_files, both):
    with pytest.raises(InputError, match="exactly one clip is needed"):
        answer(localizer, ClipFiles(drive=video if both else None, folder=video if both else None), map_files)


def test_unknown_device_is_refused(weights):
    with pytest.raises(InputError, match="device abacus"):
        Localizer(weights, device="abacus")


def test_searched_places_lie_on_the_map(localizer, video, map_files):
    region = answer(localizer, ClipFiles(folder=video, frames=2), map_files).region
    metre_deg = 1 / 111_000
    assert region.searches(LatLon(49.01, 8.43))
    assert region.searches(LatLon(49.01 + 29 * metre_deg, 8.43))  # the image ends at 30 m
    assert not region.searches(LatLon(49.01 + 32 * metre_deg, 8.43))
    assert not region.searches(LatLon(50.01, 8.43))


@needs_shared
def test_clip_off_the_map_gets_an_answer_that_says_so(localizer):
    place = MapFiles(SHARED / "overhead/2011_09_26_drive_0009.png", LatLon(49.0089, 8.4397), 20.0)
    found = answer(localizer, ClipFiles(drive=DRIVE, frame=445, frames=1), place)
    assert found.truth_is_searched is False
    assert "The true place is not among those that were searched." in verdict(found)
    assert to_json(found)["true_position_searched"] is False
    assert min(found.errors_m) > 50


@needs_shared
def test_a_map_of_another_region_is_pointed_out(localizer, map_file, caplog):
    georef = map_file.with_name("georef.json")
    georef.write_text(georef.read_text().replace("49.01", "52.0"))
    answer(localizer, ClipFiles(drive=DRIVE, frame=445, frames=1), MapFiles(map_file))
    assert "the map lies 333 km from where the clip was taken; check how the map is georeferenced" in caplog.text


def test_a_map_far_from_a_folder_s_own_positions_is_pointed_out(localizer, video, map_files, caplog):
    table = (video / "poses.csv").read_text().replace("x_m,y_m", "latitude_deg,longitude_deg")
    table = re.sub(r",0,(\d),90", lambda match: f",{52 + int(match[1]) * 9e-6:.7f},8.43,90", table)
    (video / "poses.csv").write_text(table)
    found = answer(localizer, ClipFiles(folder=video, frames=2), map_files)
    assert found.truth is None
    assert caplog.messages == [
        f"{map_files.path}: the map lies 333 km from where the clip was taken; "
        "check how the map is georeferenced, and the clip's latitude and longitude"
    ]


def test_poses_in_metres_say_nothing_of_the_map(localizer, video, map_files, caplog):
    answer(localizer, ClipFiles(folder=video, frames=2), map_files)
    assert caplog.messages == []


@needs_shared
def test_error_is_reported_where_the_truth_is_known(localizer):
    place = MapFiles(SHARED / "overhead/2011_09_26_drive_0009.png", LatLon(49.008894, 8.439682), 20.0)
    found = answer(localizer, ClipFiles(drive=DRIVE, frame=223, frames=1), place)
    assert found.errors_m is not None
    assert max(found.errors_m) < 30
    assert found.truth_is_searched
