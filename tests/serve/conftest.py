"""A server of a small map, in this process, with one drive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import DRIVE, Tracked, begin, client_of, ended
from fastapi.testclient import TestClient

from cvlnet.map.build import build_map
from cvlnet.serve.drives import Drives
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service
from driving import Seeing, ground, model, write_video


@pytest.fixture(scope="session")
def city_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "city.map"
    build_map(model(), ground(), path)
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video folder with positions, 63 moments."""
    return write_video(tmp_path_factory.mktemp("videos") / "ring", DRIVE)


@pytest.fixture(scope="session")
def served(city_map: Path, tmp_path_factory: pytest.TempPathFactory) -> ServedMap:
    return ServedMap.opened(city_map, Seeing(), None, tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="session")
def drives(video: Path) -> Drives:
    return Drives.named((), (video,))


@pytest.fixture
def service(served: ServedMap, drives: Drives, tmp_path: Path) -> Iterator[Service]:
    found = Service(served, drives, tmp_path / "state")
    yield found
    found.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return client_of(service)


@pytest.fixture(scope="session")
def tracked(served: ServedMap, drives: Drives, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """A drive that has been tracked to its end, on a server of its own."""
    folder = tmp_path_factory.mktemp("tracked")
    service = Service(served, drives, folder)
    client = client_of(service)
    key = begin(client, drive="ring")["id"]
    yield Tracked(folder, client, key, ended(client, key))
    service.close()
