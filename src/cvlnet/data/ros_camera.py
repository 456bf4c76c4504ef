"""A camera as ROS describes it: its calibration by CameraInfo, and its mounting by static transforms.

Messages may be of any library that has the fields of ROS's own definitions, such as rosbags or rclpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import degrees
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from cvlnet.config import MeasuredMounting
from cvlnet.data.calibration import Calibration
from cvlnet.data.calibration_files import ros_calibration
from cvlnet.data.poses import is_unit
from cvlnet.errors import InputError, warn
from cvlnet.geometry import Pose

_BODY, _ROAD = "base_link", "base_footprint"  # frames by their names in ROS (REP 105 and 120)
_DOWNWARD = ("_ned", "_frd")  # as REP 103 names them
_LONGEST_CHAIN = 32
_SAY = "give --height-m and --pitch-deg, or --camera-file"


@dataclass(frozen=True)
class Transforms:
    """Static transforms: the parent of each frame, and the pose ``parent_from_frame``."""

    parents: Mapping[str, tuple[str, Pose]]

    def chain(self, frame: str) -> dict[str, Pose]:
        """Every frame above one, and itself, with the pose of the one in each: ``ancestor_from_frame``."""
        found, pose = {frame: Pose.identity()}, Pose.identity()
        while frame in self.parents and len(found) < _LONGEST_CHAIN:
            frame, step = self.parents[frame]
            pose = step @ pose
            if frame in found:
                break
            found[frame] = pose
        return found

    def between(self, name: str, frame: str) -> Pose | None:
        """The pose ``named_from_frame`` of a frame in the one of that name, before which that of a robot may stand.

        None if no transforms connect them.
        """
        above = self.chain(frame)
        for named in dict.fromkeys((*above, *self.parents)):
            chain = self.chain(named) if _own_name(named) == name else {}
            if (common := next((each for each in chain if each in above), None)) is not None:
                return chain[common].inverse() @ above[common]
        return None


def calibration_of(info: Any, image_topic: str, where: str | Path) -> Calibration:
    """What a CameraInfo says of the pictures of a topic. Raises InputError as `ros_calibration` does."""
    matrix, coefficients, projection = (  # K, D and P in ROS 1, k, d and p in ROS 2
        np.asarray(getattr(info, name if hasattr(info, name) else name.upper()), dtype=np.float64) for name in "kdp"
    )
    size_px = (int(info.width), int(info.height))
    roi = info.roi
    cropped = (roi.x_offset, roi.y_offset) != (0, 0) or (roi.width, roi.height) not in ((0, 0), size_px)
    if max(info.binning_x, info.binning_y) > 1 or cropped:
        remedy = "give --camera-file for the pictures as they are"
        raise InputError("its pictures are binned or cropped", where=where, remedy=remedy)
    if _is_rectified(image_topic):
        rectified = projection.reshape(3, 4)[:, :3].ravel().tolist()
        return ros_calibration(size_px, rectified, "plumb_bob", (), where)
    return ros_calibration(size_px, matrix.tolist(), info.distortion_model, coefficients.tolist(), where)


def transforms_of(messages: Iterable[Any], where: str | Path) -> Transforms:
    """The transforms of messages (TFMessage); later ones replace earlier ones.

    Raises InputError for what is no transform.
    """
    parents: dict[str, tuple[str, Pose]] = {}
    for message in messages:
        for stamped in message.transforms:
            of, turn = stamped.transform.translation, stamped.transform.rotation
            xyzw, xyz_m = np.array([turn.x, turn.y, turn.z, turn.w]), np.array([of.x, of.y, of.z])
            if not (is_unit(xyzw) and np.isfinite(xyz_m).all()):
                what = f"the transform from {stamped.header.frame_id} to {stamped.child_frame_id} is none"
                raise InputError(what, where=where, remedy="correct /tf_static, or give --camera-file")
            rotation = torch.from_numpy(Rotation.from_quat(xyzw).as_matrix())
            pose = Pose(rotation, torch.from_numpy(xyz_m))
            parents[frame_name(stamped.child_frame_id)] = frame_name(stamped.header.frame_id), pose
    return Transforms(parents)


def mounting_of(
    transforms: Transforms, frame_id: str, height_m: float | None, pitch_deg: float | None, where: str | Path
) -> MeasuredMounting:
    """How a camera is mounted, by the transforms from base_link to it, and by what is given instead.

    Height and attitude are those over base_footprint, which is on the road; without it the attitude is that over
    base_link, and ``height_m`` is needed. Frames of several robots have names such as robot/base_link.
    Without transforms to the camera it looks straight ahead, which is logged as a warning.
    Raises InputError if nothing says the height, if transforms lead to the camera from other frames alone and the pitch
    is not given either, or if the camera is not mounted like one.
    """
    road_from_cam = transforms.between(_ROAD, frame_id)
    body_from_cam = transforms.between(_BODY, frame_id) if road_from_cam is None else road_from_cam
    if body_from_cam is None:
        leads = ", ".join(sorted(set(transforms.chain(frame_id)) - {frame_id}))
        what = f"no static transforms lead from {_BODY} to the camera ({frame_id or 'without a name'})"
        what = f"{what}, only from {leads}" if leads else what
        if height_m is None or (leads and pitch_deg is None):
            raise InputError(what, where=where, remedy=_SAY)
        level = "" if pitch_deg else " and level"
        what = f"{what}; it is taken to look straight ahead{level} from above the vehicle's origin"
        warn(what, where=where, remedy="give --camera-file if it does not")
        return MeasuredMounting(height_m, pitch_deg or 0.0)
    rotation = body_from_cam.rotation @ Pose.level_from_cam().rotation.mT
    if float(body_from_cam.rotation[2, 1]) > 0 or float(rotation[2, 2]) < 0.5:
        what = f"{frame_id} is not mounted like a camera (x right, y down, z ahead)"
        raise InputError(what, where=where, remedy="correct /tf_static, or give --camera-file")
    if height_m is None and road_from_cam is None:
        what = f"does not say how high {_BODY} is above the road: it has no {_ROAD}"
        raise InputError(what, where=where, remedy="give --height-m of the camera")
    yaw_rad, pitch_rad, roll_rad = Rotation.from_matrix(rotation.numpy()).as_euler("ZYX").tolist()
    forward_m, left_m, _ = body_from_cam.translation_m.tolist()
    return MeasuredMounting(
        float(body_from_cam.translation_m[2]) if height_m is None else height_m,
        degrees(pitch_rad) if pitch_deg is None else pitch_deg,
        degrees(roll_rad),
        degrees(yaw_rad),
        forward_m,
        left_m,
    )


def body_from(transforms: Transforms, frame_id: str) -> Pose | None:
    """The pose ``body_from_frame`` of a frame of the vehicle; None if no static transforms connect it to base_link."""
    if _own_name(frame_id) in (_BODY, _ROAD):
        return Pose.identity()
    body = transforms.between(_BODY, frame_id)
    return transforms.between(_ROAD, frame_id) if body is None else body


def poses_of_body(
    places_m: Float64[np.ndarray, "*poses 3"], turns: Rotation, body_from_followed: Pose
) -> tuple[Float64[np.ndarray, "*poses 3"], Rotation]:
    """Places and orientations of base_link, one or many, from those of the frame that was followed."""
    followed_from_body = body_from_followed.inverse()
    places_m = places_m + turns.apply(followed_from_body.translation_m.numpy())
    return places_m, turns * Rotation.from_matrix(followed_from_body.rotation.numpy())


def require_upward(frame_ids: Iterable[str], where: str | Path) -> None:
    """Raise InputError if the name of a frame says that its z axis points down."""
    for frame_id in frame_ids:
        if frame_id.endswith(_DOWNWARD):
            remedy = "publish odometry with x ahead, y left and z up (REP 103)"
            raise InputError(f"the z axis of {frame_id} points down", where=where, remedy=remedy)


def _own_name(frame_id: str) -> str:
    return frame_id.rpartition("/")[2]


def _is_rectified(image_topic: str) -> bool:
    return image_topic.removesuffix("/compressed").rpartition("/")[2].startswith("image_rect")


def frame_name(name: str) -> str:
    """The name of a frame, without the slash that ROS 1 allowed."""
    return str(name).lstrip("/")
