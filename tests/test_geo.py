import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from cvlnet.geo import (
    LatLon,
    LocalFrame,
    MercatorRaster,
    MetricRaster,
    ProjectedRaster,
    compass_deg,
    earth_centred_m,
    web_mercator_m_per_px,
)

places = st.builds(LatLon, st.floats(-80, 80), st.floats(-179, 179))
metres = st.tuples(st.floats(-20_000, 20_000), st.floats(-20_000, 20_000))
pixels = st.tuples(st.floats(0, 1280), st.floats(0, 1280))
KARLSRUHE = LatLon(49.0, 8.4)


def degrees(place: LatLon) -> list[float]:
    return [place.latitude_deg, place.longitude_deg]


@given(places, metres)
def test_world_and_wgs84_are_inverse(anchor: LatLon, xy_m: tuple[float, float]) -> None:
    frame = LocalFrame(anchor)
    assert np.allclose(frame.xy_world_m(frame.latlon_deg(xy_m)), xy_m, atol=1e-5)


@given(places)
def test_the_anchor_is_the_origin(anchor: LatLon) -> None:
    assert np.allclose(LocalFrame(anchor).xy_world_m(degrees(anchor)), 0, atol=1e-6)


@given(places, metres)
def test_straight_distances_are_the_frame_s(anchor: LatLon, xy_m: tuple[float, float]) -> None:
    there = LocalFrame(anchor).latlon_deg(xy_m)
    chord_m = np.linalg.norm(earth_centred_m(there) - earth_centred_m(degrees(anchor)))
    assert chord_m == pytest.approx(np.hypot(*xy_m), rel=1e-6, abs=1e-3)


def test_the_frame_is_proj_s_azimuthal_equidistant_one() -> None:
    proj = Transformer.from_crs("EPSG:4326", "+proj=aeqd +lat_0=49 +lon_0=8.4 +datum=WGS84 +units=m", always_xy=True)
    latlon_deg = np.array([[49.0, 8.4], [49.3, 8.1], [48.9, 8.45], [49.001, 8.4]])
    expected = np.stack(proj.transform(latlon_deg[:, 1], latlon_deg[:, 0]), axis=-1)
    assert np.allclose(LocalFrame(KARLSRUHE).xy_world_m(latlon_deg), expected, atol=1e-6)


def test_x_is_east_and_y_is_north_whatever_the_shape() -> None:
    frame = LocalFrame(KARLSRUHE)
    north, east = frame.xy_world_m([[49.01, 8.4], [49.0, 8.41]])
    assert north == pytest.approx([0, 1112.0], abs=0.5)  # an arc minute of latitude is 1853.3 m at 49 degrees
    assert east == pytest.approx([731.4, 0.0], abs=0.5)
    assert frame.xy_world_m(np.full((3, 2, 2), [49.0, 8.4])).shape == (3, 2, 2)
    assert frame.latlon_deg([0.0, 0.0]).tolist() == pytest.approx([49.0, 8.4])


def test_an_anchor_may_be_numpy_s_numbers() -> None:
    anchor = LatLon(*np.array([49.0, 8.4]))
    assert LocalFrame(anchor).xy_world_m([49.0, 8.4]).tolist() == pytest.approx([0, 0])


@given(places, pixels)
def test_pixels_of_a_raster_and_wgs84_are_inverse(center: LatLon, xy_px: tuple[float, float]) -> None:
    for raster in (MercatorRaster.around(center, 1280, 1280, 0.2), MetricRaster(center, 1280, 1280, 0.2)):
        assert np.allclose(raster.xy_px(raster.latlon_deg(xy_px)), xy_px, atol=1e-3)
        assert np.allclose(raster.xy_px(degrees(center)), [640, 640], atol=1e-3)


def test_pixels_of_a_metric_raster_are_true_metres() -> None:
    raster = MetricRaster(KARLSRUHE, 800, 600, 0.25)
    right_and_down = raster.latlon_deg([400 + 40, 300 + 80])
    assert LocalFrame(KARLSRUHE).xy_world_m(right_and_down) == pytest.approx([10, -20], abs=1e-6)


def test_web_mercator_is_not_metric() -> None:
    """The known trap: its metres, even after cos(latitude), are 0.1 to 0.2 percent off at 49 degrees."""
    raster = MercatorRaster.around(KARLSRUHE, 1, 1, 1.0)
    north_px = raster.xy_px(LocalFrame(KARLSRUHE).latlon_deg([0.0, 1000.0]))
    east_px = raster.xy_px(LocalFrame(KARLSRUHE).latlon_deg([1000.0, 0.0]))
    assert 0.5 - north_px[1] == pytest.approx(1001.1, abs=0.2)
    assert east_px[0] - 0.5 == pytest.approx(998.1, abs=0.2)


