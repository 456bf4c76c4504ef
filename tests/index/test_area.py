import numpy as np
import pytest
import shapely

from cvlnet.index.area import Circle, Outline

EAST_M, NORTH_M = np.array([0.0, 3.0, 4.0, 5.0]), np.array([4.0, 0.0, -3.0])


def test_a_circle_holds_what_lies_within_its_radius():
    circle = Circle((0.0, 0.0), 5.0)
    expected = [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]  # rows from north to south; 3, 4 and 5 make a right angle
    assert circle.contains(EAST_M, NORTH_M).tolist() == np.array(expected, dtype=bool).tolist()
    assert circle.bounds_m == (-5.0, -5.0, 5.0, 5.0)
    assert Circle((3.0, -3.0), 0.1).contains(EAST_M, NORTH_M).nonzero() == ([2], [1])


def test_an_outline_holds_its_inside_and_its_edge():
    triangle = Outline(shapely.Polygon([(0, 0), (4, 0), (4, 4)]))
    expected = [[0, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert triangle.contains(EAST_M, NORTH_M).tolist() == np.array(expected, dtype=bool).tolist()
    assert triangle.bounds_m == (0.0, 0.0, 4.0, 4.0)


def test_a_box_is_named_by_its_edges():
    box = Outline.box(2.0, -3.0, 4.5, 1.0)
    expected = [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    assert box.contains(EAST_M, NORTH_M).tolist() == np.array(expected, dtype=bool).tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Circle((0.0, np.nan), 5.0), "a place and a positive radius"),
        (lambda: Circle((0.0, 0.0), 0.0), "a place and a positive radius"),
        (lambda: Circle((0.0, 0.0), np.inf), "a place and a positive radius"),
        (lambda: Outline.box(4.0, 0.0, 2.0, 1.0), "no box: 4.0 to 2.0 m east"),
        (lambda: Outline.box(0.0, 1.0, 2.0, np.nan), "no box"),
        (lambda: Outline(shapely.Polygon()), "empty or not valid"),
        (lambda: Outline(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])), "Self-intersection"),
    ],
)
def test_what_is_no_area_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
