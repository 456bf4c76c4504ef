"""What is compiled runs also where nothing can be written."""

import pytest
from numba.core import caching

from cvlnet.town.compiled import kernel


def twice(x: float) -> float:
    return 2 * x


def test_without_a_folder_for_the_cache_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    assert kernel(twice)(1.5) == 3.0
