"""The command ``cvlnet``: parse, call one public function, print.

Heavy modules are imported by the commands that need them, so that help is there at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.types import File
from cyclopts.validators import Number

from cvlnet import __version__
from cvlnet.config import SHARE_MAPPED, ClipFiles, EvaluationConfig, ModelConfig, Precision, RasterHints, TrainConfig
from cvlnet.errors import InputError
from cvlnet.options import options_of, settings_file, whole_numbers
from cvlnet.town.presets import Nuisances, Preset

USER_ERROR, INTERRUPTED = 2, 130

# ablation compares parts by one plane and one convolution, so that nothing else does the same work again
ABLATED = ModelConfig(clip_cells=48, heights_m=(0.0,), ground_trunk="convolution")
ABLATION = TrainConfig(steps=500, average_decay=0.99, neighbours=4)


AtLeastOne = Parameter(validator=Number(gte=1))
NotNegative = Parameter(validator=Number(gte=0))
Share = Parameter(validator=Number(gt=0, lt=1))
FramesOfClip = Parameter(validator=Number(gte=1, lte=16))


def main(tokens: Sequence[str] | None = None) -> None:
    """Run one command and exit: with status 2 and one line for what the user can correct."""
    logging.basicConfig(format="cvlnet: %(levelname)s: %(message)s", level=logging.WARNING)
    logging.addLevelName(logging.WARNING, "warning")
    sys.exit(run(sys.argv[1:] if tokens is None else tokens))


def run(tokens: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    return run_app(build_app(), tokens)


def run_app(app: App, tokens: Sequence[str]) -> int:
    """Run a command of an app; an error that the user can correct is one line, any other keeps its traceback."""
    try:
        command, bound, _ = app.parse_args(tokens, print_error=False, exit_on_error=False)
    except (CycloptsError, ValueError) as error:  # a ValueError comes from a configuration's own checks
        return _tell(f"{error} (see {' '.join(app.name)} --help)", USER_ERROR)
    except InputError as error:
        return _tell(error, USER_ERROR)
    try:
        command(*bound.args, **bound.kwargs)
    except InputError as error:
        return _tell(error, USER_ERROR)
    except KeyboardInterrupt:
        return _tell("interrupted; every file is whole or not there", INTERRUPTED)
    return 0


def build_app() -> App:
    """The commands and their options."""
    app = App(
        name="cvlnet",
        help="Find where a vehicle is on an overhead image, from the last few frames of its video.",
        version=__version__,
        config=(settings_file, whole_numbers),
        help_format="markdown",
        default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
    )
    commands: tuple[Callable[..., None], ...] = (
        demo,
        localize,
        evaluate,
        train,
        synth,
        calibrate,
        ablate,
        average,
        convert,
        export,
    )
    for place, command in enumerate(commands):
        app.command(command, sort_key=place)
    return app


def demo(
    out: Path = Path("demo"),
    /,
    *,
    weights: Path | None = None,
    workers: Annotated[int | None, AtLeastOne] = None,
) -> None:
    """Demonstration: draw a small town, locate its drives on its map, and write a report.

    For example:

        cvlnet demo
        cvlnet demo /tmp/demo --weights runs/first/best.safetensors

    Args:
        out: Folder for the town and the report, index.html.
        weights: File of weights; the package's own by default.
        workers: Number of processes that draw the town; one for each core by default.

    """
    from cvlnet.demo import run_demo

    _print_report(run_demo(out, weights=weights, workers=workers))


def localize(  # noqa: D417
    map: Path,  # noqa: A002
    /,
    *,
    clip: Annotated[ClipFiles, Parameter(name="*", group=options_of("Clip", ClipFiles))] = ClipFiles(),  # noqa: B008
    near: Annotated[tuple[float, float] | None, Parameter(negative="")] = None,
    radius_m: Annotated[float, Parameter(validator=Number(gte=0, lt=inf))] = 100.0,
    image: Annotated[RasterHints, Parameter(name="*", group=options_of("Image", RasterHints))] = RasterHints(),  # noqa: B008
    weights: Path | None = None,
    share_mapped: Annotated[float | None, Share] = None,
    most: Annotated[int, AtLeastOne] = 10,
    region: File | None = None,
    out: Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
) -> None:
    """Find where on an overhead image a clip was taken, and print the best places.

    The image is a GeoTIFF, or a PNG, JPEG or other picture with a georef.json or a world file beside it. The clip comes
    from a KITTI drive, whose true position is then compared with the answer, or from a folder of frames, camera.json
    and poses. The last line states whether the best place can be relied upon.

    For example:

        cvlnet localize map.png --drive raw_data/2011_09_26/2011_09_26_drive_0002_sync --frame 9 --out answer
        cvlnet localize map.png --folder my_video --near 49.0144 8.4319 --radius-m 80
        cvlnet localize dop20.jpg --crs EPSG:25832 --folder my_video

    Args:
        map: Overhead image.
        near: Latitude and longitude of a place around which to search; by default the whole image is searched.
        radius_m: Radius of the search around that place.
        weights: File of weights; the package's own by default.
        share_mapped: Prior probability that the place is on the map; the weights assume 0.5.
        most: Largest number of places to print.
        region: File that keeps the encoded map (.safetensors); the next call reads it instead of encoding the map.
        out: Folder for answer.json, answer.geojson and answer.png.
        device: Device to compute on: cpu or cuda.
        precision: Number format of the encoders. bfloat16 is faster on devices that have it; others take float32.

    """
    from cvlnet.localize import Localizer
    from cvlnet.localize.answer import to_table, verdict
    from cvlnet.localize.request import MapFiles, answer, write_answer

    map_files = MapFiles(map, _place(near), radius_m, region, image)
    localizer = Localizer(weights, device=device, precision=precision, share_mapped=share_mapped)
    found = answer(localizer, clip, map_files, most=most, progress=sys.stderr.isatty())
    print(to_table(found))
    print(verdict(found))
    if out is not None:
        write_answer(found, out)


def evaluate(  # noqa: D417
    data: Path,
    /,
    *,
    out: Path,
    weights: Path | None = None,
    evaluation: Annotated[
        EvaluationConfig, Parameter(name="*", group=options_of("Evaluation", EvaluationConfig))
    ] = EvaluationConfig(),  # noqa: B008
) -> None:
    """Locate the queries of the test splits of a data set; write predictions, metrics and a page.

    For example:

        cvlnet evaluate data/test-town --out runs/report
        cvlnet evaluate KITTI-CVL --weights runs/first/best.safetensors --most-queries 500 --out runs/kitti

    Args:
        data: Data set in the layout of KITTI-CVL, such as cvlnet synth writes.
        out: Folder for the report, index.html.
        weights: File of weights; the package's own by default.

    """
    from cvlnet.checkpoint import shipped_weights
    from cvlnet.evaluation.report import evaluate_and_report

    weights = weights or shipped_weights()
    _print_report(evaluate_and_report(data, weights, out, evaluation, progress=sys.stderr.isatty()))


def train(  # noqa: D417
    data: tuple[Path, ...],
    /,
    *,
    out: Path,
    validation: tuple[Path, ...] = (),
    init: Path | None = None,
    cache: Path | None = None,
    workers: Annotated[int, NotNegative] = 1,
    device: str = "cpu",
    overfit_batch: Annotated[bool, Parameter(negative="")] = False,
    model: Annotated[ModelConfig, Parameter(name="*", group=options_of("Model", ModelConfig))] = ModelConfig(),  # noqa: B008
    training: Annotated[TrainConfig, Parameter(name="*", group=options_of("Training", TrainConfig))] = TrainConfig(),  # noqa: B008
    config: Path | None = None,
) -> None:
    """Train on one or more data sets. A run that was interrupted resumes when the command is repeated.

    For example:

        cvlnet train data/town-1 data/town-2 --validation data/town-3 --out runs/first --steps 4000
        cvlnet train KITTI-CVL --out runs/paper --config recipes/paper.toml --device cuda
        torchrun --standalone --nproc-per-node 4 -m cvlnet train data/town-1 --out runs/first --device cuda

    Args:
        data: Data sets in the layout of KITTI-CVL.
        out: Folder for the checkpoints and the log.
        validation: Data sets on which the best weights are chosen.
        init: File of weights to start from.
        cache: Folder that keeps decoded pictures.
        workers: Number of processes that read pictures.
        device: Device to compute on: cpu or cuda.
        overfit_batch: Train on a single batch, whose loss must fall to zero.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.model.device import named_device
    from cvlnet.training.loop import Run, train

    del config  # has been read with the options
    run = Run(data, validation, out, init, cache, workers, str(named_device(device)), overfit_batch)
    figures = train(model, training, run)
    if figures is not None:
        print("  ".join(f"{name} {value:.3f}" for name, value in figures.items()) or f"no validation; see {out}")


