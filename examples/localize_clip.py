"""One clip to its place on an overhead image: the package's front door."""

from __future__ import annotations

from cvlnet import Localizer, open_overhead
from cvlnet.localize.answer import to_table, verdict
from town import drive_of, map_of, test_split


def main() -> None:
    split = test_split()
    query = split.queries[-1]  # stands for your own clip and map
    localizer = Localizer()
    clip = localizer.read_clip(drive_of(query), frame=query.frame)
    answer = localizer.locate(clip, open_overhead(map_of(split, query)))
    print(to_table(answer))
    print(verdict(answer))
    print(f"best place: {answer.best.position}, covariance {answer.best.covariance_m2} m2, sure: {answer.is_sure}")


if __name__ == "__main__":
    main()
