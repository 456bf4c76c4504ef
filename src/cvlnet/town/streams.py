"""Random streams: one independent generator for every named part of a town, all from the town's seed.

A part that draws more or fewer numbers does not disturb the others.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of the part called ``names`` (words and running numbers) of the town ``seed``."""
    keys = [name if isinstance(name, int) else crc32(name.encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence([seed, *keys]))


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """One of the names, as likely as its weight says."""
    names = list(weights)
    shares = np.array([weights[name] for name in names], dtype=np.float64)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Whether an event of this probability happens."""
    return bool(rng.random() < probability)


def object_seed(rng: np.random.Generator) -> int:
    """The own seed of an object, for its mesh's ``seed``."""
    return int(rng.integers(0, 2**32))