def synth(  # noqa: D417
    out: Path,
    /,
    *,
    seed: Annotated[int, NotNegative],
    preset: Preset = "demo",
    towns: Annotated[int | None, AtLeastOne] = None,
    workers: Annotated[int | None, AtLeastOne] = None,
    nuisances: Annotated[Nuisances, Parameter(name="*", group=options_of("Nuisances", Nuisances))] = Nuisances(),  # noqa: B008
    config: Path | None = None,
) -> None:
    """Draw a synthetic town: drives, measurements and overhead tiles, in the layout of KITTI-CVL.

    Seeds below 100,000 are for training, those below 200,000 for validation, and all others for tests. A call that
    was interrupted resumes when it is repeated.

    For example:

        cvlnet synth data/town --seed 7
        cvlnet synth data/test-towns --seed 200000 --preset bench --parked-changes 2

    Args:
        out: Folder to write.
        seed: Seed of the town: every seed gives another one.
        preset: "tiny" takes seconds, "demo" about a minute; "bench" makes four towns of 1 km2 to measure on; "streets"
            makes twelve towns to train on, with 15 km of streets in small frames of one camera, and "routes" sixteen,
            with 37 km and half as many frames a kilometre.
        towns: Number of towns, if other than the preset's.
        workers: Number of processes that draw; one for each core by default.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.town.dataset.synthesize import synthesize

    del config  # has been read with the options
    synthesize(out, seed, preset, towns=towns, nuisances=nuisances, workers=workers)


def calibrate(
    data: tuple[Path, ...],
    /,
    *,
    weights: Path,
    out: File,
    frames: Annotated[int, FramesOfClip] = 4,
    share_mapped: Annotated[float, Share] = SHARE_MAPPED,
    most_queries: Annotated[int | None, AtLeastOne] = None,
    cache: Path | None = None,
    workers: Annotated[int, NotNegative] = 1,
    device: str = "cpu",
) -> None:
    """Fit the confidence of fixes on towns that training never saw, and write it into the weights.

    With it every fix has a probability of being right, and evaluation reports the share of queries that are answered
    with 99 % precision. Some hundreds of queries are needed to establish a threshold. For example:

        cvlnet calibrate data/validation --weights runs/first/best.safetensors --out weights.safetensors

    Args:
        data: Data sets in the layout of KITTI-CVL; test data are refused.
        weights: File of weights.
        out: File to write; it may be the same one.
        frames: Number of frames of a clip.
        share_mapped: Share of queries whose place is on the map where the weights will be used.
        most_queries: Largest number of queries, evenly spaced.
        cache: Folder that keeps decoded pictures.
        workers: Number of processes that read pictures.
        device: Device to compute on: cpu or cuda.

    """
    from cvlnet.evaluation.fit_confidence import calibrate
    from cvlnet.model.confidence import described
    from cvlnet.model.device import named_device

    confidence = calibrate(
        weights,
        data,
        out,
        frames=frames,
        share_mapped=share_mapped,
        most_queries=most_queries,
        cache=cache,
        workers=workers,
        device=str(named_device(device)),
        progress=sys.stderr.isatty(),
    )
    print(f"{out}: {described(confidence)}")


def ablate(  # noqa: D417
    data: tuple[Path, ...],
    /,
    *,
    table: Literal["fusion", "projection", "sequence", "matching", "all"],
    out: Path = Path("ablation"),
    test: tuple[Path, ...] = (),
    seeds: Annotated[int, AtLeastOne] = 3,
    most_queries: Annotated[int, AtLeastOne] = 500,
    cache: Path | None = None,
    workers: Annotated[int, NotNegative] = 1,
    device: str = "cpu",
    init: Path | None = None,
    model: Annotated[ModelConfig, Parameter(name="*", group=options_of("Model", ModelConfig))] = ABLATED,
    training: Annotated[TrainConfig, Parameter(name="*", group=options_of("Training", TrainConfig))] = ABLATION,
    config: Path | None = None,
) -> None:
    """Train and evaluate the variants of one of the paper's tables under one budget, and write the table.

    A call that was interrupted resumes when it is repeated. For example:

        cvlnet ablate data/train --test data/bench --table fusion --steps 500 --seeds 3
        cvlnet ablate KITTI-CVL --table all --device cuda --steps 20000

    Args:
        data: Data sets to train on, in the layout of KITTI-CVL.
        table: Part of the network that is varied while the others stay as they are; or all tables, one after the other.
        out: Folder for the weights, the predictions, and each table as .md, .csv, .json and .png.
        test: Data sets to evaluate on; by default the test drives of the training data.
        seeds: Number of trainings of each variant.
        most_queries: Largest number of queries of each split, evenly spaced.
        cache: Folder that keeps decoded pictures.
        workers: Number of processes that read pictures.
        device: Device to compute on: cpu or cuda.
        init: File of weights; every variant starts from those that fit it, the others from random ones.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.model.device import named_device
    from cvlnet.training.ablation import TABLES, Setting, variants, write_table

    del config  # has been read with the options
    setting = Setting(data, test or data, out, seeds, most_queries, cache, workers, str(named_device(device)), init)
    for name in TABLES if table == "all" else (table,):
        print(write_table(name, variants(name, model, training), setting).markdown())


