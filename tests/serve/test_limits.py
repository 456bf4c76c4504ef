"""Rates: so many requests at once, so many in the long run, each client for itself."""

from __future__ import annotations

import pytest

from cvlnet.serve.limits import Rate


def test_a_burst_and_then_the_rate() -> None:
    now_s = 100.0
    rate = Rate(2.0, 3, now_s=lambda: now_s)
    assert [rate.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rate.wait_s("b") == 0.0
    now_s += 0.25
    assert rate.wait_s("a") == pytest.approx(0.25)
    now_s += 0.25
    assert [rate.wait_s("a"), rate.wait_s("a")] == [0.0, 0.5]
    now_s += 1000.0
    assert [rate.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_clients_that_come_once_are_forgotten() -> None:
    rate = Rate(0.001, 1, now_s=lambda: 0.0)
    assert rate.wait_s("first") == 0.0
    for number in range(5000):
        rate.wait_s(str(number))
    assert len(rate._left) <= 4096
    assert rate.wait_s("first") == 0.0
