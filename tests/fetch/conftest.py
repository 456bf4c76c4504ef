from collections.abc import Iterator

import pytest

import map_servers


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[map_servers.MapServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with map_servers.running() as server:
        yield server
