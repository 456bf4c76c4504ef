"""Focal lengths that pictures and videos state: by hand, and as phones and cameras write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvlnet.cli import run
from cvlnet.data.camera_file import read_camera_file
from cvlnet.data.stated_focal import stated_focal
from cvlnet.errors import InputError

FOCAL_MM, FILM_MM, RESOLUTION, UNIT, WIDTH_PX, HEIGHT_PX, ZOOM = 0x920A, 0xA405, 0xA20E, 0xA210, 0xA002, 0xA003, 0xA404


def write_picture(
    path: Path, tags: dict[int, Any], *, size: tuple[int, int] = (400, 300), orientation: int = 1
) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(tags)
    Image.new("RGB", (400, 300)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.JPEG"])
def test_the_equivalent_on_film_is_taken_from_corner_to_corner(tmp_path: Path, name: str) -> None:
    """500 px are as long as the 43.27 mm of film."""
    found = stated_focal(write_picture(tmp_path / name, {FILM_MM: 26}))
    assert found.focal_px == pytest.approx(500 * 26 / 43.2666, rel=1e-4)
    assert (found.width_px, found.height_px, found.doubt) == (400, 300, 0.05)
    assert found.how == "EXIF, 26 mm on 35 mm film"


@pytest.mark.parametrize(("resolution", "unit"), [(254.0, 2), (254.0, None), (100.0, 3), (10.0, 4), (0.01, 5)])
def test_the_sensor_is_better_than_film(tmp_path: Path, resolution: float, unit: int | None) -> None:
    """10 px a millimetre, in inches, centimetres, millimetres and micrometres; 30 mm are 300 px."""
    tags = {FOCAL_MM: 30.0, RESOLUTION: resolution, FILM_MM: 26} | ({} if unit is None else {UNIT: unit})
    found = stated_focal(write_picture(tmp_path / "a.jpg", tags))
    assert found.focal_px == pytest.approx(300.0)
    assert (found.doubt, found.how) == (0.02, "EXIF, 30 mm on the sensor")


def test_a_picture_that_was_made_smaller(tmp_path: Path) -> None:
    """The resolution is that of the sensor's 800 px."""
    tags = {FOCAL_MM: 30.0, RESOLUTION: 10.0, UNIT: 4, WIDTH_PX: 800}
    assert stated_focal(write_picture(tmp_path / "a.jpg", tags)).focal_px == pytest.approx(150.0)
    turned = {**tags, WIDTH_PX: 600, HEIGHT_PX: 800}  # by a program that left EXIF as it was
    assert stated_focal(write_picture(tmp_path / "b.jpg", turned)).focal_px == pytest.approx(150.0)


@pytest.mark.parametrize("taken_px", [(800, 500), (500, 800), (400, 400)])
@pytest.mark.parametrize("tags", [{FOCAL_MM: 30.0, RESOLUTION: 10.0, UNIT: 4}, {FILM_MM: 26}])
def test_a_picture_that_was_cropped(tmp_path: Path, taken_px: tuple[int, int], tags: dict[int, Any]) -> None:
    """Nothing says whether it was made smaller as well."""
    width_px, height_px = taken_px
    path = write_picture(tmp_path / "a.jpg", {**tags, WIDTH_PX: width_px, HEIGHT_PX: height_px})
    told = f"was cropped: it has 400 x 300 px, and was taken with {width_px} x {height_px}"
    with pytest.raises(InputError, match=told):
        stated_focal(path)


@pytest.mark.parametrize("zoom", [0.0, 1.0, 1.01, 2.0])
@pytest.mark.parametrize("tags", [{FOCAL_MM: 30.0, RESOLUTION: 10.0, UNIT: 4}, {FILM_MM: 26}])
def test_a_digital_zoom(tmp_path: Path, zoom: float, tags: dict[int, Any]) -> None:
    """Some cameras count it into their focal lengths, others do not; 0 means that none was used."""
    path = write_picture(tmp_path / "a.jpg", {**tags, ZOOM: zoom})
    if zoom < 2:
        assert stated_focal(path).focal_px == pytest.approx(300.0, rel=2e-3)
        return
    with pytest.raises(InputError, match="was taken with a digital zoom of 2, which its focal length may or may not "):
        stated_focal(path)


def test_a_contradiction_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tags = {FOCAL_MM: 30.0, RESOLUTION: 20.0, UNIT: 4, FILM_MM: 26}
    found = stated_focal(write_picture(tmp_path / "a.jpg", tags))
    assert found.focal_px == pytest.approx(300.46, abs=0.01)
    assert "EXIF contradicts itself: 600 px on the sensor, 300 px by 35 mm film; check the latter" in caplog.text


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({}, "states no focal length; calibrate the camera"),
        ({FOCAL_MM: 4.2}, "states no focal length"),
        ({FILM_MM: 0}, "states no focal length"),
        ({FOCAL_MM: 4.2, RESOLUTION: 100.0, UNIT: 1}, "states no focal length"),
        ({FILM_MM: 3}, "which no camera has"),
        ({FILM_MM: 9000}, "which no camera has"),
    ],
)
def test_what_says_nothing_or_nonsense(tmp_path: Path, tags: dict[int, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        stated_focal(write_picture(tmp_path / "a.jpg", tags))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jpg: the file is missing"):
        stated_focal(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read"):
        stated_focal(tmp_path / "a.jpg")


def test_camera_json_of_a_picture_on_its_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is 300 px wide when it is shown as EXIF says."""
    path, out = write_picture(tmp_path / "a.jpg", {FILM_MM: 26}, orientation=6), tmp_path / "camera.json"
    assert run(["camera", "guess", str(path), "--height-m", "1.4", "--pitch-deg", "2", "--out", str(out)]) == 0
    read = read_camera_file(out).mounted
    assert (read.camera.width_px, read.camera.height_px, read.exif_orientation) == (300, 400, "apply")
    assert read.camera.focal_px.tolist() == pytest.approx([300.46] * 2, abs=0.01)
    assert read.camera.principal_point_px.tolist() == [150.0, 200.0]
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 300 x 400 px, without lens distortion, 1.4 m high",
        "focal length 300 px by EXIF, 26 mm on 35 mm film, right to about 5 %",
    ]


def test_a_phone_states_it_in_its_video(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra video")

    def write(name: str, value: str | None) -> Path:
        with av.open(str(tmp_path / name), "w", options={"movflags": "use_metadata_tags"}) as container:
            if value is not None:
                container.metadata["com.apple.quicktime.camera.focal_length.35mm_equivalent"] = value
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((300, 400, 3), np.uint8), format="rgb24")))
            container.mux(stream.encode())
        return tmp_path / name

    found = stated_focal(write("phone.mov", "26"))
    assert found.focal_px == pytest.approx(300.46, abs=0.01)
    assert (found.width_px, found.height_px, found.doubt) == (400, 300, 0.1)
    for name, value in (("other.mov", None), ("odd.mov", "wide"), ("none.mov", "nan")):
        with pytest.raises(InputError, match=f"{name}: states no focal length"):
            stated_focal(write(name, value))
