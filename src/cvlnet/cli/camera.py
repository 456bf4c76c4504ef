"""``cvlnet camera``: calibrations of cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App

from cvlnet.cli.options import panel
from cvlnet.config import MeasuredMounting
from cvlnet.errors import InputError


def camera_app() -> App:
    """The commands of ``cvlnet camera``."""
    app = App(name="camera", help="Calibrations of cameras.", sort_key=103)
    app.command(convert)
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
    r"""Write camera.json from the calibration of another program, and from how the camera is mounted.

    It reads ROS's camera_info (YAML), OpenCV's calibrations (YAML or XML), COLMAP's cameras.txt and Kalibr's camchain.
    None of them says how the camera is mounted: measure its height above the road to 0.2 m, and its pitch to a degree.

    For example:

        cvlnet camera convert camera_info.yaml --height-m 1.4 --pitch-deg 2 \
            --out my_video/camera.json
        cvlnet camera convert cameras.txt --camera 1 --height-m 1.65 --out camera.json

    Args:
        file: Calibration of the camera.
        out: The camera.json to write.
        camera: Which camera, if the file holds several: its number in COLMAP, its name in Kalibr.
        distortion_model: Lens model of OpenCV's four coefficients, if the file does not say it.

    """
    from cvlnet.data.calibration_files import read_calibration_file
    from cvlnet.data.camera_file import camera_file_of, read_camera_file
    from cvlnet.io.outputs import write_json

    if out.is_dir():
        raise InputError("is a folder", where=out, remedy="give a file name, such as camera.json")
    settings = read_calibration_file(file, camera=camera, model=distortion_model).settings(mounting)
    camera_file_of(settings, file)
    write_json(settings, out)
    mounted = read_camera_file(out).mounted
    lens = "without lens distortion" if mounted.lens is None else f'lens model "{mounted.lens.model}"'
    print(f"{out}: {mounted.camera.width_px} x {mounted.camera.height_px} px, {lens}, {mounting.height_m:g} m high")
