"""An image is made into a map on disk once, and asked for every moment of a drive."""

from __future__ import annotations

from cvlnet import Localizer, open_overhead
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.geo import LocalFrame
from cvlnet.map.build import build_map
from town import DATA, drive_of, map_of, test_split


def main() -> None:
    split = test_split()
    query = split.queries[-1]
    localizer = Localizer()
    build_map(localizer.model, open_overhead(map_of(split, query)), DATA / "city.map")
    area = localizer.area(DATA / "city.map")
    for frame in read_recording(drive_of(query)).frames[3::2]:
        clip = localizer.read_clip(drive_of(query), frame=frame.index)
        best = localizer.locate_on(clip, area).best
        east_m, north_m = LocalFrame(frame.position).xy_world_m(best.position.degrees)
        off = f"{east_m:+.1f} m east, {north_m:+.1f} m north"
        print(f"frame {frame.index}: off by {off}, confidence {best.confidence:.2f}")


if __name__ == "__main__":
    main()