def test_the_published_resolution() -> None:
    assert web_mercator_m_per_px(49.015, 18, 512) == pytest.approx(
        156543.03392 * np.cos(np.radians(49.015)) / 2**18 / 2
    )
    assert web_mercator_m_per_px(0.0, 0) == pytest.approx(156543.03392)


@pytest.mark.parametrize(("latitude", "longitude"), [(90.1, 0.0), (-91.0, 0.0), (0.0, 180.5), (float("nan"), 0.0)])
def test_no_place_on_earth(latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="is not within"):
        LatLon(latitude, longitude)


def test_places_of_any_shape_are_converted_each_by_itself():
    """[2, 3] places, as an array and as whole numbers in lists."""
    frame, center = LocalFrame(LatLon(49.0, 8.4)), LatLon(49.0, 8.4)
    latlon_deg = np.array([49.0, 8.4]) + np.arange(12.0).reshape(2, 3, 2) * 1e-3
    mercator = MercatorRaster.around(center, 100, 80, 0.5)
    metric = MetricRaster(center, 100, 80, 0.5)
    for convert in (frame.xy_world_m, mercator.xy_px, metric.xy_px, earth_centred_m):
        each = np.stack([np.stack([convert(place) for place in row]) for row in latlon_deg])
        np.testing.assert_allclose(convert(latlon_deg), each, rtol=0, atol=1e-6)
        assert convert([[49, 8], [50, 9]]).shape[0] == 2
    xy = np.arange(12.0).reshape(2, 3, 2)
    for convert in (frame.latlon_deg, mercator.latlon_deg, metric.latlon_deg):
        each = np.stack([np.stack([convert(place) for place in row]) for row in xy])
        np.testing.assert_allclose(convert(xy), each, rtol=0, atol=1e-12)
        np.testing.assert_allclose(convert([[1, 2], [3, 4]]), convert([[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize(("latitude_deg", "longitude_deg"), [(90.0, 180.0), (-90.0, -180.0)])
def test_poles_and_the_date_line_are_on_earth(latitude_deg, longitude_deg):
    assert LatLon(latitude_deg, longitude_deg).degrees == (latitude_deg, longitude_deg)
    with pytest.raises(ValueError, match="latitude"):
        LatLon(latitude_deg * 1.001, 0.0)
    with pytest.raises(ValueError, match="longitude"):
        LatLon(0.0, longitude_deg * 1.001)


@pytest.mark.parametrize(
    ("crs", "x_m", "y_m", "latlon_deg"),
    [
        ("EPSG:25832", 500_000.0, 5_427_000.0, (48.99505, 9.0)),  # on the central meridian of UTM 32
        ("EPSG:3857", -20_037_000.0, 0.0, (0.0, -179.997)),  # 300 m east of the antimeridian
        ("EPSG:4326", 8.4, 49.0, (49.0, 8.4)),
        ("EPSG:32701", 500_000.0, 8_000_000.0, (-18.09, -177.0)),  # south of the equator
    ],
)
def test_pixels_of_a_projected_raster_and_wgs84_are_inverse(crs, x_m, y_m, latlon_deg) -> None:
    pixel = 1e-5 if crs == "EPSG:4326" else 0.5
    raster = ProjectedRaster(crs, ((pixel, 0.0, x_m), (0.0, -pixel, y_m)))
    np.testing.assert_allclose(raster.latlon_deg([0.0, 0.0]), latlon_deg, atol=2e-3)
    xy_px = np.array([[0.0, 0.0], [400.0, 300.0], [-250.0, 120.5]])
    there = raster.latlon_deg(xy_px)
    assert there[1, 0] < there[0, 0]  # y runs south
    np.testing.assert_allclose(raster.xy_px(there), xy_px, atol=1e-3)
    assert raster.accuracy_m is None or raster.accuracy_m >= 0


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
def test_a_projected_raster_goes_on_beyond_the_antimeridian(crs) -> None:
    pixel, x = (0.5, 20_037_000.0) if crs == "EPSG:3857" else (1e-5, 179.997)
    raster = ProjectedRaster(crs, ((pixel, 0.0, x), (0.0, -pixel, 0.0)))
    xy_px = np.array([[0.0, 10.0], [2000.0, 10.0], [-2000.0, 10.0]])
    there = raster.latlon_deg(xy_px)
    assert there[0, 1] > 179.9
    assert there[1, 1] < -179.9
    assert there[2, 1] > 179.9
    np.testing.assert_allclose(raster.xy_px(there), xy_px, atol=1e-3)


def test_pixels_of_utm_are_as_long_as_the_projection_says() -> None:
    """On the central meridian UTM shrinks by 0.9996."""
    raster = ProjectedRaster("EPSG:25832", ((0.2, 0.0, 500_000.0), (0.0, -0.2, 5_427_000.0)))
    here = LatLon(*raster.latlon_deg([0.0, 0.0]).tolist())
    east_m, south_m = LocalFrame(here).xy_world_m(raster.latlon_deg([[500.0, 0.0], [0.0, 500.0]]))
    np.testing.assert_allclose(east_m, [100 / 0.9996, 0], atol=1e-3)
    np.testing.assert_allclose(south_m, [0, -100 / 0.9996], atol=1e-3)


def test_the_accuracy_of_an_older_datum_is_known() -> None:
    old = ProjectedRaster("EPSG:31467", ((0.5, 0.0, 3_456_000.0), (0.0, -0.5, 5_429_000.0)))  # Gauss-Krueger, DHDN
    new = ProjectedRaster("EPSG:25832", ((0.5, 0.0, 456_000.0), (0.0, -0.5, 5_427_000.0)))
    assert old.accuracy_m is not None
    assert old.accuracy_m > (new.accuracy_m or 0.0)


@pytest.mark.parametrize(
    ("crs", "x", "y", "what"),
    [
        ("EPSG:25832", 1e12, 5_427_000.0, "are no coordinates of ETRS89 / UTM zone 32N"),
        ("EPSG:4326", 900.0, 49.0, "900, 49 are no coordinates of WGS 84"),
        ('LOCAL_CS["mine",UNIT["metre",1]]', 0.0, 0.0, "its coordinate reference system is not tied to the earth"),
    ],
)
def test_a_raster_that_lies_nowhere_is_refused(crs, x, y, what) -> None:
    with pytest.raises(ValueError, match=what):
        ProjectedRaster(crs, ((1.0, 0.0, x), (0.0, -1.0, y)))


def test_pixels_without_a_size_are_refused() -> None:
    with pytest.raises(ValueError, match="its pixels have no size"):
        ProjectedRaster("EPSG:25832", ((1.0, 1.0, 5e5), (1.0, 1.0, 5e6)))


def test_corners_that_make_no_square_pixels_are_refused() -> None:
    corners = LatLon(49.01, 8.4), LatLon(49.0, 8.42)
    east_m = 0.02 * np.pi / 180 * 6378137.0
    south_m = 6378137.0 * (np.arcsinh(np.tan(np.radians(49.01))) - np.arcsinh(np.tan(np.radians(49.0))))
    raster = MercatorRaster.between(*corners, 1000, round(1000 * south_m / east_m))
    assert raster.pixel_m == pytest.approx(east_m / 1000, rel=1e-9)
    with pytest.raises(ValueError, match="the corners make pixels of"):
        MercatorRaster.between(*corners, 1000, 500)


def test_a_longitude_at_the_edge_stays_as_it_is() -> None:
    assert LatLon.wrapped(0.0, 180.0).longitude_deg == 180.0
    assert LatLon.wrapped(0.0, -180.0).longitude_deg == -180.0
    assert LatLon.wrapped(0.0, 181.0).longitude_deg == -179.0
    with pytest.raises(ValueError, match="longitude 361"):
        LatLon.wrapped(0.0, 361.0)


@pytest.mark.parametrize("latitude", [0.0, 49.0, -34.0, 65.0])
def test_the_grid_s_north_is_the_meridian_s_only_at_the_anchor(latitude):
    """East of the anchor meridians lean to the west of the grid's north, on the northern hemisphere."""
    frame = LocalFrame(LatLon(latitude, 8.0))
    assert frame.convergence_rad((0.0, 0.0)) == 0
    found = frame.convergence_rad((60_000.0, 0.0))
    expected = 60_000 / 6.38e6 * np.tan(np.radians(latitude))
    assert found == pytest.approx(expected, rel=0.02, abs=1e-4)
    assert found == pytest.approx(-frame.convergence_rad((-60_000.0, 0.0)), abs=1e-6)


@pytest.mark.parametrize(
    ("yaw_deg", "expected_deg"),
    [(0.0, 90.0), (90.0, 0.0), (90.001, 0.0), (89.999, 0.0), (-180.0, 270.0), (53.0, 37.0), (450.0, 0.0)],
)
def test_a_compass_counts_clockwise_from_north(yaw_deg: float, expected_deg: float) -> None:
    assert compass_deg(np.radians(yaw_deg)) == expected_deg
