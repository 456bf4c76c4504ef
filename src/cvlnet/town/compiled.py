"""The decorator of everything that is compiled, and the noise that the compiled drawing code shares.

Noise is a pure function of its coordinates and a seed: the same surface looks the same from every view.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import floor, sin
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, njit

# what compiled code takes: it cannot be checked at run time, and shapes stand in its docstrings
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
Function = TypeVar("Function", bound=Callable[..., object])
NUMBERS = {"float": float64, "int": int64, "bool": boolean}  # as annotations name them


def kernel(function: Function) -> Function:
    """Compile a function to machine code, kept on disk; it runs without the interpreter's lock.

    A function of numbers alone is compiled once, for 64 bits: by default numba compiles it again for every literal that
    it is called with, and that was half of the time until a town's first frame.
    Run-time type checkers wrap functions in Python code, which cannot be compiled: the original is.
    """
    original = inspect.unwrap(function)
    *arguments, result = original.__annotations__.values()
    numbers = {result, *arguments} <= NUMBERS.keys()
    signature = NUMBERS[result](*(NUMBERS[name] for name in arguments)) if numbers else None
    try:
        return cast(Function, njit(signature, cache=True, nogil=True, error_model="numpy")(original))
    except RuntimeError:  # no folder that can be written to: compiled anew by every process
        return cast(Function, njit(signature, nogil=True, error_model="numpy")(original))


@kernel
def hash01(i: int, j: int, seed: int) -> float:
    """A number in [0, 1) that looks random, of two integers and a seed."""
    h = (i * 374761393 + j * 668265263 + (seed & 0x7FFFFFFF) * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 461845907) & 0xFFFFFFFF
    return float(h ^ (h >> 15)) * (1.0 / 4294967296.0)


@kernel
def noise2(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1] with features of size one."""
    i, j = floor(x), floor(y)
    s, t = x - i, y - j
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    ii, jj = int(i), int(j)
    low = hash01(ii, jj, seed) * (1 - s) + hash01(ii + 1, jj, seed) * s
    high = hash01(ii, jj + 1, seed) * (1 - s) + hash01(ii + 1, jj + 1, seed) * s
    return low * (1 - t) + high * t


@kernel
def noise3(x: float, y: float, z: float, seed: int) -> float:
    """Smooth noise in [0, 1] in space with features of size one."""
    k = floor(z)
    t = z - k
    t = t * t * (3 - 2 * t)
    return noise2(x, y, seed + 7919 * k) * (1 - t) + noise2(x, y, seed + 7919 * (k + 1)) * t


@kernel
def leaf_noise(x: float, y: float, z: float, size_m: float, seed: int) -> float:
    """A number in [0, 1) for every cell of about ``size_m`` in space, with ragged borders as leaves have them."""
    f = 2.6 / size_m
    i = floor((x + 0.3 * size_m * sin(f * y + 1.7 * f * z)) / size_m)
    j = floor((y + 0.3 * size_m * sin(f * z + 1.3 * f * x)) / size_m)
    k = floor((z + 0.3 * size_m * sin(f * x + 1.9 * f * y)) / size_m)
    return hash01(i, j, seed + 977 * k)


@kernel
def ramp(x: float, low: float, high: float) -> float:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@kernel
def band(x: float, low: float, high: float, soft: float) -> float:
    """1 inside [low, high], 0 outside, with edges ``soft`` wide: a pattern that does not alias."""
    half = 0.5 * soft + 1e-6
    return min(max((x - low) / (2 * half) + 0.5, 0.0), 1.0) * min(max((high - x) / (2 * half) + 0.5, 0.0), 1.0)
