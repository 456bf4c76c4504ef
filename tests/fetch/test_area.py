from pathlib import Path

import numpy as np
import pytest
import shapely
from kitti_tree import START, place, write_drive
from video_tree import write_video

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, around_drives, cells_of
from cvlnet.geo import LatLon, LocalFrame

FRAME = LocalFrame(START)


def inside(area: Area, xy_m: tuple[float, float]) -> bool:
    lat, lon = FRAME.latlon_deg(xy_m).tolist()
    return bool(area.lonlat_deg.contains(shapely.Point(lon, lat)))


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:3857"])
def test_the_margin_is_in_true_metres(crs: str) -> None:
    """Also in Web Mercator, whose own metres are 1.5 times longer there."""
    area = Area.around(np.array([START.degrees]), 100.0)
    angles = np.radians(np.arange(0.0, 360.0, 5.0))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert all(inside(area, tuple(99.99 * direction)) for direction in directions)
    assert not any(inside(area, tuple(100.6 * direction)) for direction in directions)
    side = area.projected(crs).bounds[2] - area.projected(crs).bounds[0]
    assert side == pytest.approx(200 if crs == "EPSG:25832" else 200 / np.cos(np.radians(49.0)), rel=0.01)


def test_a_drive_of_kitti(tmp_path: Path) -> None:
    area = around_drives([write_drive(tmp_path, frames=range(13))], 50.0)
    assert inside(area, (0.0, -49.0))
    assert inside(area, (49.0, 6.0))
    assert inside(area, (0.0, 61.0))
    assert not inside(area, (0.0, 63.0))


def test_several_drives_and_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", geographic=True)
    drive = write_drive(tmp_path / "raw")
    for path in (drive / "oxts" / "data").iterdir():
        latitude, _, rest = path.read_text().partition(" ")
        path.write_text(f"{float(latitude) + 0.1!r} {rest}")
    area = around_drives([video, drive], 50.0)
    assert len(area.lonlat_deg.geoms) == 2
    assert area.bounds_deg[3] - area.bounds_deg[1] > 0.1


def test_a_video_in_metres_has_no_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"video: the positions are in metres.*--bbox"):
        around_drives([write_video(tmp_path / "video")], 50.0)


def test_a_missing_drive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder does not exist"):
        around_drives([tmp_path / "missing"], 50.0)


def test_positions_without_a_fix_do_not_count(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    broken = drive / "oxts" / "data" / "0000000005.txt"
    broken.write_text(" ".join(["0.0", "0.0", *broken.read_text().split()[2:]]))
    assert around_drives([drive], 50.0).bounds_deg[0] == pytest.approx(place(5).longitude_deg, abs=0.01)


def test_around_the_antimeridian() -> None:
    with pytest.raises(InputError, match="both sides of the antimeridian"):
        Area.around(np.array([[-16.8, 179.9999]]), 100.0)


@pytest.mark.parametrize(
    "box",
    [
        (49.1, 8.4, 49.0, 8.5),
        (49.0, 8.5, 49.1, 8.4),
        (8.4, 49.0, 8.4, 49.1),
        (0.0, 0.0, 91.0, 1.0),
        (0.0, -181.0, 1.0, 0.0),
    ],
)
def test_a_box_that_is_none(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match=r"--bbox: .* give SOUTH WEST NORTH EAST"):
        Area.between(*box)


def test_where_a_system_has_no_coordinates() -> None:
    with pytest.raises(InputError, match="EPSG:25832 has no coordinates"):
        Area.between(0.0, 98.0, 1.0, 100.0).projected("EPSG:25832")


def test_edges_of_a_box_are_curved_in_other_systems() -> None:
    """The southern edge of a box of ten degrees bows by kilometres in UTM."""
    shape = Area.between(48.0, 4.0, 49.0, 14.0).projected("EPSG:25832")
    assert shape.bounds[1] < min(shapely.get_coordinates(shape)[[0, 1], 1]) + 1e5
    middle = shapely.Point(*Area.between(48.001, 8.99, 48.002, 9.01).projected("EPSG:25832").centroid.coords[0])
    assert shape.contains(middle)


def test_cells_that_a_shape_overlaps() -> None:
    assert cells_of(shapely.box(-0.5, 2.5, 1.5, 2.6), 1.0) == [(-1, 2), (0, 2), (1, 2)]
    assert cells_of(shapely.box(10.0, 10.0, 30.0, 20.0), 10.0) == [(1, 1), (2, 1)]  # touching is not overlapping
    assert cells_of(shapely.box(10.0, 10.0, 11.0, 11.0), 2.0, (1.0, 0.0)) == [(4, 5)]
    corner = shapely.Polygon([(0.1, 0.1), (1.9, 0.1), (0.1, 1.9)])
    assert cells_of(corner, 1.0) == [(0, 0), (1, 0), (0, 1)]


def test_an_area_that_cannot_be_meant() -> None:
    with pytest.raises(InputError, match="extends over 1000 x 1000 cells"):
        cells_of(shapely.box(0.0, 0.0, 999.5, 999.5), 1.0)


def test_a_vehicle_that_stands_is_one_position() -> None:
    standing = np.repeat([LatLon(49.0, 8.4).degrees], 100_000, axis=0)
    assert len(shapely.get_coordinates(Area.around(standing, 10.0).lonlat_deg)) == 33
