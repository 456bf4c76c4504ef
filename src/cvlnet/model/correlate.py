"""Exact correlation of many kernels with many larger maps at a window of displacements, by real matrix products.

By the correlation theorem: transform kernels and maps, multiply them frequency by frequency over the channels, and
transform back only the displacements in the window, which are few. A kernel may be cut into parts, each with the part
of the map that it covers at all displacements: these are more channels of smaller maps, with fewer frequencies to
transform back. A complex number is a pair, real part first.

Fourier transforms by matrices suit maps of 38 and 64 cells: benchmarks/matching.py compares them with torch.fft, which
is faster for a single clip and slower for many, and which cannot be exported to ONNX.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from cvlnet.arrays import F32


@dataclass(frozen=True)
class Correlation:
    """``sum over channels, y, x of kernel[y, x] map[y + row, x + col]`` for all displacements below ``steps``.

    rows, cols: size of the maps; kernels are smaller by ``steps - 1`` in both directions, so that nothing wraps around.
    """

    channels: int
    rows: int
    cols: int
    steps: int

    @property
    def numbers_a_map(self) -> int:
        """Number of values in the transforms of a map (`of_maps`)."""
        freqs = self._part_cols // 2 + 1
        return 2 * self.channels * self._parts**2 * self._part_rows * freqs

    def of_maps(self, maps: Float[Tensor, "m channels rows cols"]) -> Float[Tensor, "freqs rows2 channels2 m"]:
        """Transforms of the parts of maps, for half of the column frequencies; channels2: (2, channels, parts)."""
        return self._transformed(maps, self._part_rows, self._part_cols)

    def of_kernels(
        self, kernels: Float[Tensor, "n channels height width"]
    ) -> Float[Tensor, "freqs 2 rows2 channels2 n"]:
        """Transforms of kernels, and the same times i: real products with both give the complex product."""
        margin = self.steps - 1
        upright = self._transformed(kernels, self._part_rows - margin, self._part_cols - margin)
        real, imaginary = upright.chunk(2, dim=2)
        return torch.stack([upright, torch.cat([-imaginary, real], dim=2)], dim=1)

    def correlate(
        self, kernels: Float[Tensor, "freqs 2 rows2 channels2 n"], maps: Float[Tensor, "freqs rows2 channels2 m"]
    ) -> Float[Tensor, "steps n m steps"]:
        """The correlation of every kernel with every map, from their transforms."""
        at_rows = torch.cat(list(self._by_frequency(kernels, maps)))  # [(freqs, 2), (steps, n, m)]
        to_cols = _like(maps, _to_real(self.steps, self._part_cols))
        return (at_rows.mT @ to_cols.mT).reshape(self.steps, kernels.shape[-1], maps.shape[-1], self.steps)

    def _by_frequency(self, kernels: Tensor, maps: Tensor) -> Iterator[Tensor]:
        """Row displacements, [2, (steps, n, m)], for one column frequency at a time, which fits the cache."""
        to_rows = _like(maps, _complex_inverse(self.steps, self._part_rows))
        for kernel, of_maps in zip(kernels.mT, maps, strict=True):
            products = torch.matmul(kernel, of_maps)  # [2, rows2, n, m]
            yield (to_rows @ products.reshape(2 * self._part_rows, -1)).reshape(2, -1)

    @property
    def _parts(self) -> int:
        """Number of parts of a kernel in each direction: more for fewer channels, if they divide it."""
        wanted = 4 if self.channels < 4 else 2 if self.channels < 16 else 1
        return gcd(wanted, gcd(self.rows - self.steps + 1, self.cols - self.steps + 1))

    @property
    def _part_rows(self) -> int:
        return (self.rows - self.steps + 1) // self._parts + self.steps - 1

    @property
    def _part_cols(self) -> int:
        return (self.cols - self.steps + 1) // self._parts + self.steps - 1

    def _transformed(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Transforms of the parts of this size, padded with zeros to the size of a map's part."""
        margin = self.steps - 1
        every = (self._part_rows - margin, self._part_cols - margin)
        parts = maps.unfold(2, height, every[0]).unfold(
            3, width, every[1]
        )  # [n, channels, parts, parts, height, width]
        columns = parts.permute(4, 1, 2, 3, 0, 5).reshape(-1, width)
        along_rows = _like(maps, _complex(self._part_rows, height))
        along_cols = _like(maps, _from_real(self._part_cols, width))
        of_cols = (along_cols @ columns.mT).reshape(self._part_cols // 2 + 1, 2 * height, -1)
        return torch.matmul(along_rows, of_cols).reshape(self._part_cols // 2 + 1, self._part_rows, -1, maps.shape[0])


def _like(tensor: Tensor, matrix: F32) -> Tensor:
    return torch.from_numpy(matrix).to(tensor.device)


@lru_cache(maxsize=32)
def _from_real(size: int, count: int) -> F32:
    """[(freqs, 2), count]: from ``count`` real numbers, zero-padded to ``size``, to half of their frequencies."""
    angle = _angles(size // 2 + 1, count, size)
    return np.stack([np.cos(angle), -np.sin(angle)], axis=1).reshape(-1, count).astype(np.float32)


@lru_cache(maxsize=32)
def _complex(size: int, count: int) -> F32:
    """[(size, 2), (2, count)]: from ``count`` complex numbers, zero-padded to ``size``, to their frequencies."""
    angle = _angles(size, count, size)
    real = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    imaginary = np.concatenate([-np.sin(angle), np.cos(angle)], axis=1)
    return np.stack([real, imaginary], axis=1).reshape(2 * size, -1).astype(np.float32)


@lru_cache(maxsize=32)
def _complex_inverse(steps: int, size: int) -> F32:
    """[(2, steps), (2, size)]: from ``size`` frequencies to the first ``steps`` complex numbers."""
    angle = _angles(steps, size, size)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    return np.block([[cos, -sin], [sin, cos]]).astype(np.float32)


@lru_cache(maxsize=32)
def _to_real(steps: int, size: int) -> F32:
    """[steps, (freqs, 2)]: from half of the frequencies of ``size`` real numbers to the first ``steps`` numbers."""
    angle = _angles(steps, size // 2 + 1, size)
    weight = np.full(size // 2 + 1, 2.0 / size)  # a frequency also stands for its conjugate,
    weight[0] = 1.0 / size  # unless it is its own
    if size % 2 == 0:
        weight[-1] = 1.0 / size
    return np.stack([np.cos(angle) * weight, -np.sin(angle) * weight], axis=-1).reshape(steps, -1).astype(np.float32)


def _angles(m: int, n: int, period: int) -> npt.NDArray[np.float64]:
    """``2 pi i j / period`` for all i < m, j < n."""
    return 2 * np.pi * np.outer(np.arange(m), np.arange(n)) / period
