"""What the histogram of a tracker takes: time and memory of one comparison of a clip with all places and headings."""

from __future__ import annotations

from itertools import cycle
from math import pi

import torch

from cvlnet.grid import Grid
from cvlnet.model.dense import DenseMatcher
from cvlnet.track.belief import Belief
from cvlnet.track.likelihood import Likelihood
from cvlnet.types import ClipFeatures
from dense import CELL_M, CLIP_CELLS, random_clip, random_map
from measure import in_own_process, print_results, run, seconds_each

CASES = ((1.0, 3), (1.0, 72), (5.0, 3), (5.0, 72))  # kilometres a side, headings
AT_ONCE = 4


def compare(side_km: float, turns: int) -> tuple[float, float]:
    """Seconds of a motion and of a comparison."""
    matcher, clip, likelihood = DenseMatcher(random_map(side_km), CLIP_CELLS), random_clip(), Likelihood()
    grid = Grid(matcher.rows, matcher.cols, CELL_M)
    step_rad = 2 * pi / 72
    belief = Belief(grid, torch.ones(grid.rows, grid.cols), [i * step_rad for i in range(turns)], step_rad, 0.5)

    def weigh() -> None:
        count = len(belief.turns_rad)
        for first in range(0, count, AT_ONCE):
            likelihood.ratio(matcher.scores(ClipFeatures.joined([clip] * min(AT_ONCE, count - first))), 0.5)
        belief.weigh([torch.ones(grid.rows, grid.cols)] * count)

    there_and_back = cycle((1.0, -1.0))  # so that the belief stays on the map

    def move() -> None:
        way = next(there_and_back)
        belief.move(3.0 * way, 4.0 * way, 0.4, 0.0)

    moved_s = seconds_each(move, for_s=1.0, at_least=1)
    assert len(belief.turns_rad) == turns
    return moved_s, seconds_each(weigh, for_s=1.0, at_least=1)


def main() -> None:
    rows = []
    for side_km, turns in CASES:
        (moved_s, compared_s), peak_mib = in_own_process(compare, side_km, turns)
        rows.append(
            (f"{side_km**2:g}", str(turns), f"{1e3 * moved_s:.0f}", f"{1e3 * compared_s:.0f}", f"{peak_mib:.0f}")
        )
    header = ("km2", "headings", "motion ms", "comparison ms", "peak MiB")
    print_results("The histogram of a tracker", header, rows)


if __name__ == "__main__":
    run(main)
