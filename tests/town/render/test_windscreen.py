"""What a camera looks through hides a part of the street, and never all of it."""

import numpy as np
import pytest

from cvlnet.town.render.windscreen import Windscreen, make_windscreen


def test_nothing_is_in_the_way_without_it() -> None:
    view = make_windscreen(np.random.default_rng(1), 0.0, 60, 200)
    clear = Windscreen.clear(60, 200)
    np.testing.assert_array_equal(view.passes, clear.passes)
    np.testing.assert_array_equal(view.adds, clear.adds)


@pytest.mark.parametrize("seed", range(12))
def test_most_of_the_street_is_seen(seed: int) -> None:
    view = make_windscreen(np.random.default_rng(seed), 10.0, 94, 310)  # all of it at once
    assert view.passes.shape == (94, 310, 1)
    assert view.adds.shape == (94, 310, 3)
    assert 0 <= view.passes.min() <= view.passes.max() <= 1
    assert view.adds.min() >= 0
    assert (view.passes > 0.5).mean() > 0.6
    assert (view.passes < 0.5).any()
    assert np.median(view.adds) < 0.15
