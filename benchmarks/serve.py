"""`cvlnet serve` under load: fixes a second and how long each takes, for several sessions at the same time; memory.

    python benchmarks/serve.py MAP DRIVE
    python benchmarks/serve.py MAP DRIVE --soak 20

A server of its own is started on this machine. Each session sends the moments of a KITTI drive one after the other,
each as soon as the last one is answered, as a vehicle would that is never late. --soak sends whole drives again and
again for so many minutes, and reports the memory of the server.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from cvlnet.client import Client, Moment
from cvlnet.data.images import read_frame
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.odometry import odometry_of
from cvlnet.errors import InputError
from cvlnet.geometry import Camera, Pose
from cvlnet.image_spec import Window
from measure import print_results, run

SESSIONS = (1, 4, 16)


def moments_of(drive: Path, most: int | None) -> tuple[dict[str, Any], list[Moment]]:
    """The camera of a KITTI drive as camera.json has it, and its moments with pictures as JPEG."""
    recording = read_recording(drive)
    number = min(recording.cameras)
    mounted = recording.cameras[number]
    camera, road_from_cam = mounted.camera, recording.road_from_cam(number)
    whole = Window(camera.width_px, camera.height_px, 0, 0, camera.width_px, camera.height_px)
    found = []
    for frame, pose in list(zip(recording.frames, odometry_of(recording), strict=True))[:most]:
        picture = None
        if number in frame.images:
            pixels = read_frame(frame.images[number], mounted, whole)[..., ::-1]
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
            picture = bytes(cv2.imencode(".jpg", np.ascontiguousarray(pixels), quality)[1])
        found.append(Moment(pose.time_s, pose.x_m, pose.y_m, pose.yaw_rad, picture))
    return camera_json(camera, road_from_cam), found


def camera_json(camera: Camera, road_from_cam: Pose) -> dict[str, Any]:
    """A camera over the road by the keys of camera.json; only its pitch is kept of its attitude."""
    (fx, fy), (cx, cy) = camera.focal_px.tolist(), camera.principal_point_px.tolist()
    forward_m, left_m, height_m = road_from_cam.translation_m.tolist()
    pitch_rad = -np.arcsin(float(road_from_cam.rotation[2, 2]))
    sizes = {"width": camera.width_px, "height": camera.height_px, "fx": fx, "fy": fy, "cx": cx, "cy": cy}
    place = {"height_m": height_m, "forward_m": forward_m, "left_m": left_m, "pitch_deg": float(np.degrees(pitch_rad))}
    return {**sizes, **place, "pixel_origin": "corner"}


@contextmanager
def server(source: Path) -> Iterator[tuple[str, int]]:
    """A server of a map: its address, and the id of its process."""
    with TemporaryDirectory() as state:
        command = [sys.executable, "-m", "cvlnet", "serve", str(source), "--port", "0", "--state", state]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            if " at " not in said:
                raise InputError("the server does not start", where=source, remedy="see what it says above")
            try:
                yield said.split(" at ")[1].split()[0], process.pid
            finally:
                process.terminate()


def driven(address: str, camera: dict[str, Any], moments: Sequence[Moment], heading: str, waits_s: list[float]) -> None:
    """Send a drive, and note how long each fix took."""
    with Client(address) as client, client.begin(camera, heading=heading) as session:
        for moment in moments:
            begin_s = perf_counter()
            session.update(moment)
            waits_s.append(perf_counter() - begin_s)


def under_load(
    address: str, camera: dict[str, Any], moments: Sequence[Moment], sessions: int, heading: str
) -> list[str]:
    """A row of the table: fixes a second of all sessions, and how long one took."""
    waits_s: list[float] = []
    threads = [
        threading.Thread(target=driven, args=(address, camera, moments, heading, waits_s)) for _ in range(sessions)
    ]
    begin_s = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = perf_counter() - begin_s
    waits_ms = 1000 * np.array(waits_s)
    quantiles = [f"{value:.0f}" for value in np.quantile(waits_ms, (0.5, 0.95, 0.99, 1.0))]
    return [str(sessions), f"{len(waits_s) / took_s:.1f}", *quantiles]


def resident_mib(process: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def soaked(
    address: str, process: int, camera: dict[str, Any], moments: Sequence[Moment], minutes: float, heading: str
) -> list[list[str]]:
    """Rows of minutes, sessions and memory: drives one after the other, two at the same time."""
    rows, sent, begin_s = [], 0, perf_counter()
    while (passed_s := perf_counter() - begin_s) < 60 * minutes:
        under_load(address, camera, moments, 2, heading)
        sent += 2
        rows.append([f"{passed_s / 60:.1f}", str(sent), f"{resident_mib(process):.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("map", type=Path, help="map of cvlnet map build")
    parser.add_argument("drive", type=Path, help="KITTI drive on it")
    parser.add_argument("--most", type=int, help="moments of the drive that are sent")
    parser.add_argument("--heading", default="±5", help="what is known of the heading at first")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="report the memory over so many minutes")
    options = parser.parse_args()
    camera, moments = moments_of(options.drive, options.most)
    with server(options.map) as (address, process):
        if options.soak is not None:
            rows = soaked(address, process, camera, moments, options.soak, options.heading)
            print_results(f"{len(moments)} moments a session", ("minute", "sessions", "resident MiB"), rows)
            return
        rows = [under_load(address, camera, moments, sessions, options.heading) for sessions in SESSIONS]
        header = ("sessions", "fixes a second", "ms, median", "95 %", "99 %", "longest")
        print_results(f"{len(moments)} moments a session; memory {resident_mib(process):.0f} MiB", header, rows)


if __name__ == "__main__":
    run(main)
