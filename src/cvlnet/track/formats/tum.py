"""TUM's format: timestamp tx ty tz qx qy qz qw, for tools that evaluate trajectories."""

from __future__ import annotations

from math import cos, sin
from pathlib import Path

from cvlnet.geo import LocalFrame
from cvlnet.io.outputs import plain, write_text
from cvlnet.track.formats.local_pose import local_pose
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import Trajectory


def write_tum(trajectory: Trajectory, path: Path) -> None:
    """Write the tracked poses in metres east and north of the first one, z 0, with the yaw from east.

    Comment lines hold the latitude and longitude of that place, and the credit. Times are the trajectory's.
    """
    lines = [f"# {plain(trajectory.name)}: time_s east_m north_m up_m qx qy qz qw"]
    if trajectory.credit is not None:
        lines.append(f"# {plain(trajectory.credit)}")
    tracked = [(fix, place) for stretch in stretches(trajectory) for fix, place in stretch]
    if tracked:
        anchor = tracked[0][1]
        lines.append(f"# anchor latitude_deg {anchor.latitude_deg!r} longitude_deg {anchor.longitude_deg!r} (WGS84)")
        frame = LocalFrame(anchor)
        lines += [
            _pose(fix.time_s, *local_pose(frame, place, fix.yaw_rad))
            for fix, place in tracked
            if fix.yaw_rad is not None
        ]
    write_text(path, "\n".join(lines) + "\n")


def _pose(time_s: float, east_m: float, north_m: float, yaw_rad: float) -> str:
    half_rad = yaw_rad / 2
    return f"{time_s!r} {east_m:.6f} {north_m:.6f} 0 0 0 {sin(half_rad):.12f} {cos(half_rad):.12f}"
