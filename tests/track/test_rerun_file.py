"""Recordings for the Rerun viewer, read back by Rerun's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from math import atan2, degrees, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("rerun", reason="needs the extra rerun")

import rerun as rr
from rerun.chunk import RrdReader

from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize.turned import Heading
from cvlnet.track.rerun_file import RerunFile
from cvlnet.track.tracker import Tracker
from cvlnet.track.types import Hypothesis, State, TrackFix
from driving import CAMERA, FRAME, MIDDLE, ROAD_FROM_CAM, circle, ground, latlon, model, picture, region

TIMES = ["frame", "time"]
SIDE_PX, PIXEL_M = 40, 0.5
SQUARE = OverheadImage(
    np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8), MetricRaster(MIDDLE, SIDE_PX, SIDE_PX, PIXEL_M), Path("square.png")
)


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """What Rerun would only warn of is an error."""
    rr.set_strict_mode(True)
    yield
    rr.set_strict_mode(False)


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """By entity, its rows in order of time: values by the name of the component, without empty ones."""
    found: dict[str, list[dict[str, Any]]] = {}
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        for row in batch.to_pylist():
            found.setdefault(chunk.entity_path, []).append({k: v for k, v in row.items() if v is not None})
    for rows in found.values():
        rows.sort(key=lambda row: row.get("frame", -1))
    return found


def fix(
    index: int,
    place: tuple[float, float] | None,
    state: State = "tracking",
    *,
    yaw_rad: float = 0.0,
    confidence: float = 0.9,
    hypotheses: tuple[Hypothesis, ...] = (),
) -> TrackFix:
    if place is None:
        return TrackFix(index, 100.0 + index / 2, state, None, None, None, confidence, hypotheses)
    covariance = np.diag([1.0, 4.0, 0.01])
    return TrackFix(index, 100.0 + index / 2, state, latlon(place), yaw_rad, covariance, confidence, hypotheses)


def test_fixes_stand_where_and_when_they_were(tmp_path: Path) -> None:
    """Heading north-east: the view's y axis points south."""
    maybe = (Hypothesis(latlon((-3.0, 4.0)), 0.0, 0.6), Hypothesis(latlon((5.0, 0.0)), 0.0, 0.25))
    with RerunFile(tmp_path / "deep" / "a.rrd", "drive", SQUARE, FRAME) as recording:
        recording.write(fix(3, None, "searching", confidence=0.0))
        recording.write(fix(5, (2.0, 6.0), "tracking", yaw_rad=pi / 4, hypotheses=maybe))
        recording.write(fix(6, None, "lost", confidence=0.1))
    rows = rows_of(tmp_path / "deep" / "a.rrd")
    trail = rows["/map/trail"]
    assert [(row["frame"], row["time"].total_seconds()) for row in trail] == [(5, 1.0)]
    np.testing.assert_allclose(trail[0]["Points2D:positions"], [[2.0, -6.0]], atol=1e-4)
    before, arrow, after = rows["/map/vehicle"]
    (vector,) = arrow["Arrows2D:vectors"]
    assert degrees(atan2(vector[1], vector[0])) == pytest.approx(-45)
    np.testing.assert_allclose(arrow["Arrows2D:origins"], [[2.0, -6.0]], atol=1e-4)
    assert (before["frame"], after["frame"]) == (3, 6)
    assert "Clear:is_recursive" in before
    assert "Clear:is_recursive" in after
    (ellipse,) = rows["/map/vehicle/ellipse"][0]["LineStrips2D:strips"]
    np.testing.assert_allclose(np.ptp(ellipse, axis=0) / 2, np.sqrt(5.9915 * np.array([1.0, 4.0])), rtol=2e-3)
    np.testing.assert_allclose(np.mean(ellipse[:-1], axis=0), [2.0, -6.0], atol=1e-4)
    assert [row["Points2D:labels"] for row in rows["/map/hypotheses"]] == [[], ["60 %", "25 %"], []]
    np.testing.assert_allclose(rows["/map/hypotheses"][1]["Points2D:positions"], [[-3.0, -4.0], [5.0, 0.0]], atol=1e-4)
    style, *states = rows["/state"]
    assert style["StateConfiguration:values"] == ["searching", "tracking", "lost"]
    assert [row["StateChange:state"] for row in states] == [["searching"], ["tracking"], ["lost"]]
    assert [row["Scalars:scalars"] for row in rows["/confidence"]] == [[0.0], [0.9], [0.1]]
    assert not {"/error/along_m", "/map/truth", "/frames/1", "/map/belief"} & set(rows)


def test_errors_are_those_of_tracked_fixes_beside_the_truth(tmp_path: Path) -> None:
    """The vehicle goes north: a place to the east of it is to its right."""
    truth = [KnownPlace(100.0 + i / 2, latlon((0.0, 2.0 * i)), pi / 2) for i in range(3)]
    with RerunFile(tmp_path / "a.rrd", "drive", SQUARE, FRAME, truth) as recording:
        recording.write(fix(0, (9.0, 0.0), "searching"))
        recording.write(fix(1, (0.5, 3.0)))
        recording.write(fix(9, (0.0, 0.0)))  # behind the last place
    rows = rows_of(tmp_path / "a.rrd")
    assert [row["frame"] for row in rows["/error/along_m"]] == [1]
    assert rows["/error/along_m"][0]["Scalars:scalars"] == pytest.approx([1.0], abs=1e-3)
    assert rows["/error/across_m"][0]["Scalars:scalars"] == pytest.approx([-0.5], abs=1e-3)
    np.testing.assert_allclose(rows["/map/truth"][0]["LineStrips2D:strips"], [[[0, 0], [0, -2], [0, -4]]], atol=1e-4)
    assert [row["frame"] for row in rows["/map/truth/now"]] == [0, 1]
    np.testing.assert_allclose(rows["/map/truth/now"][1]["Points2D:positions"], [[0.0, -2.0]], atol=1e-4)


