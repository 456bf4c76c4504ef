"""A tracked drive as a recording for the Rerun viewer: map, belief, frames and plots. Needs the extra ``rerun``.

Times: "frame", the index of the moment, and "time", since the first moment. Entities:

    map                  metres around the map's origin: x east, y south, as pictures have it
    map/image            the overhead image
    map/belief           probability of every place, by its logarithm; without what is elsewhere
    map/truth            the true way; map/truth/now the place on it
    map/trail            the place of each moment in the colour of its state
    map/vehicle          place and heading; map/vehicle/ellipse holds the true place with 95 %
    map/hypotheses       the possible places with their probabilities
    frames/1, 2, ...     the pictures that the tracker took, one entity for each camera
    confidence           of the place
    state                searching, tracking or lost
    sigma_m              standard deviation of the place
    error/along_m, across_m   beside the truth, in the vehicle's direction and to its left, while it is tracked
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, sin
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from cvlnet.arrays import F64, Points, Rgb
from cvlnet.data.journey import KnownPlace
from cvlnet.ellipse import ellipse_xy_m
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.overhead import Imagery
from cvlnet.model.confidence import sigma_m
from cvlnet.track.belief import Belief
from cvlnet.track.evaluate import GroundTruth, errors_beside
from cvlnet.track.picture import STATE_COLOURS, TRUTH_COLOUR
from cvlnet.track.tracker import Frame, Tracker
from cvlnet.track.types import TrackFix, Trajectory

_LONGEST_PX = 2048  # of the overhead image as recorded
_JPEG_QUALITY = 85
_FAINTEST = 1e-6  # probability of a place that is shown
_MOST_ALPHA = 220  # of the likeliest places
_ARROW_M = 10.0
_AROUND_M = 50.0  # of the way that the map view shows at first
_TRUE = to_rgb(TRUTH_COLOUR)
_COLOURS = {state: to_rgb(colour) for state, colour in STATE_COLOURS.items()}
_STATES = rr.StateConfiguration(values=list(STATE_COLOURS), colors=[to_rgb(c) for c in STATE_COLOURS.values()])
_POSSIBLE = to_rgb("#ffd60a")  # places that the vehicle may be at


class RerunFile:
    """A file that takes each fix as it comes, and can be opened at any time, also after an interruption.

        with RerunFile(Path("drive.rrd"), "drive", image, tracker.map.frame, journey.places) as recording:
            recording.write(fix, tracker)

    image: the map, for looking at. frame: of the map view. truth: empty where it is not known.
    Raises InputError if the file cannot be written.
    """

    def __init__(
        self, path: Path, name: str, image: Imagery, frame: LocalFrame, truth: Sequence[KnownPlace] = ()
    ) -> None:
        self._path, self._name, self._frame = path, name, frame
        self._truth = GroundTruth.of(truth) if truth else None
        self._begin_s: float | None = None
        self._frames: tuple[Frame, ...] = ()
        self._belief: tuple[float, ...] = ()  # what tells the belief that was written last from others
        way_m = frame.xy_world_m([place.position.degrees for place in truth]) if truth else None
        shown_m = _corners_m(image, frame) if way_m is None else way_m
        self._stream = rr.RecordingStream("cvlnet_track")
        rr.set_log_time_enabled(False, self._stream)
        rr.set_log_tick_enabled(False, self._stream)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream.save(path, default_blueprint=_blueprint(_seen(shown_m), with_truth=bool(truth)))
        except (OSError, RuntimeError) as error:
            raise InputError(f"cannot be written ({error})", where=path, remedy="choose another file") from error
        self._stream.send_recording_name(name)
        self._write_image(image)
        self._stream.log("state", _STATES, static=True)
        if way_m is not None:
            self._stream.log(
                "map/truth",
                rr.LineStrips2D([_seen(way_m)], colors=_TRUE, radii=rr.Radius.ui_points(2.0)),
                static=True,
            )

    def write(self, fix: TrackFix, tracker: Tracker | None = None) -> None:
        """Add a fix. tracker: as it was behind that moment, for what it saw and believed; None where it is gone."""
        if self._begin_s is None:
            self._begin_s = fix.time_s
        self._stream.set_time("frame", sequence=fix.index)
        self._stream.set_time("time", duration=fix.time_s - self._begin_s)
        if tracker is not None:
            self._write_frames(tracker.frames)
            self._write_belief(tracker.belief)
        self._write_hypotheses(fix)
        self._write_place(fix)
        self._stream.log("state", rr.StateChange(state=fix.state))
        self._stream.log("confidence", rr.Scalars(fix.confidence))
        if self._truth is not None and self._truth.knows(fix.time_s):
            self._write_errors(fix, self._truth)

    def close(self) -> None:
        """Write what is left, and no more; a file without a fix is removed."""
        self._stream.disconnect()
        if self._begin_s is None:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> RerunFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_image(self, image: Imagery) -> None:
        rows, cols = image.shape
        reduction = -(-max(rows, cols) // _LONGEST_PX)
        pixels = image.read(slice(0, rows), slice(0, cols), reduction).pixels
        height, width = pixels.shape[:2]
        corners_m = _corners_m(image, self._frame, (height * reduction, width * reduction))
        self._stream.log("map/image", _placed(corners_m, width, height), _jpeg(pixels), static=True)

    def _write_frames(self, frames: tuple[Frame, ...]) -> None:
        if frames is self._frames:
            return
        self._frames = frames
        for number, frame in enumerate(frames, 1):
            self._stream.log(f"frames/{number}", _jpeg(frame.image.permute(1, 2, 0).numpy()))

    def _write_belief(self, belief: Belief) -> None:
        now = (belief.elsewhere, *(layer.probability for layer in belief.layers))
        if now == self._belief:
            return
        self._belief = now
        probability, grid = belief.marginal()
        corners_m = grid.corners_xy_m().numpy()[[0, 1, 3]]
        _, code = cv2.imencode(".png", cv2.cvtColor(_colours(probability.numpy()), cv2.COLOR_RGBA2BGRA))
        picture = rr.EncodedImage(contents=code.tobytes(), media_type="image/png", draw_order=0.0)
        self._stream.log("map/belief", _placed(corners_m, grid.cols, grid.rows), picture)

    def _write_hypotheses(self, fix: TrackFix) -> None:
        probabilities = [one.probability for one in fix.hypotheses]
        self._stream.log(
            "map/hypotheses",
            rr.Points2D(
                [self._point(one.position) for one in fix.hypotheses],
                colors=[_POSSIBLE] * len(probabilities),
                radii=rr.Radius.ui_points([3.0 + 6.0 * probability for probability in probabilities]),
                labels=[f"{100 * probability:.0f} %" for probability in probabilities],
                show_labels=fix.state != "tracking",
            ),
        )

    def _write_place(self, fix: TrackFix) -> None:
        if fix.position is None or fix.yaw_rad is None or fix.covariance is None:
            self._stream.log("map/vehicle", rr.Clear(recursive=True))
            return
        place, colour = self._point(fix.position), _COLOURS[fix.state]
        self._stream.log("map/trail", rr.Points2D([place], colors=colour, radii=rr.Radius.ui_points(2.5)))
        ahead = [[_ARROW_M * cos(fix.yaw_rad), -_ARROW_M * sin(fix.yaw_rad)]]
        arrow = rr.Arrows2D(origins=[place], vectors=ahead, colors=colour, radii=rr.Radius.ui_points(3.0))
        self._stream.log("map/vehicle", arrow)
        ellipse = _seen(ellipse_xy_m(fix.covariance[:2, :2])) + place
        self._stream.log("map/vehicle/ellipse", rr.LineStrips2D([ellipse], colors=colour))
        self._stream.log("sigma_m", rr.Scalars(float(sigma_m(fix.covariance[:2, :2]))))

    def _write_errors(self, fix: TrackFix, truth: GroundTruth) -> None:
        place_m = truth.xy_at(np.array([fix.time_s]))
        place = self._point(LatLon(*truth.frame.latlon_deg(place_m[0]).tolist()))
        self._stream.log("map/truth/now", rr.Points2D([place], colors=_TRUE, radii=rr.Radius.ui_points(6.0)))
        if fix.state == "tracking":
            errors = errors_beside(Trajectory(self._name, (fix,)), truth)
            self._stream.log("error/along_m", rr.Scalars(float(errors.along_m[0])))
            self._stream.log("error/across_m", rr.Scalars(float(errors.across_m[0])))

    def _point(self, place: LatLon) -> F64:
        """A place in the map view."""
        return np.asarray(_seen(self._frame.xy_world_m([place.degrees]))[0])


def _seen(xy_m: Points) -> Points:
    """Points (east, north) in the map view, whose y axis points south."""
    return np.asarray(xy_m) * [1.0, -1.0]


def _corners_m(image: Imagery, frame: LocalFrame, shape: tuple[int, int] | None = None) -> Points:
    """The outer corners of an image, or of its first rows and columns: north-west, north-east and south-west."""
    rows, cols = shape or image.shape
    return np.asarray(frame.xy_world_m(image.raster.latlon_deg([[0.0, 0.0], [cols, 0.0], [0.0, rows]])))


def _placed(corners_m: Points, width_px: int, height_px: int) -> rr.Transform3D:
    """Where a picture lies in the map view: its north-western, north-eastern and south-western corner."""
    corner, right, below = _seen(corners_m)
    across, down = (right - corner) / width_px, (below - corner) / height_px
    matrix = [[across[0], down[0], 0.0], [across[1], down[1], 0.0], [0.0, 0.0, 1.0]]
    return rr.Transform3D(translation=[*corner, 0.0], mat3x3=matrix)


def _jpeg(pixels: Rgb) -> rr.EncodedImage:
    code = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return rr.EncodedImage(contents=code.tobytes(), media_type="image/jpeg", draw_order=-10.0)


def _colours(probability: Float[np.ndarray, "rows cols"]) -> UInt8[np.ndarray, "rows cols 4"]:
    """Probabilities as RGBA, by their logarithm: transparent from `_FAINTEST` down, almost opaque at 1."""
    share = np.clip(1 - np.log(np.maximum(probability, _FAINTEST)) / np.log(_FAINTEST), 0, 1)
    colours = np.asarray(colormaps["plasma"](share, bytes=True))
    colours[..., 3] = np.round(_MOST_ALPHA * share)
    return colours


def _blueprint(shown: Points, *, with_truth: bool) -> rrb.Blueprint:
    """The views: the map to the left; frames, state, confidence and errors to the right.

    shown: points of the map view that are seen at first.
    """
    low, high = shown.min(axis=0) - _AROUND_M, shown.max(axis=0) + _AROUND_M
    bounds = rrb.VisualBounds2D(x_range=(low[0], high[0]), y_range=(low[1], high[1]))
    begin, now = rrb.TimeRangeBoundary.infinite(), rrb.TimeRangeBoundary.cursor_relative()
    until_now = rrb.VisibleTimeRanges([rrb.VisibleTimeRange(line, start=begin, end=now) for line in ("frame", "time")])
    plots: list[rrb.View] = [
        rrb.StateTimelineView(origin="state", name="State"),
        rrb.TimeSeriesView(origin="confidence", name="Confidence", axis_y=rrb.ScalarAxis(range=(0.0, 1.0))),
        rrb.TimeSeriesView(origin="sigma_m", name="Standard deviation, m"),
    ]
    if with_truth:
        plots.append(rrb.TimeSeriesView(origin="error", name="Error, m"))
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial2DView(origin="map", name="Map", visual_bounds=bounds, overrides={"map/trail": until_now}),
            rrb.Vertical(rrb.Spatial2DView(origin="frames", name="Frames"), *plots),
            column_shares=(3, 2),
        ),
        rrb.TimePanel(timeline="time"),
        collapse_panels=True,
    )
