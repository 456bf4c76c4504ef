"""TUM's format: timestamp tx ty tz qx qy qz qw, for tools that evaluate trajectories."""

from __future__ import annotations

from math import cos, sin
from pathlib import Path

from cvlnet.geo import LocalFrame
from cvlnet.io.outputs import write_text
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import TrackFix, Trajectory


def write_tum(trajectory: Trajectory, path: Path) -> None:
    """Write the tracked poses in metres east and north of the first one, z 0, with the yaw from east.

    Comment lines hold the latitude and longitude of that place, and the credit. Times are the trajectory's.
    """
    poses = [(fix, place) for stretch in stretches(trajectory) for fix, place in stretch]
    lines = [f"# {' '.join(trajectory.name.split())}: time_s east_m north_m up_m qx qy qz qw"]
    if poses:
        anchor = poses[0][1]
        lines.append(f"# anchor latitude_deg {anchor.latitude_deg!r} longitude_deg {anchor.longitude_deg!r} (WGS84)")
        xy_m = LocalFrame(anchor).xy_world_m([place.degrees for _, place in poses]).tolist()
        lines += [_pose(fix, east_m, north_m) for (fix, _), (east_m, north_m) in zip(poses, xy_m, strict=True)]
    if trajectory.credit is not None:
        lines.insert(1, f"# {' '.join(trajectory.credit.split())}")
    write_text(path, "\n".join(lines) + "\n")


def _pose(fix: TrackFix, east_m: float, north_m: float) -> str:
    half_rad = (fix.yaw_rad or 0.0) / 2
    return f"{fix.time_s!r} {east_m:.6f} {north_m:.6f} 0 0 0 {sin(half_rad):.12f} {cos(half_rad):.12f}"
