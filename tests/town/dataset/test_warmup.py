"""Once it is compiled ahead, a real town compiles nothing more."""

import subprocess
import sys

PROGRAM = """
from cvlnet.town.dataset.warmup import compile_kernels
compile_kernels()

import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from cvlnet.grid import Grid
from cvlnet.town.dataset.survey import survey
from cvlnet.town.dataset.writers import _DriveArtist, _setting
from cvlnet.town.presets import Nuisances, TownConfig
from cvlnet.town.render.overhead import render_overhead

modules = [module for name, module in sys.modules.items() if name.startswith("cvlnet.town.")]
kernels = {thing for module in modules for thing in vars(module).values() if isinstance(thing, Dispatcher)}

def compiled():
    return {(kernel.py_func.__name__, str(signature)) for kernel in kernels for signature in kernel.nopython_signatures}

before = compiled()
config = TownConfig(7, 200.0, drives=1, frames_per_drive=12, albedo_cell_m=0.5, frame_width_px=124)
town = survey(config, 0)
_DriveArtist.of(town, 0, _setting(town)).picture(9, 2)
render_overhead(town.scene, Grid(50, 50, 0.4), Nuisances(), np.random.default_rng(0))
print(len(before), compiled() - before)
"""


def test_a_town_needs_no_kernel_that_is_not_compiled_ahead() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    count, _, more = done.stdout.strip().partition(" ")
    assert int(count) > 10
    assert more == "set()"
