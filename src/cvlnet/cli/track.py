"""``cvlnet track`` and ``evaluate-tracks``."""

from __future__ import annotations

import sys
from math import radians
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cvlnet.cli.locate import place_of, radius_of
from cvlnet.cli.options import Metres, PitchError, heading_of, panel
from cvlnet.config import PITCH_ERROR_DEG, JourneyFiles, Precision, RasterHints

Sigma = Parameter(validator=Number(gt=0, lte=100_000))


def track(
    map: Path,  # noqa: A002
    /,
    *,
    out: Path,
    drive: Annotated[JourneyFiles, panel("Drive", JourneyFiles)] = JourneyFiles(),
    heading: str | None = None,
    pitch_error_deg: Annotated[float, PitchError] = PITCH_ERROR_DEG,
    start: Annotated[tuple[float, float] | None, Parameter(negative="")] = None,
    start_sigma_m: Annotated[float, Sigma] = 20.0,
    near: Annotated[tuple[float, float] | None, Parameter(negative="")] = None,
    radius_m: Annotated[float | None, Metres] = None,
    cameras: Annotated[tuple[int, ...], Parameter(negative="")] = (),
    use_gps: Annotated[bool, Parameter(negative="")] = False,
    gps_sigma_m: Annotated[float | None, Sigma] = None,
    smooth: Annotated[bool, Parameter(negative="")] = False,
    formats: tuple[str, ...] = ("geojson", "csv"),
    time_zero: str | None = None,
    rerun: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
    weights: Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    r"""Track a vehicle over a map from an unknown start: position, covariance and confidence at every moment.

    The whole map is searched until one place is almost certain; from then on the vehicle is tracked there. If it turns
    out to be elsewhere, it is reported as lost and searched for again. Positions of the drive (oxts, GPS) are not used
    for tracking, unless --use-gps is given; the track is compared with them.

    The folder then holds track.jsonl (every fix with its covariance, confidence and alternatives, written during the
    drive), the other formats, track.png, and, if the true positions are known, truth.csv and figures.json (errors).

    For example:

        cvlnet track city.map --out track \
            --drive raw_data/2011_09_26/2011_09_26_drive_0009_sync
        cvlnet track city.map --out track --folder my_video --heading unknown
        cvlnet track city.map --out track --folder my_video --pitch-error-deg 5
        cvlnet track city.map --out track --video drive.mp4 \
            --camera-file camera.json --odometry wheels.csv --formats gpx kml
        cvlnet track city.map --out track --folder my_video --formats gpx --time-zero 2024-05-01T12:00:00Z
        cvlnet track city.map --out track --bag drive.mcap --smooth
        cvlnet track city.map --out track --folder my_video --rerun track/track.rrd

    Args:
        map: Folder of a map that `cvlnet map build` has made, or an overhead image.
        out: Folder to write.
        heading: What is known of the heading of the first frame, in degrees counter-clockwise from east: "±5" around
            that of the odometry, "90±20", or "unknown". By default "±5", or "unknown" for bags, and if the odometry
            begins with a yaw of about 0, as wheel and visual odometry do.
        pitch_error_deg: Largest error of the cameras' stated pitch to allow for (two standard deviations), due to their
            calibration, slopes and braking. Until a place is tracked, pitches 2 degrees apart are compared with the
            map, three of them by default; from then on the pitch is estimated. 0 uses only the stated pitch, and the
            search takes a third of the time.
        start: Latitude and longitude near which the drive begins; by default it may begin anywhere on the map.
        start_sigma_m: Standard deviation of that place, in metres.
        near: Latitude and longitude of a place; only the map around it is searched.
        radius_m: Radius of that part of the map; 500 by default.
        cameras: Numbers of the cameras that are used together; by default the drive's first one.
        use_gps: Uses the positions of the drive as measurements.
        gps_sigma_m: Standard deviation of these positions, where the files do not state it.
        smooth: Also writes smoothed.*, the track smoothed with all measurements, from the first frame on.
        formats: Endings of files to write: geojson, csv, gpx, kml, tum, nmea, json, mcap, bag, rosbag2.
        time_zero: Date and time, with the time zone, at which the drive's time is 0, for formats that have dates; not
            for bags and other drives whose times count from 1970.
        rerun: File of a recording for the Rerun viewer, with map, belief, frames and plots; its name ends in .rrd. It
            is written during the drive. After --resume it has frames and belief of the remaining drive only.
        resume: Continues the track of an interrupted call.
        weights: File of weights; the package's own by default.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoders. bfloat16 is faster on devices that have it; others take float32.

    """
    from cvlnet.data.journey import KnownPlace
    from cvlnet.localize import Localizer
    from cvlnet.localize.request import MapFiles
    from cvlnet.track.formats.clock import time_zero_of
    from cvlnet.track.request import TrackRequest
    from cvlnet.track.request import track as follow
    from cvlnet.track.tracker import TrackSpec

    around, begin = place_of(near, "--near"), place_of(start, "--start")
    request = TrackRequest(
        MapFiles(map, around, radius_of(radius_m, near, 500.0), image),
        drive,
        None if heading is None else heading_of(heading),
        None if begin is None else KnownPlace(0.0, begin, sigma_m=start_sigma_m),
        cameras or None,
        use_gps,
        gps_sigma_m,
        smooth,
        formats,
        rerun,
        None if time_zero is None else time_zero_of(time_zero, "--time-zero"),
    )
    localizer = Localizer(weights, device=device, precision=precision)
    spec = TrackSpec(pitch_error_rad=radians(pitch_error_deg))
    found = follow(localizer, request, out, resume=resume, spec=spec, progress=sys.stderr.isatty())
    for line in found.lines():
        print(line)


def evaluate_tracks(
    tracks: tuple[Path, ...],
    /,
    *,
    out: Path,
    truth: Path | None = None,
) -> None:
    r"""Compare tracks with the ground truth: write figures, a table and plots for all of them together.

    The folder then holds tracks.json, tracks.csv, tracks.md and tracks.png: how soon the drives were found, the errors
    along and across the direction of travel, the relative error over 100 m, and whether the stated confidence and
    covariance are correct.

    For example:

        cvlnet evaluate-tracks tracks/monday tracks/tuesday --out report
        cvlnet evaluate-tracks track/smoothed.csv --out report-smoothed
        cvlnet evaluate-tracks other.csv --truth survey.gpx --out report-other

    Args:
        tracks: Folders that `cvlnet track` has written, or files of tracks: JSON lines, JSON or CSV.
        out: Folder to write.
        truth: The true positions of all tracks: a GPX track, or a CSV file with time_s, latitude_deg, longitude_deg and
            optionally yaw_deg, counter-clockwise from east. By default truth.csv beside each track.

    """
    from cvlnet.track.report import evaluate_tracks as evaluated
    from cvlnet.track.report import write_report

    print(write_report(evaluated(tracks, truth), out).markdown(), end="")