def placed(row: dict[str, Any], pixel: tuple[float, float]) -> Any:
    """Where a pixel of a picture (x right, y down) lies in the map view."""
    matrix = np.reshape(row["Transform3D:mat3x3"], (3, 3)).T  # it is written column by column
    return (matrix @ [*pixel, 0.0] + np.ravel(row["Transform3D:translation"]))[:2]


@pytest.mark.parametrize(("side_px", "pixel_m"), [(40, 0.5), (5000, 0.2)])
def test_the_image_lies_where_its_raster_says(tmp_path: Path, side_px: int, pixel_m: float) -> None:
    """Also a large one, which is recorded with fewer pixels."""
    middle = LatLon(49.012, 8.43)
    pixels = np.full((side_px, side_px, 3), 90, np.uint8)
    raster = MetricRaster(middle, side_px, side_px, pixel_m)
    image = OverheadImage(pixels, raster, Path("large.png"))
    with RerunFile(tmp_path / "a.rrd", "drive", image, FRAME) as recording:
        recording.write(fix(0, None, "searching"))
    (row,) = rows_of(tmp_path / "a.rrd")["/map/image"]
    drawn = Image.open(BytesIO(bytes(row["EncodedImage:blob"][0])))
    reduction = side_px // drawn.width
    assert drawn.size == (side_px // reduction,) * 2
    assert max(drawn.size) <= 2048
    for pixel in ((0.0, 0.0), (7.0, 3.0), (float(drawn.width), float(drawn.height))):
        expected = FRAME.xy_world_m(raster.latlon_deg([pixel[0] * reduction, pixel[1] * reduction]))
        np.testing.assert_allclose(placed(row, pixel), expected * [1, -1], atol=0.05)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tracker, list[TrackFix]]:
    """A drive of 25 moments over the blotches, tracked; and the recording while it is still open."""
    drive = circle(130.0, step_m=1.6)[:25]
    tracker = Tracker(region(), model(), heading=Heading(width_rad=0.1))
    path = tmp_path_factory.mktemp("recordings") / "a.rrd"
    recording, fixes = RerunFile(path, "drive", ground(), FRAME), []
    from cvlnet.track.tracker import Frame

    for i, at in enumerate(drive):
        pose = OdometryPose(i / 5, at.x_m, at.y_m, at.yaw_rad)
        fixes.append(tracker.update(Frame(picture(at), CAMERA, ROAD_FROM_CAM), pose, index=i))
        recording.write(fixes[-1], tracker)
    recording._stream.flush()
    copy = path.with_name("open.rrd")
    copy.write_bytes(path.read_bytes())
    recording.close()
    return copy, tracker, fixes


@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_a_recording_that_was_never_closed_can_be_read(tracked: tuple[Path, Tracker, list[TrackFix]]) -> None:
    path, _, fixes = tracked
    rows = rows_of(path)
    assert [row["frame"] for row in rows["/confidence"]] == list(range(25))
    assert [row["Scalars:scalars"][0] for row in rows["/confidence"]] == [fix.confidence for fix in fixes]
    assert [store.kind for store in RrdReader(path).blueprints()] == ["blueprint"]


@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_frames_and_belief_are_those_of_the_tracker(tracked: tuple[Path, Tracker, list[TrackFix]]) -> None:
    """A belief is written when it has changed only; its brightest place is the likeliest one."""
    path, tracker, _ = tracked
    rows = rows_of(path)
    assert [row["frame"] for row in rows["/frames/1"]] == list(range(25))
    seen = np.asarray(Image.open(BytesIO(bytes(rows["/frames/1"][-1]["EncodedImage:blob"][0]))).convert("RGB"))
    expected = tracker.frames[0].image.permute(1, 2, 0).numpy()
    assert seen.shape == expected.shape
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.6  # noise, in JPEG
    beliefs = rows["/map/belief"]
    assert 2 <= len(beliefs) <= 6
    assert beliefs[0]["frame"] == 0
    drawn = np.asarray(Image.open(BytesIO(bytes(beliefs[-1]["EncodedImage:blob"][0]))))
    probability, grid = tracker.belief.marginal()
    assert drawn.shape == (grid.rows, grid.cols, 4)
    row, col = np.unravel_index(drawn[..., 3].argmax(), drawn.shape[:2])
    assert float(probability[row, col]) == pytest.approx(float(probability.max()), rel=0.05)
    place = grid.xy_m(torch.tensor([row, col], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(placed(beliefs[-1], (col + 0.5, row + 0.5)), place * [1, -1], atol=1e-3)
    assert drawn[probability.numpy() < 1e-6][..., 3].max() == 0


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        RerunFile(tmp_path / "file" / "a.rrd", "drive", SQUARE, LocalFrame(MIDDLE))


def test_a_drive_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such camera"), RerunFile(tmp_path / "a.rrd", "drive", SQUARE, FRAME):
        raise InputError("no such camera", where="drive", remedy="choose another")
    assert not (tmp_path / "a.rrd").exists()
