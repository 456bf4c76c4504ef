"""``cvlnet visual-odometry``."""

from __future__ import annotations

import sys
from pathlib import Path


def visual_odometry(*, video: Path, camera_file: Path, out: Path) -> None:
    r"""Estimate a vehicle's motion from its video alone, if no other odometry was recorded.

    The scale follows from the camera's height above the road in camera.json: an error of one per cent there becomes an
    error of one per cent in all distances. Expect a drift of 1 to 3 % of the distance and half a degree per 100 m on
    paved roads. The computation takes longer than the video; if it is interrupted, the poses so far are written.

    For example:

        cvlnet visual-odometry --video drive.mp4 --camera-file camera.json \
            --out odometry.csv
        cvlnet track city.map --out track --video drive.mp4 \
            --camera-file camera.json --odometry odometry.csv --heading unknown

    Args:
        video: Video file.
        camera_file: camera.json of its camera; `cvlnet camera convert` makes it from other calibrations.
        out: CSV file to write: time_s, x_m, y_m, yaw_deg, with the first pose at zero, and camera_height_m, the height
            that gave the scale.

    """
    from math import degrees

    from tqdm import tqdm

    from cvlnet.data.odometry_files import OF_VISUAL_ODOMETRY
    from cvlnet.data.open_journey import open_video
    from cvlnet.data.visual_odometry import visual_odometry as estimated
    from cvlnet.io.files import require_writable
    from cvlnet.io.outputs import write_text
    from cvlnet.road.tracks import whole

    require_writable(out)
    pictures, camera = open_video(video, camera_file)
    full = camera.mounted.camera
    window = whole(full)
    seen = ((time_s, picture(window)) for _, time_s, picture in pictures.taken())
    poses = estimated(seen, window.camera(full), camera.mounted.body_from_cam)
    height_m = float(camera.mounted.body_from_cam.translation_m[2])
    header, rows = f"time_s,x_m,y_m,yaw_deg,{OF_VISUAL_ODOMETRY}", list[str]()
    try:
        for pose in tqdm(poses, "visual odometry", unit="picture", disable=not sys.stderr.isatty()):
            rows.append(f"{pose.time_s:.6f},{pose.x_m:.4f},{pose.y_m:.4f},{degrees(pose.yaw_rad):.4f},{height_m:g}")
    except KeyboardInterrupt as interrupt:
        if not rows:
            raise KeyboardInterrupt("interrupted before the first pose; nothing was written") from interrupt
        write_text(out, "\n".join([header, *rows]) + "\n")
        what = f"interrupted; {out} has the first {len(rows):,} poses, to {pose.time_s:.1f} s of the video"
        raise KeyboardInterrupt(what) from interrupt
    write_text(out, "\n".join([header, *rows]) + "\n")
    print(f"{len(rows):,} poses in {out}")
