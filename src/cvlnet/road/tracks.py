"""Features that are followed from one picture to the next, by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.arrays import Rgb
from cvlnet.geometry import Camera
from cvlnet.image_spec import Window
from cvlnet.road.geometry import Matrix3, Motion, Mounting, Pixels, mapped, matrix, road_homography

Gray = UInt8[np.ndarray, "rows cols"]

NEAR_M, FAR_M, BESIDE_M = 3.0, 15.0, 2.2  # the road in front of the vehicle: beyond it there are kerbs and parked cars
_LOW, _MIDDLE = 0.55, 0.3  # shares of the picture
_MOST_SCENE, _MOST_ROAD = 250, 250  # features of a picture
_QUALITY = 0.004  # of a corner, as a share of the best one's
_APART_PX = (7, 4)  # features of the scene, and of the road
_WINDOW_PX = (21, 15)
_LEVELS = (4, 3)
_BACK_PX = 0.5  # how far from where it began a feature may end that is followed there and back
WIDEST_PX = 1280  # larger pictures are made smaller
_BORDER_PX = 9  # of a warped picture, near which no feature is followed


@dataclass(frozen=True)
class Tracks:
    """Where features lie in two pictures."""

    before_px: Pixels
    after_px: Pixels

    def __len__(self) -> int:
        return len(self.before_px)

    def __getitem__(self, which: np.ndarray) -> Tracks:
        """Some of the tracks."""
        return Tracks(self.before_px[which], self.after_px[which])

    def low(self, camera: Camera) -> Tracks:
        """Those in the lower middle of the picture, where the road may be."""
        x, y = (self.before_px / [camera.width_px, camera.height_px]).T
        return self[(y > _LOW) & (np.abs(x - 0.5) < _MIDDLE)]


NO_TRACKS = Tracks(np.zeros((0, 2)), np.zeros((0, 2)))


def whole(camera: Camera, widest_px: int = WIDEST_PX) -> Window:
    """The whole picture, made smaller if it is wider than ``widest_px``."""
    scale = min(1.0, widest_px / camera.width_px)
    width_px, height_px = round(camera.width_px * scale), round(camera.height_px * scale)
    return Window(width_px, height_px, 0, 0, width_px, height_px)


def to_gray(picture: Rgb) -> Gray:
    """A picture without its colours."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def scene_tracks(before: Gray, after: Gray) -> Tracks:
    """Features anywhere in the picture."""
    return _followed(before, after, None, _MOST_SCENE, 0)


def road_tracks(before: Gray, after: Gray, camera: Camera, mounting: Mounting, motion: Motion) -> Tracks:
    """Features of the road in front of the vehicle.

    The road changes its scale from picture to picture. So the second one is first warped onto the first as the road
    moves by the mounting and the motion; what is left is small, and followed.
    """
    to_after = road_homography(matrix(camera), mounting, motion)
    size = before.shape[::-1]
    warped = cv2.warpPerspective(
        after, to_after, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    seen = cv2.warpPerspective(np.full_like(after, 255), to_after, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    seen = cv2.erode(seen, np.ones((_BORDER_PX, _BORDER_PX), np.uint8), borderValue=0)
    found = _followed(before, np.asarray(warped), _ahead(before.shape, matrix(camera), mounting) & seen, _MOST_ROAD, 1)
    return Tracks(found.before_px, mapped(to_after, found.after_px)) if len(found) else found


def _ahead(shape: tuple[int, int], camera: Matrix3, mounting: Mounting) -> Gray:
    """255 where a picture shows the road in front of the vehicle."""
    corners_m = [(NEAR_M, BESIDE_M), (NEAR_M, -BESIDE_M), (FAR_M, -BESIDE_M), (FAR_M, BESIDE_M)]
    road_m = np.array([(x, y, -mounting.height_m) for x, y in corners_m])
    cam_m = road_m @ mounting.road_from_cam.rotation.numpy()
    mask = np.zeros(shape, np.uint8)
    if (cam_m[:, 2] > 0).all():
        corners_px = (cam_m @ camera.T)[:, :2] / cam_m[:, 2:]
        cv2.fillPoly(mask, [np.clip(corners_px, -9999, 9999).round().astype(np.int32)], 255)
    return mask


def _followed(before: Gray, after: Gray, mask: Gray | None, most: int, kind: int) -> Tracks:
    corners = cv2.goodFeaturesToTrack(before, most, _QUALITY, _APART_PX[kind], mask=mask)
    if corners is None:
        return NO_TRACKS
    size = (_WINDOW_PX[kind], _WINDOW_PX[kind])
    blank, levels = np.zeros_like(corners), _LEVELS[kind]
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, blank, winSize=size, maxLevel=levels)
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, blank.copy(), winSize=size, maxLevel=levels)
    missed_px = np.linalg.norm((back - corners).reshape(-1, 2), axis=1)
    good = (found.ravel() == 1) & (again.ravel() == 1) & (missed_px < _BACK_PX)
    return Tracks(corners.reshape(-1, 2)[good].astype(np.float64), there.reshape(-1, 2)[good].astype(np.float64))
