"""A running video: every frame is encoded once, as it comes, and clips are made of what is kept."""

from __future__ import annotations

import torch

from cvlnet import Localizer, open_overhead
from cvlnet.data.images import read_frame
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Pose
from cvlnet.localize.search import distinct, search_encoded
from cvlnet.localize.stream import ClipStream
from cvlnet.model.confidence import neutral_of
from town import drive_of, map_of, test_split


def main() -> None:
    split = test_split()
    query = split.queries[-1]
    localizer, image = Localizer(), open_overhead(map_of(split, query))
    model, region = localizer.model, localizer.encode(image)
    recording = read_recording(drive_of(query))
    mounted = recording.cameras[2]
    road_from_cam = recording.road_from_body @ mounted.body_from_cam
    window = model.image_spec.window(mounted.camera, road_from_cam)
    world = LocalFrame(recording.frames[0].position)  # the odometry's world: x east, y north, z up, zero on the road
    stream = ClipStream(model)
    for frame in recording.frames:
        xy_m = torch.from_numpy(world.xy_world_m(frame.position.degrees))
        zero = torch.zeros((), dtype=torch.float64)
        yaw_rad = zero + frame.yaw_rad
        world_from_road = Pose.from_euler(zero, zero, yaw_rad, torch.cat([xy_m, zero[None]]))
        picture = torch.from_numpy(read_frame(frame.images[2], mounted, window)).permute(2, 0, 1)
        stream.push(picture, window.camera(mounted.camera), world_from_road @ road_from_cam)
        if stream.is_ready:
            scores = search_encoded(model, stream.clip_features(xy_m), region, neutral_of(localizer.confidence))
            best = distinct(region, scores, model.sharpness.item(), most=1, confidence=localizer.confidence)[0]
            print(f"{frame.time_s:.1f} s: {best.position}, confidence {best.confidence:.2f}")


if __name__ == "__main__":
    main()
