"""KML: the tracked way, coloured by confidence."""

from __future__ import annotations

from pathlib import Path

from simplekml import Color, Kml, Style

from cvlnet.geo import LatLon
from cvlnet.io.outputs import plain, write_text
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import TrackFix, Trajectory

_COLOURS = (  # the least confidence, its name
    (0.99, "from 0.99", Color.rgb(50, 215, 75)),
    (0.95, "from 0.95", Color.rgb(255, 214, 10)),
    (0.8, "from 0.8", Color.rgb(255, 149, 0)),
    (0.0, "below 0.8", Color.rgb(255, 59, 48)),
)
_WIDTH_PX = 4


def write_kml(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write lines with their times, green from a confidence of 0.99, yellow from 0.95, orange from 0.8, else red.

    A stretch of a single fix is a point. The credit is the document's description.
    """
    kml = Kml(name=plain(trajectory.name), description=plain(trajectory.credit or ""), open=1)
    styles = [_style(colour) for *_, colour in _COLOURS]
    for stretch in stretches(trajectory):
        for grade, run in _runs(stretch):
            title = f"confidence {_COLOURS[grade][1]}"
            lon_lat = [(place.longitude_deg, place.latitude_deg) for _, place in run]
            drawn = kml.newlinestring(name=title, tessellate=1) if len(run) > 1 else kml.newpoint(name=title)
            drawn.coords = lon_lat
            drawn.style = styles[grade]
            drawn.timespan.begin, drawn.timespan.end = (
                clock.moment(fix.time_s).isoformat(timespec="milliseconds") for fix, _ in (run[0], run[-1])
            )
    write_text(path, kml.kml())


def _style(colour: str) -> Style:
    style = Style()
    style.linestyle.color, style.linestyle.width = colour, _WIDTH_PX
    return style


def _grade(fix: TrackFix) -> int:
    return next((grade for grade, (least, *_) in enumerate(_COLOURS) if fix.confidence >= least), len(_COLOURS) - 1)


def _runs(stretch: tuple[tuple[TrackFix, LatLon], ...]) -> list[tuple[int, list[tuple[TrackFix, LatLon]]]]:
    """Parts of one colour. Each goes on to where the next begins; the way to a fix has the colour of the fix."""
    runs: list[tuple[int, list[tuple[TrackFix, LatLon]]]] = []
    for pair in stretch:
        grade = _grade(pair[0])
        if runs and runs[-1][0] == grade:
            runs[-1][1].append(pair)
        else:
            runs.append((grade, [*runs[-1][1][-1:], pair] if runs else [pair]))
    return runs