def convert(checkpoint: Path, out: File, /, *, variant: str) -> None:
    """Convert weights that were trained with the published code.

    For example:

        cvlnet convert model_4.pth authors.safetensors --variant vis_LSTM-Geometry-sim0-stereo0-s4
        cvlnet evaluate KITTI-CVL --weights authors.safetensors --published-decoding --out runs/authors

    Args:
        checkpoint: PyTorch state dict; it is read without executing code.
        out: The .safetensors file to write.
        variant: Name of the published folder, FUSION-PROJECTION-sim0-stereoB-sS: B is 1 if the right camera is used,
            too, and S is the number of frames.

    """
    from cvlnet.checkpoint import convert

    convert(checkpoint, variant, out)
    print(f"{out}: {variant}")


def average(weights: tuple[Path, ...], /, *, out: File) -> None:
    """Average the weights of trainings that continue one another, which generalises better than each of them.

    For example:

        cvlnet average runs/1/best.safetensors runs/2/best.safetensors --out weights.safetensors

    Args:
        weights: Files of weights, all of the same configuration.
        out: File to write; fit its confidence with cvlnet calibrate.

    """
    from cvlnet.checkpoint import average

    average(weights, out)
    print(f"{out}: the mean of {len(weights)} files")


def export(out: Path, /, *, weights: Path | None = None, frames: Annotated[int, FramesOfClip] = 4) -> None:
    """Export a network as ONNX: both encoders and the match, each checked against PyTorch.

    For example:

        cvlnet export onnx
        cvlnet export onnx --weights runs/first/best.safetensors

    Args:
        out: Folder for overhead.onnx, ground.onnx, match.onnx and model.json, which describes them.
        weights: File of weights; the package's own by default.
        frames: Number of frames of a clip, for fusions that need it fixed (LSTM and fuse_Conv3D).

    """
    from cvlnet.checkpoint import shipped_weights
    from cvlnet.model.export import OPSET, export

    for name, difference in export(weights or shipped_weights(), out, frames=frames).items():
        print(f"{out / name}.onnx: opset {OPSET}, differs from PyTorch by {difference:.1e} at most")


def _place(near: tuple[float, float] | None) -> Any:
    """The place that ``--near`` names."""
    from cvlnet.geo import LatLon

    try:
        return None if near is None else LatLon.wrapped(*near)
    except ValueError as error:
        raise InputError(str(error), where="--near", remedy="give latitude and longitude in degrees") from error


def _print_report(report: Any) -> None:
    print("\n".join(report.lines))


def _tell(error: object, status: int) -> int:
    print(f"cvlnet: {' '.join(str(error).split())}", file=sys.stderr)
    return status
