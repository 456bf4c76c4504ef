import resource
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from cvlnet.errors import InputError
from cvlnet.io.geotiff import geotiff_written_whole

NOISE = np.random.default_rng(0).integers(0, 256, (3, 300, 700), dtype=np.uint8)


def write(path: Path) -> None:
    place = {"crs": "EPSG:25832", "transform": from_origin(456_000, 5_428_000, 0.2, 0.2)}
    with geotiff_written_whole(path, width=700, height=300, count=3, dtype="uint8", **place) as file:
        file.write(NOISE)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "1.tif")
    with rasterio.open(tmp_path / "1.tif") as file:
        assert np.array_equal(file.read(), NOISE)


@pytest.mark.parametrize("most_bytes", [1_000, 100_000, 600_000])
def test_a_file_that_is_cut_short_is_none(tmp_path: Path, most_bytes: int) -> None:
    """GDAL says nothing of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        with pytest.raises(InputError, match=r"1\.tif: cannot be written.*; free some space or choose another place"):
            write(tmp_path / "1.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
