"""The camera of a bag: its calibration from CameraInfo, and its mounting from static transforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import degrees
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cvlnet.config import MeasuredMounting
from cvlnet.data.bag_messages import Bag
from cvlnet.data.calibration import Calibration
from cvlnet.data.calibration_files import ros_calibration
from cvlnet.data.camera_file import CameraFile, camera_file_of
from cvlnet.errors import InputError
from cvlnet.geometry import Pose

INFO = "sensor_msgs/msg/CameraInfo"
_TF, _TF_TOPIC = "tf2_msgs/msg/TFMessage", "/tf_static"
_BODY, _ROAD = "base_link", "base_footprint"  # frames by their names in ROS (REP 105 and 120)
_LONGEST_CHAIN = 32
_UNIT = 1e-2  # how far a rotation's quaternion may differ from length 1
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


def bag_camera(
    bag: Bag, image_topic: str, frame_id: str, info_topic: str | None, height_m: float | None, pitch_deg: float | None
) -> CameraFile:
    """The camera of a topic of pictures.

    frame_id: of its pictures. height_m, pitch_deg: of its mounting, None where the bag's transforms say it.
    The calibration of the raw picture (K and D) is taken, or for rectified topics (image_rect...) that of the rectified
    one (P).
    Raises InputError if there is no calibration, if its lens cannot be undone, if nothing says how high the camera is
    mounted, or if it is not mounted like a camera.
    """
    info = next(bag.messages(_info_topic(bag, image_topic, info_topic)), None)
    if info is None:
        raise InputError("has no calibration of the pictures", where=bag.path, remedy="give --camera-file")
    mounting = mounting_of(transforms_of(bag), _frame(frame_id), height_m, pitch_deg, bag)
    return camera_file_of(calibration_of(info, image_topic, bag).settings(mounting), bag.path)


def calibration_of(info: Any, image_topic: str, bag: Bag) -> Calibration:
    """What a CameraInfo says of the pictures of a topic. Raises InputError as `ros_calibration` does."""
    fields = {name.lower(): value for name, value in vars(info).items()}  # K and D in ROS 1, k and d in ROS 2
    size_px = (int(fields["width"]), int(fields["height"]))
    roi = fields["roi"]
    cropped = (roi.x_offset, roi.y_offset) != (0, 0) or (roi.width, roi.height) not in ((0, 0), size_px)
    if max(fields["binning_x"], fields["binning_y"]) > 1 or cropped:
        remedy = "give --camera-file for the pictures as they are"
        raise InputError("its pictures are binned or cropped", where=bag.path, remedy=remedy)
    if _is_rectified(image_topic):
        projection = np.asarray(fields["p"], dtype=np.float64).reshape(3, 4)[:, :3].ravel().tolist()
        return ros_calibration(size_px, projection, "plumb_bob", (), bag.path)
    matrix, coefficients = (np.asarray(fields[name], dtype=np.float64).tolist() for name in ("k", "d"))
    return ros_calibration(size_px, matrix, fields["distortion_model"], coefficients, bag.path)


def transforms_of(bag: Bag) -> Transforms:
    """The static transforms of a bag; later ones replace earlier ones. Raises InputError for what is no transform."""
    parents: dict[str, tuple[str, Pose]] = {}
    if bag.topics.get(_TF_TOPIC) != _TF:
        return Transforms({})
    for message in bag.messages(_TF_TOPIC):
        for stamped in message.transforms:
            of, turn = stamped.transform.translation, stamped.transform.rotation
            xyzw, xyz_m = np.array([turn.x, turn.y, turn.z, turn.w]), np.array([of.x, of.y, of.z])
            if not (abs(float(np.linalg.norm(xyzw)) - 1) <= _UNIT and np.isfinite(xyz_m).all()):
                what = f"the transform from {stamped.header.frame_id} to {stamped.child_frame_id} is none"
                raise InputError(what, where=bag.path, remedy="correct /tf_static, or give --camera-file")
            rotation = torch.from_numpy(Rotation.from_quat(xyzw).as_matrix())
            pose = Pose(rotation, torch.from_numpy(xyz_m))
            parents[_frame(stamped.child_frame_id)] = _frame(stamped.header.frame_id), pose
    return Transforms(parents)


def mounting_of(
    transforms: Transforms, frame_id: str, height_m: float | None, pitch_deg: float | None, bag: Bag
) -> MeasuredMounting:
    """How a camera is mounted, by the transforms from base_link to it, and by what is given instead.

    The height is that above base_footprint, which is on the road; without it ``height_m`` is needed.
    """
    chain = transforms.chain(frame_id)
    if _BODY not in chain:
        if height_m is None:
            what = f"no static transforms lead from {_BODY} to the camera ({frame_id or 'without a name'})"
            raise InputError(what, where=bag.path, remedy=_SAY)
        return MeasuredMounting(height_m, pitch_deg or 0.0)
    body_from_cam = chain[_BODY]
    rotation = body_from_cam.rotation @ Pose.level_from_cam().rotation.mT
    if float(body_from_cam.rotation[2, 1]) > 0 or float(rotation[2, 2]) < 0.5:
        what = f"{frame_id} is not mounted like a camera (x right, y down, z ahead)"
        raise InputError(what, where=bag.path, remedy="correct /tf_static, or give --camera-file")
    if height_m is None and _ROAD not in chain:
        what = f"does not say how high {_BODY} is above the road: it has no {_ROAD}"
        raise InputError(what, where=bag.path, remedy="give --height-m of the camera")
    yaw_rad, pitch_rad, roll_rad = Rotation.from_matrix(rotation.numpy()).as_euler("ZYX").tolist()
    forward_m, left_m, _ = body_from_cam.translation_m.tolist()
    return MeasuredMounting(
        float(chain[_ROAD].translation_m[2]) if height_m is None else height_m,
        degrees(pitch_rad) if pitch_deg is None else pitch_deg,
        degrees(roll_rad),
        degrees(yaw_rad),
        forward_m,
        left_m,
    )


def _info_topic(bag: Bag, image_topic: str, wanted: str | None) -> str:
    """The calibration beside the pictures' topic, or the only one."""
    folder = image_topic.removesuffix("/compressed").rpartition("/")[0]
    beside = f"{folder}/camera_info"
    if wanted is None and bag.topics.get(beside) == INFO:
        return beside
    return bag.chosen([INFO], wanted, "--camera-info-topic", "calibrations")


def _is_rectified(image_topic: str) -> bool:
    return image_topic.removesuffix("/compressed").rpartition("/")[2].startswith("image_rect")


def _frame(name: str) -> str:
    return str(name).lstrip("/")
