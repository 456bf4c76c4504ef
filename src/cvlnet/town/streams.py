"""Random streams: an independent generator for every named part of a town, derived from the town's seed.

A change in one part, which draws more or fewer numbers, does not affect the others.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator for the part of the town ``seed`` that is named by words and numbers."""
    keys = [name if isinstance(name, int) else crc32(name.encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence([seed, *keys]))


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw one of the names with probability proportional to its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names], dtype=np.float64)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Draw whether an event of the given probability happens."""
    return bool(rng.random() < probability)


def object_seed(rng: np.random.Generator) -> int:
    """Draw the seed of an object, for its mesh."""
    return int(rng.integers(0, 2**32))
