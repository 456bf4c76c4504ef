"""Pictures of the report are drawn small."""

import pytest

from cvlnet.evaluation.report import theme


@pytest.fixture(scope="session", autouse=True)
def coarse_pictures():
    """What plots show does not depend on their resolution, the time does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 40)
        yield
