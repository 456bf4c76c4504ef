"""A journey, followed on a map from its first moment to its last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from cvlnet.data.clips import require_cameras
from cvlnet.data.journey import Journey, Moment
from cvlnet.errors import InputError, warn
from cvlnet.track.tracker import Frame, Tracker
from cvlnet.track.types import TrackFix

_MOST_DAMAGED = 20  # pictures in a row that cannot be decoded
_LATEST_S = 1.0  # a measured position is of the moment that it precedes by so much at most


def follow(
    tracker: Tracker, journey: Journey, *, cameras: tuple[int, ...] | None = None, use_places: bool = False
) -> Iterator[TrackFix]:
    """Track a journey: the fix of every moment. Only pictures that are used are decoded.

    cameras: their numbers; the first one by default. use_places: uses the journey's known positions as measurements,
    like those of a GPS receiver; each needs its ``sigma_m``, and is used at the first moment after it, unless that is
    much later. A picture that cannot be decoded is left out with a warning.
    Raises InputError for a camera that the journey lacks, positions without ``sigma_m``, or many damaged pictures in
    succession.
    """
    chosen = tuple(sorted(journey.cameras)[:1]) if cameras is None else cameras
    require_cameras(journey, chosen)
    if use_places and any(place.sigma_m is None for place in journey.places):
        remedy = "state it in metres (--gps-sigma-m)"
        raise InputError("the accuracy of its positions is not known", where=journey.name, remedy=remedy)
    times_s = [place.time_s for place in journey.places]
    last_place, damaged = 0, 0
    for moment in journey.moments():
        frames: tuple[Frame, ...] = ()
        if all(camera in moment.pictures for camera in chosen) and tracker.wants_frames(moment.odometry):
            try:
                frames, damaged = _frames(tracker, journey, moment, chosen), 0
            except InputError as error:
                damaged += 1
                if damaged > _MOST_DAMAGED:
                    raise
                warn(error.what, where=error.where, remedy="the frame is left out")
        fix = tracker.update(frames, moment.odometry, index=moment.index)
        if use_places and (count := bisect_right(times_s, moment.odometry.time_s)) > last_place:
            place, last_place = journey.places[count - 1], count
            assert place.sigma_m is not None
            if moment.odometry.time_s - place.time_s <= _LATEST_S:
                fix = tracker.locate(place.position, place.sigma_m)
        yield fix


def _frames(tracker: Tracker, journey: Journey, moment: Moment, cameras: tuple[int, ...]) -> tuple[Frame, ...]:
    spec = tracker.model.image_spec
    return tuple(
        Frame.seen(moment.pictures[number], journey.cameras[number].camera, journey.road_from_cam(number), spec)
        for number in cameras
    )
