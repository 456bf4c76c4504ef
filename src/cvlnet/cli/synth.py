"""``cvlnet synth`` and ``demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cvlnet.cli.options import AtLeastOne, NotNegative, panel
from cvlnet.cli.serve import missing_library
from cvlnet.town.presets import Nuisances, Preset


def synth(
    out: Path,
    /,
    *,
    seed: Annotated[int, NotNegative],
    preset: Preset = "demo",
    towns: Annotated[int | None, AtLeastOne] = None,
    workers: Annotated[int | None, AtLeastOne] = None,
    nuisances: Annotated[Nuisances, panel("Nuisances", Nuisances)] = Nuisances(),
    config: Path | None = None,
) -> None:
    r"""Generate a synthetic town: drives, measurements and overhead tiles, in the layout of KITTI-CVL.

    Seeds below 100,000 are for training, those below 200,000 for validation, and all others for tests. An interrupted
    call resumes when it is repeated.

    For example:

        cvlnet synth data/town --seed 7
        cvlnet synth data/test-towns --seed 200000 --preset bench \
            --parked-changes 2

    Args:
        out: Folder to write.
        seed: Seed of the town; each seed gives a different one.
        preset: "tiny" takes seconds, "demo" about two minutes; "bench" makes four towns of 1 km2 for measurements;
            "streets" makes twelve towns for training, with 15 km of streets in small frames of one camera, and "routes"
            sixteen, with 37 km and half as many frames per kilometre; "drives" makes four towns of 1 km2 with long
            drives for tracking.
        towns: Number of towns; that of the preset by default.
        workers: Number of processes that draw; one for each core by default.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.town.dataset.synthesize import synthesize

    del config  # has been read with the options
    synthesize(out, seed, preset, towns=towns, nuisances=nuisances, workers=workers)


def demo(
    out: Path = Path("demo"),
    /,
    *,
    weights: Path | None = None,
    workers: Annotated[int | None, AtLeastOne] = None,
    page: bool | None = None,
) -> None:
    """Demonstrate the method: draw a town of a square kilometre, locate its drives on its map, and write a report.

    One drive is tracked from an unknown start. In a terminal the command ends with the address of a page that shows
    it (with the extra: pip install 'cvlnet[serve]').

    For example:

        cvlnet demo
        cvlnet demo /tmp/demo --weights runs/first/best.safetensors

    Args:
        out: Folder for the town and the report, index.html.
        weights: File of weights; the package's own by default.
        workers: Number of processes that draw the town; one for each core by default.
        page: Serves the page at the end; by default if standard output is a terminal and the extra is installed.

    """
    from cvlnet.demo import run_demo, show_demo

    print("\n".join(run_demo(out, weights=weights, workers=workers).lines), flush=True)
    if page or (page is None and sys.stdout.isatty() and missing_library() is None):
        show_demo(out, weights=weights)
