"""What the network recognised, in the colours of a town plan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cvlnet.arrays import U8
from cvlnet.labels import Label

_BLANK = (225, 225, 225)
COLORS: dict[Label, tuple[int, int, int]] = {  # painted one over the other
    Label.ROAD: (95, 98, 105),
    Label.PAVED: (196, 186, 172),
    Label.GREEN: (150, 190, 110),
    Label.MARKING: (255, 255, 255),
    Label.HEDGE: (70, 170, 90),
    Label.BARRIER: (140, 60, 160),
    Label.TREE: (35, 110, 55),
    Label.BUILDING: (200, 75, 55),
}


def label_colors(shares: npt.NDArray[np.floating]) -> U8:
    """RGB, [rows, cols, 3], of how much of each cell every label holds, 0 to 1, [labels, rows, cols]."""
    mixed = np.full((*shares.shape[1:], 3), _BLANK, np.float64)
    for label, color in COLORS.items():
        share = shares[label, ..., np.newaxis]
        mixed = mixed * (1 - share) + np.array(color) * share
    return mixed.round().astype(np.uint8)
