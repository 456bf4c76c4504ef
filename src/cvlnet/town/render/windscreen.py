"""Obstructions of a camera behind a windscreen: bonnet, wiper, dirt, reflection of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

BONNET, WIPER, DIRT, REFLECTION = 0.25, 0.12, 0.45, 0.35  # shares of the drives, at strength 1
PAINTS = ((0.02, 0.02, 0.022), (0.3, 0.3, 0.31), (0.7, 0.7, 0.7), (0.05, 0.08, 0.2), (0.25, 0.03, 0.03))


@dataclass(frozen=True)
class Windscreen:
    """What a windscreen does to the light: it lets the share ``passes`` through, and adds ``adds``.

    Both are linear and of a picture's size; a white surface in full light is about 1.
    """

    passes: Float32[np.ndarray, "height width 1"]
    adds: Float32[np.ndarray, "height width 3"]

    @property
    def is_clear(self) -> bool:
        """Whether there is no obstruction."""
        return bool((self.passes == 1).all() and not self.adds.any())

    @staticmethod
    def clear(height_px: int, width_px: int) -> Windscreen:
        """A windscreen without obstructions."""
        return Windscreen(np.ones((height_px, width_px, 1), np.float32), np.zeros((height_px, width_px, 3), np.float32))


def make_windscreen(rng: np.random.Generator, strength: float, height_px: int, width_px: int) -> Windscreen:
    """Draw the windscreen of a drive. strength: multiplies the probability of each obstruction."""
    view = Windscreen.clear(height_px, width_px)
    for share, put in ((REFLECTION, _reflect), (DIRT, _soil), (WIPER, _put_wiper), (BONNET, _put_bonnet)):
        present = rng.random() < share * strength
        seed = int(rng.integers(2**31))
        if present:
            view = put(view, np.random.default_rng(seed))
    return view


def _covered(
    view: Windscreen, share: Float32[np.ndarray, "height width"], color: Float64[np.ndarray, "... 3"]
) -> Windscreen:
    """Cover a share of every pixel with a colour."""
    left = 1 - share[..., None]
    return Windscreen(view.passes * left, view.adds * left + share[..., None] * color.astype(np.float32))


def _put_bonnet(view: Windscreen, rng: np.random.Generator) -> Windscreen:
    """The car's bonnet at the lower edge: curved, brighter towards its far end, where it reflects the sky."""
    height, width = view.adds.shape[:2]
    x, y = _places(height, width)
    crest = height / width - rng.uniform(0.01, 0.055) + rng.uniform(0.02, 0.12) * (x - rng.uniform(0.4, 0.6)) ** 2
    below = np.asarray(y - crest, np.float32)
    mirror = np.exp(-np.maximum(below, 0) / 0.012) * rng.uniform(0.1, 0.6)
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.6, 1.4)
    color = paint + mirror[..., None] * np.array([0.6, 0.75, 0.95])  # the sky's colour
    return _covered(view, np.clip(below * width / 1.5 + 0.5, 0, 1).astype(np.float32), color)


def _put_wiper(view: Windscreen, rng: np.random.Generator) -> Windscreen:
    """A dark wiper blade across a lower corner, out of focus."""
    height, width = view.adds.shape[:2]
    blade = np.zeros((height, width), np.float32)
    left = rng.random() < 0.5
    start = np.array([rng.uniform(-0.1, 0.2) * width, height * rng.uniform(0.95, 1.1)])
    end = np.array([rng.uniform(0.35, 0.6) * width, height * rng.uniform(0.75, 0.98)])
    ends = [(int(px if left else width - px), int(py)) for px, py in (start, end)]
    cv2.line(blade, ends[0], ends[1], 1.0, max(2, round(width * rng.uniform(0.006, 0.016))), cv2.LINE_AA)
    return _covered(view, _smooth(blade, width * 0.002), np.full(3, 0.01))


def _soil(view: Windscreen, rng: np.random.Generator) -> Windscreen:
    """Drops and dust on the glass, with soft edges."""
    height, width = view.adds.shape[:2]
    spots = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(3, 25))):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        radius = width * rng.uniform(0.002, 0.018)
        cv2.circle(spots, center, max(1, round(radius)), float(rng.uniform(0.15, 0.8)), -1, cv2.LINE_AA)
    dusty = float(rng.uniform(0.0, 0.25))
    return _covered(view, _smooth(spots, width * 0.005), np.full(3, dusty))


def _reflect(view: Windscreen, rng: np.random.Generator) -> Windscreen:
    """Reflections of dashboard and sky: smooth light, strongest at the bottom or the top."""
    height, width = view.adds.shape[:2]
    coarse = rng.uniform(0.0, 1.0, (3, 4)).astype(np.float32) ** 2
    coarse *= np.linspace(0.3, 1.0, 3, dtype=np.float32)[:: int(rng.choice([-1, 1])), None]
    veil = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, None) * rng.uniform(0.01, 0.07)
    tint = 1.0 + 0.1 * rng.normal(0, 1, 3)
    return Windscreen(view.passes, np.asarray(view.adds + veil[..., None] * tint, np.float32))


def _places(height: int, width: int) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
    """Coordinates of the pixel centres from the left and upper edge, in picture widths."""
    rows, cols = np.indices((height, width), np.float32)
    return (cols + np.float32(0.5)) / np.float32(width), (rows + np.float32(0.5)) / np.float32(width)


def _smooth(mask: Float32[np.ndarray, "height width"], sigma_px: float) -> Float32[np.ndarray, "height width"]:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(sigma_px, 0.5)), np.float32)
