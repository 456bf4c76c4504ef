"""The decorator for compiled functions, and the noise functions that they share.

Noise is a pure function of its coordinates and a seed, so that a surface looks the same in every view.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import floor, sin
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, njit

# plain annotations for compiled functions, whose arguments are not checked at run time; docstrings give the shapes
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
Function = TypeVar("Function", bound=Callable[..., object])
NUMBERS = {"float": float64, "int": int64, "bool": boolean}  # by the name in the annotation


def kernel(function: Function) -> Function:
    """Compile a function that allocates no arrays with numba, cached on disk; it releases the GIL.

    It counts no references to arrays, which took 15 % of the time of shading.

    A function that takes numbers only gets one explicit 64-bit signature. Without it numba would specialise on every
    literal argument, which took a third of the compilation time.
    A run-time type checker may have wrapped the function in Python code; the original is compiled.
    """
    return _compiled(function, counts_references=False)


def allocating_kernel(function: Function) -> Function:
    """Compile a function as `kernel` does, which may allocate arrays."""
    return _compiled(function, counts_references=True)


def _compiled(function: Function, *, counts_references: bool) -> Function:
    original = inspect.unwrap(function)
    *arguments, result = original.__annotations__.values()
    numbers = {result, *arguments} <= NUMBERS.keys()
    signature = NUMBERS[result](*(NUMBERS[name] for name in arguments)) if numbers else None
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": counts_references}
    try:
        return cast(Function, njit(signature, cache=True, **options)(original))
    except RuntimeError:  # no writable cache directory: every process compiles for itself
        return cast(Function, njit(signature, **options)(original))


@kernel
def hash01(i: int, j: int, seed: int) -> float:
    """Hash two integers and a seed to a pseudo-random number in [0, 1)."""
    h = (i * 374761393 + j * 668265263 + (seed & 0x7FFFFFFF) * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 461845907) & 0xFFFFFFFF
    return float(h ^ (h >> 15)) * (1.0 / 4294967296.0)


@kernel
def noise2(x: float, y: float, seed: int) -> float:
    """Smooth 2D noise in [0, 1] with features of unit size."""
    i, j = floor(x), floor(y)
    s, t = x - i, y - j
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    ii, jj = int(i), int(j)
    low = hash01(ii, jj, seed) * (1 - s) + hash01(ii + 1, jj, seed) * s
    high = hash01(ii, jj + 1, seed) * (1 - s) + hash01(ii + 1, jj + 1, seed) * s
    return low * (1 - t) + high * t


@kernel
def noise3(x: float, y: float, z: float, seed: int) -> float:
    """Smooth 3D noise in [0, 1] with features of unit size."""
    k = floor(z)
    t = z - k
    t = t * t * (3 - 2 * t)
    return noise2(x, y, seed + 7919 * k) * (1 - t) + noise2(x, y, seed + 7919 * (k + 1)) * t


@kernel
def leaf_noise(x: float, y: float, z: float, size_m: float, seed: int) -> float:
    """Piecewise constant 3D noise in [0, 1): cells of about ``size_m`` with ragged, leaf-like borders."""
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
    """1 inside [low, high], 0 outside, with edges ``soft`` wide, so that patterns do not alias."""
    half = 0.5 * soft + 1e-6
    return min(max((x - low) / (2 * half) + 0.5, 0.0), 1.0) * min(max((high - x) / (2 * half) + 0.5, 0.0), 1.0)
