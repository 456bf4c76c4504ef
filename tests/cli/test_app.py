import errno
import subprocess
import sys
from dataclasses import fields

import pytest

from cvlnet import __version__
from cvlnet.cli import run
from cvlnet.cli.options import Resources
from cvlnet.config import ClipFiles, DatasetConfig, EvaluationConfig, ModelConfig, RasterHints, TrainConfig
from cvlnet.errors import InputError
from cvlnet.town.presets import Nuisances

COMMANDS = (
    "demo",
    "localize",
    "evaluate",
    "train",
    "synth",
    "calibrate",
    "calibrate-camera",
    "ablate",
    "average",
    "convert",
    "export",
)
COMMANDS_OF_GROUPS = (
    "dataset build",
    "imagery fetch",
    "imagery sources",
    *(f"map {command}" for command in ("build", "info", "evaluate", "update", "merge", "copy", "export")),
)


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_completion_of_commands_and_options_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["--install-completion", "--shell", "bash"]) == 0
    (script,) = tmp_path.glob(".local/**/cvlnet")
    assert all(word in script.read_text() for word in ("visual-odometry", "--camera-file"))
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_a_home_folder_that_cannot_be_written_gets_one_line(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    home.write_text("no folder")
    monkeypatch.setenv("HOME", str(home))
    assert run(["--install-completion", "--shell", "bash"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cvlnet: {home}/.local")
    assert "the completion cannot be installed (Not a directory); make it writable" in line


def test_help_lists_the_commands(capsys):
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command.partition(" ")[0] in printed for command in (*COMMANDS, *COMMANDS_OF_GROUPS))


@pytest.mark.parametrize("command", [*COMMANDS, *COMMANDS_OF_GROUPS])
def test_help_of_a_command_has_an_example(capsys, command):
    assert run([*command.split(), "--help"]) == 0
    _, _, after = capsys.readouterr().out.partition("For example:")
    assert f"cvlnet {command}" in after


@pytest.mark.parametrize("command", [*COMMANDS, *COMMANDS_OF_GROUPS])
def test_help_fits_a_terminal_of_80_columns(capsys, monkeypatch, command):
    """Examples that were wrapped could not be copied."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command.split(), "--help"]) == 0
    _, _, after = capsys.readouterr().out.partition("For example:")
    lines = [line.rstrip() for line in after.partition("╭")[0].splitlines() if line.strip()]
    continued = [before.endswith("\\") for before in ("", *lines[:-1])]
    for line, is_continued in zip(lines, continued, strict=True):
        assert line.startswith("     --" if is_continued else (" cvlnet ", " torchrun ")), line


@pytest.mark.parametrize(
    ("command", "configuration"),
    [
        ("localize", ClipFiles),
        ("localize", RasterHints),
        ("evaluate", EvaluationConfig),
        ("train", ModelConfig),
        ("train", TrainConfig),
        ("train", Resources),
        ("calibrate", Resources),
        ("ablate", ModelConfig),
        ("ablate", TrainConfig),
        ("ablate", Resources),
        ("synth", Nuisances),
        ("dataset build", DatasetConfig),
        ("dataset build", RasterHints),
    ],
)
def test_every_setting_can_be_reached(capsys, command, configuration):
    run([*command.split(), "--help"])
    printed = capsys.readouterr().out
    options = [f"--{field.name.replace('_', '-')}" for field in fields(configuration)]
    assert options
    assert [option for option in options if option not in printed] == []


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["lokalize"], 'Did you mean "localize"?'),
        (["train", "x", "--out", "y", "--stepz", "3"], "Did you mean --steps?"),
        (["train", "x", "--out", "y", "--steps", "many"], '"many"'),
        (["train", "x", "--out", "y", "--steps", "0"], "steps must be at least 1, not 0"),
        (["train", "x", "--out", "y", "--device", "abacus"], "device abacus"),
        (["train", "x"], "--out"),
        (["train", "missing", "--out", "y"], "train_files_with_sat_GPS.txt"),
        (["localize"], "MAP"),
        (["localize", "x", "--frame", "1.5"], "--frame: 1.5 is not a whole number"),
        (["localize", "x", "--radius-m", "inf"], '"inf" for --radius-m'),
        (["localize", "x", "--radius-m", "nan"], '"nan" for --radius-m'),
        (["map", "info", "x" * 400], "the file name is too long"),
        (["track", "x", "--out", "y", "--start-sigma-m", "1e308"], "--start-sigma-m"),
        (["localize", "x", "--radius-m", "0"], '"0.0" for --radius-m'),
        (["localize", "x", "--radius-m", "500"], "--radius-m: is the radius around a place, and no place is given"),
        (["track", "x", "--out", "y", "--radius-m", "500"], "give --near LATITUDE LONGITUDE, too"),
        (["localize", "x", "--share-mapped", "nan"], '"nan" for --share-mapped'),
        (["localize", "x", "--near", "nan", "8"], "latitude nan"),
        (["train", "x", "--out", "y", "--workers", "-1"], "(see cvlnet train --help)"),
        (["localize", "x", "--frames", "0"], "(see cvlnet localize --help)"),
        (["localize", "x", "--frames", "17"], "frames must be from 1 to 16, not 17"),
        (["localize", "x", "--frames", "-1"], "frames must be from 1 to 16, not -1"),
        (["localize", "x", "--frame", "-1"], "frame must be 0 or greater, not -1"),
        (["localize", "x", "--way-m", "inf"], "way_m must be positive and finite, not inf"),
        (["localize", "x", "--way-m", "nan"], "way_m must be positive and finite, not nan"),
        (["localize", "x", "--way-m", "-3"], "way_m must be positive and finite, not -3.0"),
        (["evaluate", "x", "--out", "y", "--splits", "train"], "train"),
        (["evaluate", "x", "--out", "y", "--way-m", "inf"], "way_m must be positive and finite, not inf"),
        (["localize", "x", "--near", "91", "8"], "latitude 91"),
        (["localize", "x", "--weights", "missing.safetensors"], "missing.safetensors: there is no such file"),
        (["evaluate", "missing", "--weights", "missing.safetensors", "--out", "y"], "missing.safetensors"),
        (["average", "missing.safetensors", "--out", "y"], "missing.safetensors: there is no such file"),
        (["average", "--out", "y"], "WEIGHTS"),
        (["average", "missing.safetensors", "--out", "."], "is a directory"),
        (["calibrate", "x", "--weights", "missing.safetensors", "--out", "."], "is a directory"),
        (["synth", "x", "--seed", "1", "--preset", "huge"], "huge"),
        (["synth", "x", "--seed", "-1"], "-1"),
        (["dataset", "build", "--out", "x", "--drives", "y"], "--imagery"),
        (["dataset", "build", "--out", "x", "--drives", "y", "--imagery", "z.tif"], "z.tif: there is no such file"),
        (["dataset", "build", "--out", "x", "--drives", "y", "--imagery", "z", "--gap-m", "0"], "gap_m must be from 1"),
        (["dataset", "build", "--out", "x", "--imagery", "z", "--first-query", "1.5"], "1.5 is not a whole number"),
        (["dataset", "build", "--gap-m", "0"], "(see cvlnet dataset build --help)"),
        (["dataset", "bild"], 'Did you mean "build"?'),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, tokens, told):
    monkeypatch.chdir(tmp_path)
    assert run(tokens) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("cvlnet: ")
    assert told in printed.err
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_interruption_is_one_line_and_status_130(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cvlnet.training.loop.train", interrupted)
    assert run(["train", "x", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_is_one_line_and_status_2(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cvlnet.map.store.Map.open", full)
    assert run(["map", "info", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "cvlnet: a file: cannot be written (No space left on device); free some space, and repeat the command\n"
    )


def test_our_own_mistakes_keep_their_traceback(monkeypatch, tmp_path):
    def mistaken(*_, **__):
        raise ValueError("a mistake")

    monkeypatch.setattr("cvlnet.training.loop.train", mistaken)
    with pytest.raises(ValueError, match="a mistake"):
        run(["train", "x", "--out", str(tmp_path)])


def test_error_of_several_lines_is_told_in_one(monkeypatch, capsys, tmp_path):
    def refused(*_, **__):
        raise InputError("two\n lines", where="here", remedy="do that")

    monkeypatch.setattr("cvlnet.training.loop.train", refused)
    assert run(["train", "x", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "cvlnet: here: two lines; do that\n"


def test_heavy_modules_wait_for_the_command_that_needs_them():
    program = (
        "import sys, cvlnet.cli; print(sorted({'torch', 'numba', 'matplotlib', 'pyproj', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
