"""A training's folder as interruptions, disks and people leave it: it goes on rightly, or is refused in one line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kitti_tree import write_kitti_cvl
from safetensors.torch import save

from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.io.tensor_file import read_tensors
from cvlnet.training.log import LOG
from cvlnet.training.loop import BEST, LAST, Run, train

MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)
CONFIG = TrainConfig(
    steps=2, batch_size=2, frames=2, warmup_steps=1, neighbours=0, min_distance_m=0.5, label_weight=0.0
)
AT_ONE = 1  # the step from which the changed checkpoints go on
AGAIN = "delete it, to start again"
SAME = "continue it with the same settings, or choose another folder"
Tensors = dict[str, torch.Tensor]
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training of two steps, whose checkpoint says one."""
    root = tmp_path_factory.mktemp("trained")
    write_kitti_cvl(root / "data")
    run = Run((root / "data",), (), root / "run", workers=0)
    train(MODEL, CONFIG, run)
    checkpoint(step=AT_ONE)(run.out)
    return run


def checkpoint(change: Callable[[Tensors], object] = dict.copy, **header: Any) -> Change:
    """Write another checkpoint, as a forger would, without a checksum."""

    def write(out: Path) -> None:
        named, found = read_tensors(out / LAST, "cvlnet", largest_bytes=2**30, remedy="")
        named = {name: tensor.clone() for name, tensor in named.items()}
        change(named)
        (out / LAST).write_bytes(save(named, metadata={"cvlnet": json.dumps(found | header)}))

    return write


def moment(tensors: Tensors) -> str:
    return next(name for name in tensors if name.endswith(".exp_avg"))


def bytes_of(name: str, new: Callable[[bytes], bytes]) -> Change:
    return lambda out: (out / name).write_bytes(new((out / name).read_bytes()))


def text_of(name: str, new: Callable[[str], str]) -> Change:
    return bytes_of(name, lambda content: new(content.decode()).encode())


def folder_instead(name: str) -> Change:
    def change(out: Path) -> None:
        (out / name).unlink()
        (out / name).mkdir()

    return change


@dataclass(frozen=True)
class Refused:
    """line: what is said, after the path of the file, or of the folder (OUT)."""

    change: Change
    line: str
    config: TrainConfig = CONFIG
    model: ModelConfig = MODEL


REFUSED = {
    "an empty checkpoint": Refused(bytes_of(LAST, lambda _: b""), f"{LAST}: not a whole safetensors file"),
    "half a checkpoint": Refused(bytes_of(LAST, lambda b: b[: len(b) // 2]), f"{LAST}: not a whole safetensors file"),
    "weights for a checkpoint": Refused(
        lambda out: shutil.copy(out / BEST, out / LAST), f"{LAST}: the tensors do not fit the model: missing"
    ),
    "a checkpoint of the future": Refused(checkpoint(step=3), f"{LAST}: holds step 3, not one of 0 to 2; {AGAIN}"),
    "a checkpoint of before": Refused(checkpoint(step=-1), f"{LAST}: holds step -1, not one of 0 to 2; {AGAIN}"),
    "a step in words": Refused(checkpoint(step="one"), f"{LAST}: no description of CVLNet weights inside"),
    "figures in words": Refused(checkpoint(figures={"score": "x"}), f"{LAST}: no description of CVLNet weights inside"),
    "half a moment": Refused(
        checkpoint(lambda t: t.pop(moment(t))), f"{LAST}: the optimizer's state does not fit the model: missing 0.exp_avg"
    ),
    "a moment of another shape": Refused(
        checkpoint(lambda t: t.update({moment(t): torch.zeros(3)})), "of another shape 0.exp_avg"
    ),
    "a moment that is not a number": Refused(
        checkpoint(lambda t: t[moment(t)].fill_(torch.nan)), "not finite 0.exp_avg"
    ),
    "a moment of nothing": Refused(
        checkpoint(lambda t: t.update({"optimizer.99999.step": torch.zeros(())})), "unknown 99999.step"
    ),
    "a moment without a number": Refused(
        checkpoint(lambda t: t.update({"optimizer.x.step": torch.zeros(())})), "unknown x.step"
    ),
    "a training of another rate": Refused(
        lambda _: None,
        f"OUT: holds a training with another training configuration; {SAME}",
        config=replace(CONFIG, learning_rate=1.0),
    ),
    "a training of another network": Refused(
        lambda _: None,
        f"OUT: holds a training with another model configuration; {SAME}",
        model=replace(MODEL, channels=8),
    ),
    "a training on other data": Refused(checkpoint(data=[]), f"OUT: holds a training with another data; {SAME}"),
    "a log without its beginning": Refused(text_of(LOG, lambda t: t[7:]), f"{LOG}: line 1 is no entry"),
    "zeros in the log": Refused(bytes_of(LOG, lambda b: b"\0\0\0\n" + b), f"{LOG}: line 1 is no entry"),
    "a log that is not UTF-8": Refused(bytes_of(LOG, lambda b: b"\xff\n" + b), f"{LOG}: line 1 is no entry"),
    "a list in the log": Refused(text_of(LOG, lambda t: "[1]\n" + t), f"{LOG}: line 1 is no entry"),
    "a step in words in the log": Refused(text_of(LOG, lambda t: '{"step": "x"}\n' + t), f"{LOG}: line 1 is no entry"),
    "endless brackets in the log": Refused(text_of(LOG, lambda t: "[" * 10**5 + "\n" + t), f"{LOG}: line 1 is no entry"),
    "a folder for a log": Refused(folder_instead(LOG), f"{LOG}: cannot be written (Is a directory)"),
    "a folder for a checkpoint": Refused(folder_instead(LAST), f"{LAST}: there is no such file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_training_that_cannot_go_on_gets_one_line(kind: str, trained: Run, tmp_path: Path) -> None:
    case, run = REFUSED[kind], replace(trained, out=shutil.copytree(trained.out, tmp_path / "run"))
    case.change(run.out)
    before = {path: path.read_bytes() for path in run.out.iterdir() if path.is_file() and "events" not in path.name}
    with pytest.raises(InputError) as caught:
        train(case.model, case.config, run)
    assert str(caught.value).startswith(f"{run.out}")
    assert case.line.replace("OUT", str(run.out)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(path.read_bytes() == content for path, content in before.items())


GOES_ON: dict[str, tuple[Change, int]] = {
    "an earlier checkpoint": (lambda _: None, 1),
    "an empty log": (bytes_of(LOG, lambda _: b""), 0),
    "no log": (lambda out: (out / LOG).unlink(), 0),
    "half a last line": (text_of(LOG, lambda t: t[:-9]), 1),
    "line ends of Windows": (text_of(LOG, lambda t: t.replace("\n", "\r\n")), 1),
    "no best weights": (lambda out: (out / BEST).unlink(), 1),
}


@pytest.mark.parametrize("kind", GOES_ON)
def test_a_training_goes_on(kind: str, trained: Run, tmp_path: Path) -> None:
    """kept: how many entries of the log remain, before that of the step that is trained again."""
    (change, kept), run = GOES_ON[kind], replace(trained, out=shutil.copytree(trained.out, tmp_path / "run"))
    change(run.out)
    train(MODEL, CONFIG, run)
    steps = [json.loads(line)["step"] for line in (run.out / LOG).read_text().splitlines()]
    assert steps == [1] * kept + [2]
    assert (run.out / BEST).is_file()


def test_a_file_for_a_folder_gets_one_line(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match=r"run: cannot be written \(File exists\); choose another place"):
        train(MODEL, CONFIG, replace(trained, out=tmp_path / "run"))
