"""The command line as a whole: its commands, its exit status, and errors in one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from cvlnet import __version__
from cvlnet.cli.adapt import adapt
from cvlnet.cli.camera import camera_app
from cvlnet.cli.camera_pose import calibrate_camera
from cvlnet.cli.dataset import dataset_app
from cvlnet.cli.evaluate import ablate, calibrate, evaluate
from cvlnet.cli.imagery import imagery_app
from cvlnet.cli.locate import localize
from cvlnet.cli.map import map_app
from cvlnet.cli.networks import convert, export
from cvlnet.cli.odometry import visual_odometry
from cvlnet.cli.options import default_text, settings_file, whole_numbers
from cvlnet.cli.serve import serve
from cvlnet.cli.synth import demo, synth
from cvlnet.cli.track import evaluate_tracks, track
from cvlnet.cli.train import average, train
from cvlnet.errors import InputError
from cvlnet.io.files import FULL

USER_ERROR, INTERRUPTED = 2, 130


class _Commands(App):
    """The commands, whose completion is installed in a folder that may not be writable."""

    def install_completion(self, **options: Any) -> Path:
        """As `App` does it. Raises InputError if a file cannot be read or written."""
        try:
            return super().install_completion(**options)
        except OSError as error:
            what = f"the completion cannot be installed ({error.strerror or error})"
            remedy = "make it writable, or name another file with --output"
            raise InputError(what, where=error.filename or "home folder", remedy=remedy) from error


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: with status 2 and one line for an error that the user can correct."""
    run_and_exit(build_app(), sys.argv[1:] if tokens is None else tokens)


def run(tokens: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    return run_app(build_app(), tokens)


def run_and_exit(app: App, tokens: Sequence[str]) -> NoReturn:
    """Run a command of an app as a process of its own, with warnings on the standard error stream."""
    logging.basicConfig(format="cvlnet: %(levelname)s: %(message)s", level=logging.WARNING)
    logging.addLevelName(logging.WARNING, "warning")
    sys.exit(run_app(app, tokens))


def run_app(app: App, tokens: Sequence[str]) -> int:
    """Run a command of an app; an error that the user can correct is one line, any other keeps its traceback."""
    try:
        command, bound, _ = app.parse_args(tokens, print_error=False, exit_on_error=False)
    except (CycloptsError, ValueError) as error:  # a ValueError comes from a configuration's own checks
        named = " ".join([*app.name, *app.parse_commands(tokens)[0]])
        return _fail(f"{error} (see {named} --help)", USER_ERROR)
    except InputError as error:
        return _fail(error, USER_ERROR)
    try:
        command(*bound.args, **bound.kwargs)
    except InputError as error:
        return _fail(error, USER_ERROR)
    except OSError as error:
        if error.errno in FULL:
            what = f"{error.filename or 'a file'}: cannot be written ({error.strerror})"
            return _fail(f"{what}; free some space, and repeat the command", USER_ERROR)
        if error.errno != ENAMETOOLONG:
            raise
        return _fail(f"{str(error.filename)[:80]}...: the file name is too long; check the path", USER_ERROR)
    except KeyboardInterrupt as interrupt:  # a command may say what it has written
        return _fail(str(interrupt) or "interrupted; no file was left incomplete", INTERRUPTED)
    return 0


def build_app() -> App:
    """The commands and their options."""
    app = _Commands(
        name="cvlnet",
        help="Locate a vehicle on an overhead image from the last few frames of its video.",
        version=__version__,
        config=(settings_file, whole_numbers),
        help_format="markdown",
        default_parameter=Parameter(consume_multiple=True, negative_iterable=(), show_default=default_text),
    )
    commands: tuple[Callable[..., None], ...] = (
        demo,
        localize,
        track,
        serve,
        evaluate,
        evaluate_tracks,
        train,
        adapt,
        synth,
        calibrate,
        calibrate_camera,
        visual_odometry,
        ablate,
        average,
        convert,
        export,
    )
    for place, command in enumerate(commands):
        app.command(command, sort_key=place)
    app.command(map_app())
    app.command(dataset_app())
    app.command(imagery_app())
    app.command(camera_app())
    app.register_install_completion_command(help="Install the completion of commands and options in the shell.")
    return app


def _fail(error: object, status: int) -> int:
    print(f"cvlnet: {' '.join(str(error).split())}", file=sys.stderr)
    return status
