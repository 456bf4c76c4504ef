import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.ellipse import ellipse_xy_m


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(-1, 1).filter(lambda r: abs(r) < 0.99), st.floats(0.1, 0.99))
def test_every_point_of_the_ellipse_is_equally_likely(east_m, north_m, correlation, confidence):
    covariance = np.array([[east_m**2, correlation * east_m * north_m], [0, north_m**2]])
    covariance[1, 0] = covariance[0, 1]
    curve = ellipse_xy_m(covariance, confidence)
    squared = np.einsum("ni,ij,nj->n", curve, np.linalg.inv(covariance), curve)
    np.testing.assert_allclose(squared, -2 * np.log(1 - confidence), rtol=1e-6)
    assert (curve[0] == curve[-1]).all()
    (x, y), (next_x, next_y) = curve[:-1].T, curve[1:].T
    assert (x * next_y - next_x * y).sum() > 0  # counter-clockwise, as RFC 7946 wants its rings
