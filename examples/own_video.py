"""What the folder of a video of your own holds; it is written here from a drive of the town."""

from __future__ import annotations

import json
import shutil
from math import degrees
from pathlib import Path

from cvlnet import Localizer, open_overhead
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.recording import Recording
from cvlnet.geo import LocalFrame
from cvlnet.localize.answer import verdict
from town import DATA, drive_of, map_of, test_split


def write_video(folder: Path, recording: Recording) -> Path:
    """Write a drive as a video folder, with positions in metres from its first frame."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "frames").mkdir(parents=True)
    mounted = recording.cameras[2]
    (fx, fy), (cx, cy) = mounted.camera.focal_px.tolist(), mounted.camera.principal_point_px.tolist()
    forward_m, left_m, height_m = (recording.road_from_body @ mounted.body_from_cam).translation_m.tolist()
    camera = {
        "width": mounted.camera.width_px, "height": mounted.camera.height_px, "fx": fx, "fy": fy, "cx": cx, "cy": cy,
        "pixel_origin": "corner", "height_m": height_m, "forward_m": forward_m, "left_m": left_m,
    }  # fmt: skip
    (folder / "camera.json").write_text(json.dumps(camera, indent=1))
    start = LocalFrame(recording.frames[0].position)
    rows = ["file,time_s,x_m,y_m,yaw_deg"]
    for frame in recording.frames:
        name = f"{frame.index:06d}{frame.images[2].suffix}"
        shutil.copy(frame.images[2], folder / "frames" / name)
        east_m, north_m = start.xy_world_m(frame.position.degrees)
        rows.append(f"{name},{frame.time_s:.3f},{east_m:.3f},{north_m:.3f},{degrees(frame.yaw_rad):.3f}")
    (folder / "poses.csv").write_text("\n".join(rows) + "\n")
    return folder


def main() -> None:
    split = test_split()
    query = split.queries[-1]
    video = write_video(DATA / "video", read_recording(drive_of(query)))
    localizer = Localizer()
    answer = localizer.locate(localizer.read_clip(video), open_overhead(map_of(split, query)))
    print((video / "camera.json").read_text())
    print("\n".join((video / "poses.csv").read_text().splitlines()[:4]))
    print(answer.best.position, verdict(answer))


if __name__ == "__main__":
    main()
