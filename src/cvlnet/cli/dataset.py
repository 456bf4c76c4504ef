"""``cvlnet dataset``: data sets of your own drives and imagery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App

from cvlnet.cli.options import panel
from cvlnet.config import DatasetConfig, RasterHints


def dataset_app() -> App:
    """The commands about data sets."""
    app = App(name="dataset", help="Make data sets in the layout of KITTI-CVL.", sort_key=100)
    app.command(build)
    return app


def build(
    *,
    drives: Path,
    imagery: tuple[Path, ...],
    out: Path,
    lists: Path | None = None,
    rules: Annotated[DatasetConfig, panel("Rules", DatasetConfig)] = DatasetConfig(),
    image: Annotated[RasterHints, panel("Image", RasterHints)] = RasterHints(),
) -> None:
    r"""Build a data set like KITTI-CVL: cut overhead tiles for drives, and list the queries with their tiles.

    The drives are linked, not copied. Without --lists every drive is used either for training or for tests, and tiles
    and queries are chosen by the rules of KITTI-CVL. Queries whose tile is not on the imagery are left out; the summary
    and report.json give their number, beside the figures of the published data set. An interrupted call resumes when
    it is repeated.

    For example:

        cvlnet dataset build --drives KITTI/raw_data --imagery imagery \
            --lists CVLNet/dataLoader --out data/kitti-cvl
        cvlnet dataset build --drives raw_data --imagery a.tif b.tif \
            --test-drives 2011_09_26_drive_0002_sync --out data/mine

    Args:
        drives: Folder of the dates of KITTI raw, or of drives in its layout.
        imagery: Overhead images; where several show a place, the first one is used.
        out: Folder to write.
        lists: Folder of the published lists (train_, test1_ and test2_files_with_sat_GPS.txt); tiles are cut at the
            positions in them.

    """
    from cvlnet.dataset.build import build_dataset

    report = build_dataset(drives, imagery, out, rules, lists=lists, hints=image)
    print("\n".join(report.lines))
    print(f"{out}: complete; see report.json")
