"""The demonstration: a town that no training has seen is made and driven through, and every moment located."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cvlnet.checkpoint import shipped_weights
from cvlnet.data.clips import ClipSpec
from cvlnet.errors import InputError
from cvlnet.evaluation.report.report import Report, Wording, evaluate_and_report
from cvlnet.imagery.georef import open_overhead
from cvlnet.localize import Localizer
from cvlnet.localize.trial import try_map
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.town.dataset.synthesize import synthesize
from cvlnet.town.presets import role_of_seed

DEMO_SEED = 200_700
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
    """Make a town in ``out / "town"``, locate its drives, and write the report into ``out``; minutes on two cores.

    weights: another file than the one that comes with the package. A town that is there already is used again.
    Raises InputError for a seed that training may have seen, and for unusable weights or folders.
    """
    if role_of_seed(seed) != "test":
        raise InputError("a town that training may have seen shows nothing", where=f"seed {seed}", remedy=_REMEDY)
    weights = weights or shipped_weights()
    town = out / "town"
    synthesize(town, seed, "demo", workers=workers)
    if not (town / "overhead").is_dir():
        remedy = "delete it, and it is made anew"
        raise InputError("the town was made by an earlier version, without an overhead map", where=town, remedy=remedy)
    localizer, folder = Localizer(weights), out / "map"
    built = build_map(localizer.model, open_overhead(town / "overhead"), folder, progress=progress)
    report = evaluate_and_report(town, weights, out, progress=progress, wording=_WORDING)
    spec = ClipSpec(localizer.model.image_spec)
    trial = try_map(localizer, town, {"": localizer.area(folder)}, clip_spec=spec, progress=progress)
    on_map = (f"{folder}: {built.known_km2:.2f} km2, {built.size_bytes / 1e6:.0f} MB", *trial.lines(Heading()))
    return replace(report, lines=(*report.lines, *on_map))
