"""``train.py`` and ``test.py``: the commands of the published code, with the options that they have there.

Both take a KITTI folder as the published README lays it out (``raw_data/`` and ``satmap/``), with the split lists in it
or in its ``dataLoader/``. docs/published.md lists the differences and the reasons for them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Parameter

from cvlnet import __version__
from cvlnet.cli.app import run_and_exit, run_app
from cvlnet.cli.options import NotNegative, default_text, whole_numbers
from cvlnet.config import EvaluationConfig, ModelConfig, TrainConfig

Flag = Literal[0, 1]
STEP = 3  # the published loaders skip two frames between the frames of a clip
_CELL_M = ModelConfig.paper_like().overhead_m_per_px * 16  # VGG16's stride


@dataclass(frozen=True)
class Options:
    """Options of both published commands.

    Raises ValueError for values out of range and for parts that do not go together.

    Attributes:
        sequence: Number of frames of a clip, 1 to 16; every third frame of the video is taken.
        stereo: 1 adds the frames of the right camera.
        fuse_method: Fusion of the frames' maps.
        proj: Projection of frames to the overhead grid: by geometry, or learned.
        shift_range: Largest displacement in the matching window, in cells; 0 takes the tile's centre.
        uncertainty: 1 divides scores by a learned uncertainty of a vehicle being at a place.
        sim: 1 gives the fusion the photo-consistency of the frames as further input.
        project_grd: 1 projects images instead of features.
        polar_sat: 1 draws the overhead image as a panorama; only with shift_range 0 and uncertainty 0.
        batch_size: Number of clips in a step.
        epochs: Number of passes over the training list.
        lr: Peak learning rate.

    """

    sequence: int = 4
    stereo: Flag = 0
    fuse_method: Literal[
        "vis_Conv2D", "vis_Conv3D", "vis_LSTM", "fuse_Conv2D", "fuse_Conv3D", "fuse_LSTM", "fuse_Transformer"
    ] = "fuse_Transformer"
    proj: Literal["Geometry", "Unet", "Reshape"] = "Geometry"
    shift_range: int = 3
    uncertainty: Flag = 1
    sim: Flag = 0
    project_grd: Flag = 0
    polar_sat: Flag = 0
    batch_size: int = 8
    epochs: int = 5
    lr: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.proj != "Geometry" and (self.project_grd or self.polar_sat):
            raise ValueError(f"--proj {self.proj} goes with neither --project_grd nor --polar_sat")
        model_of(self)
        training_of(self, self.batch_size)

    @property
    def cameras(self) -> tuple[int, ...]:
        """Numbers of the cameras in KITTI."""
        return (2, 3) if self.stereo else (2,)

    @property
    def name(self) -> str:
        """Name of the variant and of the folder of its weights."""
        projection = {(1, 0): "image", (0, 1): "polar"}.get((self.project_grd, self.polar_sat), self.proj)
        prior = "" if self.uncertainty else "-no_uncertainty"
        return (
            f"{self.fuse_method}-{projection}-sim{self.sim}-stereo{self.stereo}-s{self.sequence}"
            f"-shift{self.shift_range}{prior}"
        )


def model_of(options: Options) -> ModelConfig:
    """The paper's network with these parts. Raises ValueError for parts that do not go together."""
    learned: dict[str, Literal["unet", "reshape"]] = {"Unet": "unet", "Reshape": "reshape"}
    projection: Literal["features", "images", "unet", "reshape", "polar"] = learned.get(options.proj, "features")
    if options.project_grd:
        projection = "images"
    if options.polar_sat:
        projection = "polar"
    return replace(
        ModelConfig.paper_like(),
        fusion=options.fuse_method,
        projection=projection,
        window_cells=options.shift_range,
        uncertainty=bool(options.uncertainty),
        consistency=bool(options.sim),
        sequence=options.sequence * len(options.cameras),
    )


