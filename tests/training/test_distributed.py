"""Processes are started as users start them, by torchrun; they meet on the loopback interface."""

import json
import subprocess
import sys

import pytest
import torch

from cvlnet.checkpoint import load_tensors
from cvlnet.training.distributed import World
from cvlnet.training.loop import LAST

SETTINGS = """
steps = 3
batch-size = 4
frames = 2
warmup-steps = 1
neighbours = 0
min-distance-m = 0.5
mirror-world = false
validate-every = 3
validate-queries = 4
image-width-px = 128
image-height-px = 32
clip-cells = 16
window-cells = 2
channels = 8
"""


def test_one_process_is_the_whole_world():
    world, own = World(), torch.rand(3, 2)
    assert world.is_first
    assert range(6)[world.part(6)] == range(6)
    assert world.gather(own) is own
    assert world.all(True)
    assert not world.all(False)


def test_processes_share_the_samples_evenly():
    parts = [range(12)[World(rank, 3).part(12)] for rank in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert [i for part in parts for i in part] == list(range(12))


def trained(town, folder, processes, *more, device="cpu"):
    """A training's losses, and its weights."""
    (folder / "settings.toml").write_text(SETTINGS)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    out = folder / str(processes)
    command = ["-m", "cvlnet", "train", town, "--validation", town, "--out", out, "--workers", "0"]
    options = ["--config", folder / "settings.toml", "--device", device, *more]
    call = [*(start if processes > 1 else [sys.executable]), *command, *options]
    done = subprocess.run([str(part) for part in call], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return lines, load_tensors(out / LAST)[0]


@pytest.fixture(scope="module")
def by_one_process(tiny_town, tmp_path_factory):
    return trained(tiny_town, tmp_path_factory.mktemp("alone"), 1)


@pytest.mark.parametrize("in_parts", [[], ["--encode-at-once", 1]])
def test_two_processes_learn_what_one_would(tiny_town, by_one_process, tmp_path, in_parts):
    alone, weights = by_one_process
    together, shared = trained(tiny_town, tmp_path, 2, *in_parts)
    assert [line["step"] for line in together] == [line["step"] for line in alone]
    for one, both in zip(alone, together, strict=True):
        assert both == pytest.approx(one, rel=1e-3, abs=1e-4)
    assert shared.keys() == weights.keys()
    for name, tensor in weights.items():
        if name.startswith("model."):
            # Adam's first steps go by the sign of a gradient, be it ever so near zero: single weights may differ
            assert float((shared[name] - tensor).double().abs().mean()) < 3e-5, name  # 3 steps go 1e-3


def test_two_processes_in_parts_have_the_gradients_of_one(tiny_town, tmp_path):
    """Of the first step, which starts from the same weights."""
    once = ["--steps", 1, "--validate-every", 1]
    _, weights = trained(tiny_town, tmp_path, 1, *once)
    _, shared = trained(tiny_town, tmp_path, 2, *once, "--encode-at-once", 1)
    gradients = [name for name in weights if name.endswith(".exp_avg")]
    assert gradients
    # what the loss does not depend on, as a bias before a softmax, has a gradient of rounding errors alone
    rounding = 1e-6 * max(float(weights[name].abs().max()) for name in gradients)
    for name in gradients:
        near = 1e-3 * float(weights[name].abs().max()) + rounding
        torch.testing.assert_close(shared[name], weights[name], rtol=1e-3, atol=near, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_two_gpus_learn_what_one_would(tiny_town, tmp_path):
    alone, _ = trained(tiny_town, tmp_path, 1, device="cuda")
    together, _ = trained(tiny_town, tmp_path, 2, device="cuda")
    for one, both in zip(alone, together, strict=True):
        assert both == pytest.approx(one, rel=1e-2, abs=1e-3)
