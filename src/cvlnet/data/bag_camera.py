"""The camera of a bag: its calibration from CameraInfo, and its mounting from static transforms."""

from __future__ import annotations

from cvlnet.data.bag_messages import Bag
from cvlnet.data.camera_file import CameraFile, camera_file_of
from cvlnet.data.ros_camera import Transforms, calibration_of, frame_name, mounting_of, transforms_of
from cvlnet.errors import InputError

INFO = "sensor_msgs/msg/CameraInfo"
_TF, _TF_TOPIC = "tf2_msgs/msg/TFMessage", "/tf_static"


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
    mounting = mounting_of(static_transforms(bag), frame_name(frame_id), height_m, pitch_deg, bag.path)
    return camera_file_of(calibration_of(info, image_topic, bag.path).settings(mounting), bag.path)


def static_transforms(bag: Bag) -> Transforms:
    """Those of a bag; none if it has none. Raises InputError for what is no transform."""
    return transforms_of(bag.messages(_TF_TOPIC) if bag.topics.get(_TF_TOPIC) == _TF else (), bag.path)


def _info_topic(bag: Bag, image_topic: str, wanted: str | None) -> str:
    """The calibration beside the pictures' topic, or the only one."""
    folder = image_topic.removesuffix("/compressed").rpartition("/")[0]
    beside = f"{folder}/camera_info"
    if wanted is None and bag.topics.get(beside) == INFO:
        return beside
    return bag.chosen([INFO], wanted, "--camera-info-topic", "calibrations")
