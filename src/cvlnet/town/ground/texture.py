"""Texture of the ground: noise at several scales, joints and furrows, worn paint. One pass over the canvas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cvlnet.arrays import F64, U8
from cvlnet.town.compiled import hash01, kernel, noise2
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.plan import Surface

OCTAVES_M = np.array([0.12, 0.35, 1.1, 4.0, 17.0, 70.0])
# relative brightness of each octave, then strength of the drift between green and yellow (or grey and brown)
GRAIN: dict[Surface, tuple[float, ...]] = {
    Surface.PLAIN: (0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.0),
    Surface.ASPHALT: (0.07, 0.03, 0.03, 0.045, 0.05, 0.06, 0.015),
    Surface.CONCRETE: (0.04, 0.03, 0.04, 0.06, 0.05, 0.04, 0.02),
    Surface.SLABS: (0.05, 0.05, 0.03, 0.05, 0.05, 0.05, 0.02),
    Surface.PAVERS: (0.07, 0.06, 0.03, 0.05, 0.05, 0.05, 0.02),
    Surface.COBBLES: (0.09, 0.08, 0.03, 0.05, 0.05, 0.05, 0.02),
    Surface.GRAVEL: (0.14, 0.06, 0.05, 0.08, 0.05, 0.05, 0.03),
    Surface.LAWN: (0.12, 0.09, 0.08, 0.08, 0.08, 0.08, 0.05),
    Surface.MEADOW: (0.16, 0.14, 0.12, 0.12, 0.10, 0.10, 0.07),
    Surface.FIELD: (0.12, 0.08, 0.06, 0.06, 0.06, 0.06, 0.06),
    Surface.SOIL: (0.14, 0.12, 0.10, 0.08, 0.06, 0.06, 0.04),
    Surface.WATER: (0.02, 0.04, 0.05, 0.05, 0.06, 0.05, 0.03),
    Surface.SAND: (0.08, 0.05, 0.05, 0.06, 0.05, 0.05, 0.02),
}
# size of the pattern's cells (along, across) and width of the joints, metres; relative brightness of the joints
JOINTS: dict[Surface, tuple[float, float, float, float]] = {
    Surface.CONCRETE: (5.0, 4.0, 0.05, -0.25),
    Surface.SLABS: (0.4, 0.4, 0.06, -0.14),
    Surface.PAVERS: (0.24, 0.18, 0.04, -0.12),
    Surface.COBBLES: (0.2, 0.16, 0.05, -0.25),
    Surface.FIELD: (1e6, 0.75, 0.3, -0.22),
}
MARKING_RGB = np.array([216.0, 216.0, 210.0])


class _Layers(NamedTuple):
    """A `Canvas` for compiled code."""

    rgb: U8
    kind: U8
    wear: U8
    marking: U8
    cell_m: float


class _Patterns(NamedTuple):
    """GRAIN and JOINTS by surface, the octaves, and colour and wear of the markings."""

    grain: F64
    joints: F64
    octaves_m: F64
    paint: F64
    paint_wear: float


def apply_texture(canvas: Canvas, seed: int, marking_wear: float) -> None:
    """Turn the canvas's plain colours into the albedo, in place in ``canvas.rgb``."""
    grain = np.zeros((len(Surface), len(OCTAVES_M) + 1))
    joints = np.zeros((len(Surface), 4))
    for surface in Surface:
        grain[surface] = GRAIN[surface]
        joints[surface] = JOINTS.get(surface, (0.0, 0.0, 0.0, 0.0))
    layers = _Layers(canvas.rgb, canvas.kind, canvas.wear, canvas.marking, canvas.grid.cell_m)
    _apply(layers, _Patterns(grain, joints, OCTAVES_M, MARKING_RGB, marking_wear), seed % 2**31)


@kernel
def _signed(x: float, y: float, seed: int) -> float:
    """Smooth 2D noise in [-1, 1] with features of unit size."""
    return 2.0 * noise2(x, y, seed) - 1.0


@kernel
def _joint(x: float, y: float, angle: float, pattern: F64, seed: int) -> float:
    """Relative brightness of paving at a point: its joints, and differences between its stones."""
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    row = np.floor(across / pattern[1])
    shifted = along / pattern[0] + 0.5 * (row % 2)
    in_along, in_across = (shifted - np.floor(shifted)) * pattern[0], across - row * pattern[1]
    stone = 0.1 * hash01(int(np.floor(shifted)), int(row), seed) - 0.05
    if in_along < pattern[2] or in_across < pattern[2]:
        return float(pattern[3] + stone)
    return float(stone)


@kernel
def _apply(layers: _Layers, patterns: _Patterns, seed: int) -> None:
    rgb, kind, wear, marking, cell_m = layers
    grain, joints, octaves_m, paint, paint_wear = patterns
    rows, cols = wear.shape
    last = len(octaves_m)
    for row in range(rows):
        y = -row * cell_m
        for col in range(cols):
            x = col * cell_m
            s = kind[row, col, 0]
            brightness = 1.0 + (wear[row, col] - 128.0) / 128.0
            for k in range(last):
                brightness *= 1.0 + grain[s, k] * _signed(x / octaves_m[k], y / octaves_m[k], seed + k)
            if joints[s, 0] > 0:
                brightness *= 1.0 + _joint(x, y, kind[row, col, 1] * np.pi / 256, joints[s], seed)
            drift = grain[s, last] * (_signed(x / 9.0, y / 9.0, seed + 77) + 0.6 * _signed(x / 1.7, y / 1.7, seed + 78))
            paint_left = marking[row, col] / 255.0
            if paint_left > 0:
                rubbed = 0.5 + 0.5 * _signed(x / 0.2, y / 0.2, seed + 90) + 0.6 * _signed(x / 6.0, y / 6.0, seed + 91)
                paint_left *= min(1.0, max(0.0, 1.15 - paint_wear * 1.2 * rubbed - 0.25 * paint_wear))
            for c in range(3):
                bare = rgb[row, col, c] * brightness * (1.0 + drift * (1 - c))
                value = bare * (1 - paint_left) + paint[c] * (0.75 + 0.25 * brightness) * paint_left
                rgb[row, col, c] = np.uint8(min(255.0, max(0.0, value + 0.5)))
