"""The demonstration: a town that no training has seen is made and driven through, and every moment located."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from cvlnet.checkpoint import shipped_weights
from cvlnet.config import JourneyFiles
from cvlnet.data.clips import ClipSpec
from cvlnet.data.kitti_cvl import read_split
from cvlnet.errors import InputError
from cvlnet.evaluation.report.report import Report, Wording, evaluate_and_report
from cvlnet.imagery.georef import open_overhead
from cvlnet.localize import Localizer
from cvlnet.localize.request import MapFiles
from cvlnet.localize.trial import try_map
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.town.dataset.synthesize import synthesize
from cvlnet.town.presets import role_of_seed
from cvlnet.track.request import TrackRequest, track

DEMO_SEED = 200_700
_UNKNOWN = "unknown"  # heading of the drive that is tracked
_REMEDY = "choose a seed of 200000 or above"
_WORDING = Wording(
    title="CVLNet: where is the vehicle?",
    lead=(
        "A synthetic town was drawn from a seed that is kept apart from all training, and a vehicle with a camera was "
        "driven through it. For each of {queries} moments CVLNet compared four frames of the last 36 metres with "
        "{gallery} pictures from above, without GPS, and named one place. In {found} of the cases it was within 10 m "
        "of the truth; half of all fixes are off by less than {median}."
    ),
)


def run_demo(
    out: Path,
    *,
    seed: int = DEMO_SEED,
    weights: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Report:
    """Make a town in ``out / "town"``, locate its drives, track one, and write the report into ``out``; takes minutes.

    weights: another file than the one that comes with the package. A town that is there already is used again.
    Raises InputError for a seed that training may have seen, and for unusable weights or folders.
    """
    if role_of_seed(seed) != "test":
        raise InputError("a town that may have been used for training is no test", where=f"seed {seed}", remedy=_REMEDY)
    weights = weights or shipped_weights()
    town = out / "town"
    synthesize(town, seed, "demo", workers=workers)
    if not (town / "overhead").is_dir():
        remedy = "delete it; it will be made again"
        raise InputError("the town was made by an earlier version, without an overhead map", where=town, remedy=remedy)
    localizer, folder = Localizer(weights), out / "map"
    built = build_map(localizer.model, open_overhead(town / "overhead"), folder, progress=progress)
    report = evaluate_and_report(town, weights, out, progress=progress, wording=_WORDING)
    spec = ClipSpec(localizer.model.image_spec)
    trial = try_map(localizer, town, {"": localizer.area(folder)}, clip_spec=spec, progress=progress)
    on_map = (f"{folder}: {built.known_km2:.2f} km2, {built.size_bytes / 1e6:.0f} MB", *trial.lines(Heading()))
    drive, tracks = drives_of(town)[0], out / "track"
    shutil.rmtree(tracks, ignore_errors=True)
    request = TrackRequest(MapFiles(folder), JourneyFiles(drive=drive), Heading.parse(_UNKNOWN))
    tracked = track(localizer, request, tracks, progress=progress)
    on_track = (f"{drive.name} from an unknown start and heading: {tracks / 'track.png'}", *tracked.lines())
    return replace(report, lines=(*report.lines, *on_map, *on_track))


def drives_of(town: Path) -> list[Path]:
    """The drives of a town's queries."""
    queries = read_split(town, "test1").queries
    return [town / "raw_data" / name for name in sorted({query.recording for query in queries})]


def show_demo(out: Path, *, weights: Path | None = None) -> None:
    """Serve the page with the drives of the demonstration in ``out``, until it is interrupted.

    The first one is tracked while one looks. Raises InputError as `cvlnet.serve` does.
    """
    from cvlnet.serve.drives import Drives
    from cvlnet.serve.listen import Address, listen
    from cvlnet.serve.served_map import ServedMap
    from cvlnet.serve.service import Service
    from cvlnet.serve.wire import NewSession

    state = out / "page"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    drives = drives_of(out / "town")
    imagery = next((out / "town" / "overhead").glob("*.tif"))
    served = ServedMap.opened(out / "map", Localizer(weights), imagery, state)
    with closing(Service(served, Drives.named(drives, ()), state)) as service:
        session = service.begin(NewSession(drive=drives[0].name, heading=_UNKNOWN))
        listen(service, Address("127.0.0.1", 0), session=session.about.id)
