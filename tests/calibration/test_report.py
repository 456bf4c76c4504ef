import json
from dataclasses import replace
from math import radians
from pathlib import Path

import pytest

from cvlnet.calibration.estimate import Estimate
from cvlnet.calibration.focal import FocalEstimate
from cvlnet.calibration.report import focal_line, settings_from, settings_of, to_table, with_focal, write_camera_file
from cvlnet.data.camera_file import read_camera_file
from cvlnet.data.lens import Lens
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.road.geometry import Mounting
from road_pictures import CAMERA, TRUE


def test_table_has_degrees_and_metres() -> None:
    stated = Mounting(0.0, radians(4.0), 0.0, 2.0)
    found = Mounting(radians(0.5), radians(-0.25), radians(3.0), 1.654)
    table = to_table(Estimate(stated, found, (radians(1.0), radians(0.2), radians(1.0), 0.03), 7, 900)).splitlines()
    assert table[1].split() == ["roll,", "deg", "0.00", "0.50", "1.00", "0.00"]
    assert table[2].split() == ["pitch,", "deg", "4.00", "-0.25", "0.20", "-0.25"]
    assert table[3].split() == ["yaw,", "deg", "0.00", "3.00", "1.00", "3.00"]
    assert table[4].split() == ["height,", "m", "2.000", "1.654", "0.030", "1.654"]
    assert table[5] == "from 900 features of the road in 7 stretches"


def test_a_camera_file_keeps_everything_but_the_mounting(tmp_path: Path) -> None:
    mounted = MountedCamera(CAMERA, TRUE.road_from_cam)
    path = tmp_path / "camera.json"
    write_camera_file(path, settings_from(mounted, TRUE), TRUE)
    again = read_camera_file(path).mounted
    assert again.camera.focal_px.tolist() == [300.0, 300.0]
    assert again.camera.principal_point_px.tolist() == [240.0, 90.0]
    assert list(vars(Mounting.of(again.body_from_cam)).values()) == pytest.approx(list(vars(TRUE).values()), abs=1e-5)
    path.write_text(json.dumps(settings_of(tmp_path / "camera.json") | {"distortion_coefficients": [0.1, 0, 0, 0, 0]}))
    write_camera_file(path, settings_of(tmp_path / "camera.json"), replace(TRUE, height_m=2.0))
    settings = settings_of(tmp_path / "camera.json")
    assert settings["height_m"] == 2.0
    assert settings["distortion_coefficients"] == [0.1, 0, 0, 0, 0]
    assert settings["forward_m"] == 1.0


def test_a_missing_camera_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"camera\.json"):
        settings_of(tmp_path / "camera.json")


def test_a_lens_stays_a_lens(tmp_path: Path) -> None:
    lens = Lens(CAMERA, "opencv", (-0.1, 0.01, 0.0, 0.0, 0.0))
    mounted = MountedCamera(lens.pinhole, TRUE.road_from_cam, lens)
    path = tmp_path / "camera.json"
    write_camera_file(path, settings_from(mounted, TRUE), TRUE)
    again = read_camera_file(path).mounted
    assert again.lens is not None
    assert (again.lens.model, again.lens.coefficients) == ("opencv", lens.coefficients)
    assert again.camera.focal_px.tolist() == lens.pinhole.focal_px.tolist()
    assert again.lens.camera.focal_px.tolist() == CAMERA.focal_px.tolist()


def test_a_focal_length_that_was_found(tmp_path: Path) -> None:
    focal = FocalEstimate(1.1, 0.013, 5)
    assert focal_line(CAMERA, focal) == ("focal length 330.0 px (stated 300.0), standard deviation 1.3 %, from 5 bends")
    settings = with_focal({"fx": 300.0, "fy": 310.0, "cx": 240.0}, focal)
    assert settings == pytest.approx({"fx": 330.0, "fy": 341.0, "cx": 240.0})
