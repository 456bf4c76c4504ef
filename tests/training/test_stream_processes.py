"""A training on streamed towns as users start, interrupt and kill it, with towns that are really drawn."""

import json
import os
import signal
import subprocess
import sys

import pytest

SETTINGS = """
stream = "tiny"
first-seed = 20000
mixed-towns = 2
steps = 4
batch-size = 8
frames = 2
warmup-steps = 1
neighbours = 0
min-distance-m = 0.2
validate-every = 100
image-width-px = 128
image-height-px = 32
clip-cells = 16
window-cells = 2
channels = 8
"""
SECOND = "waiting for the town of seed 20001"


@pytest.fixture
def command(tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS)
    return ["-m", "cvlnet", "train", "--workers", "1", "--config", str(tmp_path / "settings.toml"), "--out"]


def started(command, out):
    call = [sys.executable, *command, str(out)]
    return subprocess.Popen(call, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def read_until(text, stream):
    told = ""
    while text not in told:
        more = os.read(stream.fileno(), 4096)
        assert more, told
        told += more.decode()


def losses_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_nothing_outlives_a_training_that_is_interrupted_or_killed_and_it_resumes(command, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, *command, str(tmp_path / "two")], check=True, capture_output=True)
    out = tmp_path / "run"
    interrupted = started(command, out)
    read_until(SECOND, interrupted.stderr)
    os.killpg(interrupted.pid, signal.SIGINT)
    told = interrupted.communicate(timeout=60)[1].decode()  # ends when all have closed the stream
    assert interrupted.returncode == 130
    assert "interrupted; no file was left incomplete" in told
    assert "Traceback" not in told
    assert [path.name for path in (out / "towns").iterdir()] == ["town-20000"]

    killed = started(command, out)
    read_until(SECOND, killed.stderr)
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL

    subprocess.run([sys.executable, *command, str(out)], check=True, capture_output=True)
    assert not (out / "towns").exists()
    together = losses_of(tmp_path / "two")
    assert [line["towns"] for line in losses_of(out)] == [1, 2, 2, 2]
    for one, both in zip(losses_of(out), together, strict=True):
        assert both == pytest.approx(one, rel=1e-3, abs=1e-4)
