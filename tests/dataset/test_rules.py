import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kitti_tree import shared

from cvlnet.data.kitti_cvl import read_split_list
from cvlnet.dataset.rules import PUBLISHED_LATITUDE_DEG, Lattice, distractors, query_frames, share_near
from cvlnet.geo import LatLon, LocalFrame

PLACE = LatLon(49.0, 8.4)


def way(*north_east_m, place=PLACE):
    """Latitudes and longitudes of metres northward and eastward."""
    east_north_m = np.array(north_east_m, dtype=float)[:, ::-1]
    return LocalFrame(place).latlon_deg(east_north_m)


def test_a_lattice_covers_a_way_from_its_south_western_corner():
    latlon_deg = way((25.0, 0.0), (0.0, 12.0), (31.0, 38.0))
    lattice = Lattice.around(latlon_deg, 10.0)
    assert lattice.south_west.degrees == pytest.approx((latlon_deg[1, 0], latlon_deg[0, 1]))
    assert lattice.shape == (5, 5)  # 31 m and 38 m: up to 40 m each
    assert lattice.size == 25
    assert lattice.nearest(latlon_deg).tolist() == [[3, 0], [0, 1], [3, 4]]  # 2.5 steps of 9.99 m are more than 2.5


def test_a_step_is_ten_metres_to_a_few_thousandths():
    for latitude_deg in (0.0, 49.0, -34.0, 65.0):
        place = LatLon(latitude_deg, 8.4)
        lattice = Lattice.around(way((0, 0), (100, 100), place=place), 10.0)
        places = np.array([[0, 0], [1, 0], [0, 1]])
        corner, north, east = LocalFrame(lattice.south_west).xy_world_m(lattice.latlon_deg(places))
        assert north - corner == pytest.approx([0, 10], abs=0.08)
        assert east - corner == pytest.approx([10, 0], abs=0.08)


@given(st.floats(-80, 80), st.floats(-180, 180), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_every_position_is_within_half_a_diagonal_of_a_place_of_the_lattice(latitude_deg, longitude_deg, seed):
    """Anywhere on earth, across the antimeridian too."""
    along_m = np.random.default_rng(seed).uniform(-60, 60, (20, 2))
    latlon_deg = way(*along_m, place=LatLon(latitude_deg, longitude_deg))
    lattice = Lattice.around(latlon_deg, 10.0)
    places = lattice.nearest(latlon_deg)
    assert places.min() >= 0
    assert (places < lattice.shape).all()
    apart = np.hypot(*(lattice.steps(latlon_deg) - places).T)
    assert apart.max() <= np.sqrt(0.5) + 1e-6
    assert lattice.steps(lattice.latlon_deg(places)) == pytest.approx(places, abs=1e-6)
    assert lattice.holds(lattice.latlon_deg(places))
    assert not lattice.holds(lattice.latlon_deg(places) + np.array([3e-7, 0]))  # 3 cm to the north


def test_queries_move_to_the_north_or_to_the_east_and_stand_behind_the_first_frames():
    north_east_m = [(0, 0), (0.15, 0.15), (0.15, 0.21), (0.15, 0.3), (0.36, 0.3), (0.36, 0.45), (0.36, 0.52), (5, 5)]
    latlon_deg = way(*north_east_m)
    lattice = Lattice.around(latlon_deg, 10.0)
    numbers = np.arange(8) * 10
    frames = [query_frames(lattice, latlon_deg, numbers, first=first, moved_m=0.2).tolist() for first in (0, 40)]
    assert frames == [[0, 2, 4, 6, 7], [4, 6, 7]]


def test_distractors_are_the_other_places_of_the_rectangle():
    latlon_deg = way((0, 0), (20, 30))
    lattice = Lattice.around(latlon_deg, 10.0)
    assert lattice.shape == (4, 4)
    taken = np.array([[0, 0], [1, 1], [2, 3], [-1, 0], [0, 4]])
    free = distractors(lattice, taken, latlon_deg, None).tolist()
    assert len(free) == 13
    assert [place for place in [[0, 0], [1, 1], [2, 3]] if place in free] == []
    assert free[:2] == [[0, 1], [0, 2]]
    near = distractors(lattice, taken, latlon_deg, 10.5).tolist()  # of (0, 0) and of (20, 30)
    assert near == [[0, 1], [1, 0], [1, 3], [2, 2], [3, 3]]


def test_the_share_of_positions_near_others():
    queries_m = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [30.0, 0.0]])
    assert share_near(queries_m, np.array([[9.0, 0.0]]), 9.0) == 0.5
    assert share_near(queries_m, np.zeros((0, 2)), 9.0) == 0.0


def test_the_rules_give_the_published_lists():
    """Every query of the benchmark with its tile, and no other frame of the drives that it uses."""
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    listed = {}
    for name in ("train", "test1", "test2"):
        for query in read_split_list(shared("kitti_cvl", f"{name}_files_with_sat_GPS.txt")):
            drive = query.recording.split("/")[1]
            listed.setdefault(drive, {})[query.frame] = query.tile_center.degrees
    by_rule, off_deg = {}, 0.0
    for drive, tile_of in listed.items():
        latlon_deg = oxts[drive.removesuffix("_sync")][:, :2]
        lattice = Lattice.around(latlon_deg, 10.0, PUBLISHED_LATITUDE_DEG)
        frames = query_frames(lattice, latlon_deg, np.arange(len(latlon_deg)), first=48, moved_m=0.1958)
        by_rule[drive] = frames.tolist()
        centers = lattice.latlon_deg(lattice.nearest(latlon_deg[frames]))
        expected = np.array([tile_of.get(frame, (0.0, 0.0)) for frame in frames.tolist()])
        off_deg = max(off_deg, float(np.abs(centers - expected).max()))
    assert by_rule == {drive: sorted(tile_of) for drive, tile_of in listed.items()}
    assert sum(map(len, by_rule.values())) == 28740
    assert off_deg < 1e-9  # a tenth of a millimetre