def training_of(options: Options, samples: int) -> TrainConfig:
    """The paper's training on a number of samples. Raises ValueError for values out of range."""
    steps = max(options.epochs * (samples // options.batch_size), 1)
    return TrainConfig(
        steps=steps,
        batch_size=options.batch_size,
        frames=options.sequence,
        clip_step=STEP,
        cameras=options.cameras,
        learning_rate=options.lr,
        backbone_learning_rate=options.lr,
        loss="soft_margin",
        neighbours=0,
        min_distance_m=(2 * options.shift_range + 1) * _CELL_M,  # no two windows of a batch overlap
        heading_error_deg=0.0,
        rotate_world=False,
        mirror_world=False,
        photometric=0.0,
        label_weight=0.0,
        displacement_weight=0.0,
        validate_every=max(steps // options.epochs, 1),
    )


def train_script(
    *,
    root: Path,
    options: Annotated[Options, Parameter(name="*")] = Options(),
    out: Path = Path("Models"),
    init: Path | None = None,
    workers: Annotated[int, NotNegative] = 1,
    device: str | None = None,
) -> None:
    r"""Train on a KITTI folder. An interrupted training resumes when the command is repeated.

    For example:

        python train.py --root KITTI
        python train.py --root KITTI --fuse_method vis_LSTM --sequence 8 \
            --stereo 1 --device cuda

    Args:
        root: Folder that holds raw_data, satmap and the split lists.
        out: Folder for the weights of all variants; those of this one go into OUT/VARIANT.
        init: File of weights to start from; random weights by default.
        workers: Number of processes that read pictures.
        device: Device to compute on: cpu or cuda; by default cuda if there is a GPU, otherwise cpu.

    """
    from cvlnet.data.kitti_cvl import read_split
    from cvlnet.training.loop import BEST, Run, train

    samples = len(read_split(root, "train").queries)
    folder = out / options.name
    run = Run((root,), (), folder, init, workers=workers, device=_device(device))
    train(model_of(options), training_of(options, samples), run)
    print(f"weights: {folder / BEST}")


def evaluate_script(
    *,
    root: Path,
    options: Annotated[Options, Parameter(name="*")] = Options(),
    test_wo_destractors: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    weights: Path | None = None,
    out: Path = Path("Models"),
    workers: Annotated[int, NotNegative] = 1,
    device: str | None = None,
) -> None:
    r"""Locate the test queries of a KITTI folder, and print the figures that the published code prints.

    For example:

        python test.py --root KITTI
        python test.py --root KITTI --test_wo_destractors \
            --weights authors.safetensors

    Args:
        root: Folder that holds raw_data, satmap and the split lists.
        test_wo_destractors: Evaluates Test-1, without distractor tiles, in addition to Test-2.
        weights: File of weights; by default those that train.py wrote for these options, otherwise the package's own.
        out: Folder of the weights of all variants; the report goes into OUT/VARIANT/report.
        workers: Number of processes that read pictures.
        device: Device to compute on: cpu or cuda; by default cuda if there is a GPU, otherwise cpu.

    """
    from cvlnet.checkpoint import load_tensors, shipped_weights
    from cvlnet.evaluation.report import evaluate_and_report
    from cvlnet.training.loop import BEST

    folder = out / options.name
    trained = folder / BEST
    if weights is None:
        weights = trained if trained.is_file() else shipped_weights()
        print(f"weights: {weights}")
    _, provenance = load_tensors(weights)
    step = STEP if provenance.train is None else provenance.train.clip_step
    config = EvaluationConfig(
        frames=options.sequence,
        step=step,
        cameras=options.cameras,
        splits=("test1", "test2") if test_wo_destractors else ("test2",),
        workers=workers,
        device=_device(device),
    )
    report = evaluate_and_report(root, weights, folder / "report", config)
    titles = {"test1": "without distractors", "test2": "with distractors"}
    for name, split in report.figures.splits.items():
        print(f"------------- {titles[name]} -----------------")
        print(f"median: {split.median_m.value:.2f} mean: {split.mean_m.value:.2f}")
        for rank in (1, 5, 10, 100):
            within = " ".join(f"{100 * split.recall_at(rank, radius_m).value:.2f}" for radius_m in (10.0, 25.0))
            print(f"top-{rank} within 10 and 25 meters: {within}")
    print(f"report: {report.page}")


def main(name: str, command: Callable[..., None]) -> NoReturn:
    """Run a command as a script of that name, and exit."""
    run_and_exit(_app(name, command), sys.argv[1:])


def run(name: str, command: Callable[..., None], tokens: Sequence[str]) -> int:
    """Run a command as a script of that name, and return the exit status."""
    return run_app(_app(name, command), tokens)


def _app(name: str, command: Callable[..., None]) -> App:
    """One command, whose options keep their underscores."""
    as_published = Parameter(name_transform=lambda option: option, negative_bool=(), show_default=default_text)
    app = App(
        name=name,
        version=__version__,
        config=(whole_numbers,),
        help_format="markdown",
        default_parameter=as_published,
    )
    app.default(command)
    return app


def _device(name: str | None) -> str:
    import torch

    from cvlnet.model.device import named_device

    return str(named_device(name or ("cuda" if torch.cuda.is_available() else "cpu")))
