"""Whether what is stated of a camera can be right: its times, its focal length and its mounting."""

from __future__ import annotations

from dataclasses import dataclass
from math import degrees, radians

from cvlnet.calibration.estimate import FEWEST_TRACKS, LEAST_AGREEING, fit_stretch, scenes_of, searched
from cvlnet.calibration.stretches import FEWEST_PAIRS, Stretch, read_stretches
from cvlnet.calibration.turns import TurnDoubt, turn_doubt
from cvlnet.data.journey import Journey
from cvlnet.geometry import Camera
from cvlnet.road.geometry import Mounting
from cvlnet.road.tracks import whole

PITCH_RAD, HEIGHT_SHARE = radians(1.5), 0.15  # by which a mounting may be wrong before it is doubted
MOST_STRETCHES, LEAST_DOUBTFUL = 3, 2  # of a drive that are looked at, and that have to doubt its mounting


@dataclass(frozen=True)
class MountingDoubt:
    """How one stretch sees the mounting. pitch_off_rad, height_off_m: what it finds, less what is stated.

    doubtful: whether either is beyond the given limit by two standard deviations. A single stretch may be wrong: on a
    crest, behind a lorry; a mounting is wrong if most stretches doubt it.
    """

    pitch_off_rad: float
    height_off_m: float
    doubtful: bool

    def __str__(self) -> str:
        return (
            f"the road looks as if the camera were pitched {degrees(self.pitch_off_rad):+.1f} degrees and "
            f"{self.height_off_m:+.2f} m higher than stated"
        )

    @property
    def remedy(self) -> str:
        """What corrects it."""
        return "correct the mounting: cvlnet calibrate-camera finds it"


def camera_doubt(journey: Journey, camera_id: int) -> TurnDoubt | MountingDoubt | None:
    """What a drive says against what is stated of one of its cameras; None where it may be right.

    Where the pictures turn unlike the odometry, nothing is said of the mounting, which is judged by the motion. Raises
    InputError as the pictures and the drive's moments do.
    """
    return turn_doubt(journey, camera_id) or journey_doubt(journey, camera_id)


def mounting_doubt(
    camera: Camera,
    stated: Mounting,
    stretch: Stretch,
    *,
    pitch_rad: float = PITCH_RAD,
    height_share: float = HEIGHT_SHARE,
) -> MountingDoubt | None:
    """What a stretch of the last 20 m or so says against a mounting; None if it shows too little of the road.

    camera: of the stretch's pictures. pitch_rad, height_share: how wrong a mounting may be, in height as a share of it.
    """
    if len(stretch.pairs) < FEWEST_PAIRS:
        return None
    scenes = scenes_of(stretch)
    start = searched(camera, stated, [stretch], [scenes])
    fit = fit_stretch(camera, start, stretch, scenes)
    if fit.tracks:
        fit = fit_stretch(camera, fit.mounting, stretch, scenes)
    if fit.tracks < FEWEST_TRACKS or fit.agreeing < LEAST_AGREEING:
        return None
    pitch_off_rad = fit.mounting.pitch_rad - stated.pitch_rad
    height_off_m = fit.mounting.height_m - stated.height_m
    doubtful = abs(pitch_off_rad) > pitch_rad + 2 * fit.sigma[1] or (
        abs(height_off_m) > height_share * stated.height_m + 2 * fit.sigma[3]
    )
    return MountingDoubt(pitch_off_rad, height_off_m, bool(doubtful))


def journey_doubt(journey: Journey, camera_id: int) -> MountingDoubt | None:
    """What a few stretches of a drive say against its camera's mounting, where most of them agree that it is wrong.

    None where the mounting may be right, or too little of the road is seen. Raises InputError as the pictures do.
    """
    full, stated = journey.cameras[camera_id].camera, Mounting.of(journey.road_from_cam(camera_id))
    camera = whole(full).camera(full)
    stretches = read_stretches(journey, camera_id, MOST_STRETCHES)
    doubts = [doubt for stretch in stretches if (doubt := mounting_doubt(camera, stated, stretch)) is not None]
    doubtful = [doubt for doubt in doubts if doubt.doubtful]
    if len(doubtful) < LEAST_DOUBTFUL or 2 * len(doubtful) <= len(doubts):
        return None
    return sorted(doubtful, key=lambda doubt: doubt.pitch_off_rad)[len(doubtful) // 2]
