"""The demonstration: a town that no training has seen is made and driven through, and every moment located."""

from __future__ import annotations

from pathlib import Path

from cvlnet.checkpoint import shipped_weights
from cvlnet.errors import InputError
from cvlnet.evaluation.report.report import Report, Wording, evaluate_and_report
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
    synthesize(out / "town", seed, "demo", workers=workers)
    return evaluate_and_report(out / "town", weights, out, progress=progress, wording=_WORDING)
