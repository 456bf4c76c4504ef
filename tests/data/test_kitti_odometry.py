"""Sequences of KITTI's odometry benchmark."""

from pathlib import Path

import numpy as np
import pytest
from kitti_tree import write_picture
from test_odometry_files import kitti_lines
from video_tree import bend

from cvlnet.config import JourneyFiles
from cvlnet.data.kitti_odometry import read_sequence
from cvlnet.data.open_journey import open_journey
from cvlnet.errors import InputError
from cvlnet.image_spec import ImageSpec

CALIB = """P0: 72 0 60.5 0 0 72 17.5 0 0 0 1 0
P1: 72 0 60.5 -38 0 72 17.5 0 0 0 1 0
P2: 72 0 60.5 4.5 0 72 17.5 0.2 0 0 1 0.003
P3: 72 0 60.5 -36 0 72 17.5 0.2 0 0 1 0.003
Tr: 1 0 0 0 0 1 0 0 0 0 1 0
"""
WAY = bend(6)


def write_sequence(root: Path) -> Path:
    folder = root / "sequences" / "03"
    for camera in (2, 3):
        for number in range(6):
            write_picture(folder / f"image_{camera}" / f"{number:06d}.png", seed=number)
    (folder / "calib.txt").write_text(CALIB)
    (folder / "times.txt").write_text("\n".join(f"{0.1 * i:.6e}" for i in range(6)) + "\n")
    (root / "poses").mkdir()
    (root / "poses" / "03.txt").write_text("\n".join(kitti_lines(WAY)) + "\n")
    return folder


def test_a_sequence_is_a_journey(tmp_path: Path) -> None:
    journey = open_journey(JourneyFiles(drive=write_sequence(tmp_path)))
    moments = list(journey.moments())
    assert [moment.index for moment in moments] == [0, 1, 2, 3, 4, 5]
    assert [moment.odometry.time_s for moment in moments] == pytest.approx([0.1 * i for i in range(6)])
    ahead = bend(6, course_deg=0.0)
    assert np.allclose([(m.odometry.x_m, m.odometry.y_m) for m in moments], ahead[:, :2], atol=1e-4)
    assert np.allclose([m.odometry.yaw_rad for m in moments], np.radians(ahead[:, 2]), atol=1e-6)
    assert journey.places == ()
    assert journey.road_from_cam(2).translation_m.tolist() == pytest.approx([0.0, 0.0625, 1.65])
    assert journey.road_from_cam(3).translation_m.tolist() == pytest.approx([0.0, -0.5, 1.65])
    camera = journey.cameras[2].camera
    assert (camera.width_px, camera.height_px, camera.principal_point_px.tolist()) == (124, 38, [61.0, 18.0])
    window = ImageSpec(62, 16).window(camera, journey.road_from_cam(2))
    assert moments[5].pictures[2](window).shape == (16, 62, 3)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("poses/03.txt", None, "03.txt: the file is missing; give KITTI's odometry poses"),
        ("poses/03.txt", "1 2\n", "03.txt, line 1: 2 of 12 values"),
        ("sequences/03/times.txt", "0\n0.1\n", "times.txt: holds 2 times for 6 poses in 03.txt"),
        ("sequences/03/calib.txt", "P0: 1 2 3\n", "P0 has 3 of 12 values"),
        ("sequences/03/calib.txt", CALIB.replace("P3", "P4"), "has no entry P3"),
        ("sequences/03/calib.txt", CALIB.replace("P2: 72", "P2: 0"), "P2 has no focal length"),
        ("sequences/03/image_2/000000.png", "", "the picture file is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    folder = write_sequence(tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told):
        read_sequence(folder)


def test_a_sequence_without_colour_pictures(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path)
    for camera in (2, 3):
        (folder / f"image_{camera}").rename(folder / f"image_{camera - 2}")
    with pytest.raises(InputError, match="has no pictures in image_2 or image_3"):
        read_sequence(folder)
