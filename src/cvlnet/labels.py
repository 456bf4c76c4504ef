"""Labels of the ground: known for every cell of a synthetic town, and learned beside the matching.

A label map is a picture of bytes; bit ``label`` of a pixel says whether that label holds there.
"""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """What the ground is, or what stands on it. Several labels may hold at one place: a tree may stand over a road."""

    ROAD = 0  # carriageway, whatever it is paved with
    PAVED = 1  # pavements, yards, paths
    MARKING = 2  # white paint
    GREEN = 3  # lawns, meadows, fields, soil
    BUILDING = 4
    TREE = 5  # crowns and bushes
    HEDGE = 6
    BARRIER = 7  # walls and fences

    @property
    def bit(self) -> int:
        """The label's bit of a pixel's byte."""
        return 1 << self


LABELS = len(Label)
