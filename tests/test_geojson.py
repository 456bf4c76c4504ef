import json

import numpy as np
import pytest
from shapely.geometry import shape

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.geojson import collection, ellipse, feature, line, point


def area_m2(geometry, center):
    """Of rings around a place."""
    rings = geometry["coordinates"] if geometry["type"] == "Polygon" else [ring for (ring,) in geometry["coordinates"]]
    total = 0.0
    for ring in rings:
        x, y = LocalFrame(center).xy_world_m(np.array(ring)[:, ::-1]).T
        total += (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2
    return total


def test_longitude_stands_first():
    made = collection([feature(point(LatLon(49.0, 8.4)), {"kind": "fix"})], credit="someone")
    assert made == {
        "type": "FeatureCollection",
        "credit": "someone",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [8.4, 49.0]},
                "properties": {"kind": "fix"},
            }
        ],
    }


def test_a_line_keeps_its_places():
    made = line([LatLon(49.0, 8.4), LatLon(49.1, 8.5)])
    assert made == {"type": "LineString", "coordinates": [[8.4, 49.0], [8.5, 49.1]]}


def test_a_line_over_the_antimeridian_is_cut_there():
    made = line([LatLon(10.0, 179.0), LatLon(11.0, 180.0), LatLon(12.0, -179.0), LatLon(13.0, 179.0)])
    assert made["type"] == "MultiLineString"
    assert made["coordinates"] == [
        [[-180.0, 11.0], [-179.0, 12.0], [-180.0, 12.5]],
        [[179.0, 10.0], [180.0, 11.0]],
        [[180.0, 12.5], [179.0, 13.0]],
    ]


@pytest.mark.parametrize("center", [LatLon(49.0, 8.4), LatLon(0.0, 180.0), LatLon(-60.0, -179.99999)])
def test_an_ellipse_has_its_area_wherever_it_lies(center):
    made = ellipse(center, [[4.0, 1.0], [1.0, 9.0]])
    expected_m2 = np.pi * -2 * np.log(0.05) * np.sqrt(4 * 9 - 1)
    assert area_m2(made, center) == pytest.approx(expected_m2, rel=5e-3)  # of a polygon of 64 sides
    assert made["type"] == ("Polygon" if center.longitude_deg == 8.4 else "MultiPolygon")
    assert shape(made).is_valid
    assert all(-180 <= lon <= 180 for lon in np.ravel(shape(made).envelope.exterior.xy[0]))
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize("latitude_deg", [90.0, -90.0, 89.9999999])
def test_an_ellipse_around_a_pole_goes_around_the_earth(latitude_deg):
    found = shape(ellipse(LatLon(latitude_deg, 20.0), [[9.0, 0.0], [0.0, 9.0]]))
    assert found.is_valid
    west, _, east, _ = found.bounds
    assert (west, east) == pytest.approx((-180, 180), abs=1e-6)
    assert found.bounds[3] == 90 if latitude_deg > 0 else found.bounds[1] == -90
