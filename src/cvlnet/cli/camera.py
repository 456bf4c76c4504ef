"""``cvlnet camera``: calibrations of cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App

from cvlnet.cli.options import panel
from cvlnet.config import MeasuredMounting
from cvlnet.errors import InputError


def camera_app() -> App:
    """The commands of ``cvlnet camera``."""
    app = App(name="camera", help="Convert the calibration of a camera, or guess it from metadata.", sort_key=103)
    app.command(convert)
    app.command(guess)
    return app


def convert(
    file: Path,
    /,
    *,
    out: Path,
    mounting: Annotated[MeasuredMounting, panel("Mounting", MeasuredMounting)],
    camera: str | None = None,
    distortion_model: Literal["opencv", "fisheye"] | None = None,
) -> None:
    r"""Write camera.json from the calibration of another program and the mounting of the camera.

    It reads ROS's camera_info (YAML), OpenCV's calibrations (YAML or XML), COLMAP's cameras.txt and Kalibr's camchain.
    None of them contains the mounting: measure the camera's height above the road to 0.2 m, and its pitch to a degree.

    For example:

        cvlnet camera convert camera_info.yaml --height-m 1.4 --pitch-deg 2 \
            --out my_video/camera.json
        cvlnet camera convert cameras.txt --camera 1 --height-m 1.65 --out camera.json

    Args:
        file: Calibration of the camera.
        out: The camera.json to write.
        camera: Which camera, if the file holds several: its number in COLMAP, its name in Kalibr.
        distortion_model: Lens model of OpenCV's four coefficients, if the file does not state it.

    """
    from cvlnet.data.calibration_files import read_calibration_file

    _write(read_calibration_file(file, camera=camera, model=distortion_model).settings(mounting), file, out)


def guess(
    file: Path,
    /,
    *,
    out: Path,
    mounting: Annotated[MeasuredMounting, panel("Mounting", MeasuredMounting)],
) -> None:
    r"""Write camera.json with the focal length from the metadata of a picture or a video.

    It reads EXIF (the focal length with the sensor's resolution, or its equivalent on 35 mm film), and the equivalent
    that iPhones write into their videos. These values are accurate to 2 to 10 %. The principal point is assumed to be
    in the middle, and lens distortion to be absent. A calibration is better; without one, `cvlnet calibrate-camera
    --find-focal` corrects the focal length.

    For example:

        cvlnet camera guess my_video/frames/000.jpg --height-m 1.4 \
            --out my_video/camera.json
        cvlnet camera guess drive.mov --height-m 1.4 --pitch-deg 2 --out camera.json

    Args:
        file: A picture (PNG or JPEG) or a video file, as the camera wrote it.
        out: The camera.json to write.

    """
    from cvlnet.data.open_journey import require_extra
    from cvlnet.data.stated_focal import stated_focal
    from cvlnet.io.listing import PICTURES

    if file.suffix.lower() not in PICTURES:
        require_extra("av", "video", file)
    stated = stated_focal(file)
    turned = {"exif_orientation": "apply"} if stated.orientation != 1 else {}
    _write({**stated.calibration.settings(mounting), **turned}, file, out)
    print(f"focal length {stated.focal_px:.0f} px by {stated.how}, right to about {100 * stated.doubt:.0f} %")


def _write(settings: dict[str, Any], source: Path, out: Path) -> None:
    """Write camera.json and say what it holds. Raises InputError for what no camera has."""
    from cvlnet.data.camera_file import camera_file_of
    from cvlnet.io.outputs import write_json

    if out.is_dir():
        raise InputError("is a folder", where=out, remedy="give a file name, such as camera.json")
    mounted = camera_file_of(settings, source).mounted
    write_json(settings, out)
    lens = "without lens distortion" if mounted.lens is None else f'lens model "{mounted.lens.model}"'
    height = f"{settings['height_m']:g} m high"
    print(f"{out}: {mounted.camera.width_px} x {mounted.camera.height_px} px, {lens}, {height}")
