"""Who may ask: host names, tokens, other pages' requests, rates and sizes; and what browsers are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import client_of, problem
from fastapi.testclient import TestClient

from cvlnet.serve.drives import Drives
from cvlnet.serve.limits import Limits
from cvlnet.serve.listen import Address
from cvlnet.serve.security import Access
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def shared(served: ServedMap, drives: Drives, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(served, drives, tmp_path_factory.mktemp("state"))
    yield service
    service.close()


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_this_machine_by_its_names(shared: Service, host: str) -> None:
    assert client_of(shared).get("/api/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:8080", "", "[::1", "a b"])
def test_other_names_lead_nowhere(shared: Service, host: str) -> None:
    """As when the name of another page's server is made to lead to this one."""
    client = client_of(shared)
    assert problem(client.get("/api/health", headers={"Host": host}), 421)["where"] == "Host"
    problem(client.get("/", headers={"Host": host}), 421)


def test_names_that_were_given(shared: Service) -> None:
    client = client_of(shared, access=Access(TOKEN, ("car.example",), any_address=True))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for host in ("car.example", "Car.Example:443", "192.168.1.5:8080", "[fe80::1]:8080"):
        assert client.get("/api/health", headers=bearer | {"Host": host}).status_code == 200
    problem(client.get("/api/health", headers=bearer | {"Host": "evil.example"}), 421)


@pytest.mark.parametrize(
    "address", ["/", "/api/health", "/api/sessions", "/api/openapi.json", "/api/map/tiles/0/0/0.webp"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Cookie": f"{Access(TOKEN).cookie}=wrong"},
        {"Cookie": f"{Access('another').cookie}={TOKEN}"},
        {"Cookie": f"other={TOKEN}"},
        {"Cookie": "=;=\x01"},
    ],
)
def test_without_the_token_there_is_nothing(shared: Service, address: str, headers: dict[str, str]) -> None:
    response = client_of(shared, access=Access(TOKEN)).get(address, headers=headers)
    problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_token_as_a_bearer(shared: Service) -> None:
    client = client_of(shared, access=Access(TOKEN))
    for value in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
        assert client.get("/api/health", headers={"Authorization": value}).status_code == 200


def test_a_browser_gives_the_token_once(shared: Service) -> None:
    client = client_of(shared, access=Access(TOKEN))
    entrance = client.get(f"/?token={TOKEN}&a=1", follow_redirects=False)
    assert (entrance.status_code, entrance.headers["location"]) == (303, "/?a=1")
    cookie = entrance.headers["set-cookie"]
    for part in (f"{Access(TOKEN).cookie}={TOKEN}", "HttpOnly", "SameSite=strict"):
        assert part in cookie
    assert client.get("/").status_code == 200
    assert client.get("/api/health").status_code == 200
    other = client_of(shared, access=Access(TOKEN))
    problem(other.get("/?token=wrong", follow_redirects=False), 401)
    problem(other.get(f"/api/health?token={TOKEN}"), 401)  # addresses of the API would be kept in logs


def test_without_a_token_the_address_takes_none(shared: Service) -> None:
    assert client_of(shared).get("/?token=anything", follow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Origin": "http://[x"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_servers_change_nothing(shared: Service, headers: dict[str, str]) -> None:
    client = client_of(shared)
    problem(client.post("/api/sessions", json={"drive": "ring"}, headers=headers), 403)
    problem(client.delete("/api/sessions/0", headers=headers), 403)
    assert shared.sessions() == []


def test_the_own_page_may(shared: Service) -> None:
    client = client_of(shared)
    own = {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}
    problem(client.post("/api/sessions", json={}, headers=own), 422)


def test_what_browsers_are_told(shared: Service) -> None:
    client = client_of(shared)
    for address in ("/", "/api/health", "/api/nothing", "/nothing"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/api/health").headers["cache-control"] == "no-store"


def limited(served: ServedMap, drives: Drives, folder: Path, **limits: Any) -> tuple[Service, TestClient]:
    service = Service(served, drives, folder, Limits(**limits))
    return service, client_of(service)


def test_requests_have_a_rate(served: ServedMap, drives: Drives, tmp_path: Path) -> None:
    service, client = limited(served, drives, tmp_path, requests_per_s=0.01, burst=3)
    assert [client.get("/api/health").status_code for _ in range(3)] == [200] * 3
    response = client.get("/api/health")
    problem(response, 429)
    assert 95 <= int(response.headers["retry-after"]) <= 101
    service.close()


def test_new_sessions_have_a_rate_of_their_own(served: ServedMap, drives: Drives, tmp_path: Path) -> None:
    service, client = limited(served, drives, tmp_path, new_per_s=0.01, new_burst=1)
    problem(client.post("/api/sessions", json={}), 422)
    problem(client.post("/api/sessions", json={}), 429)
    problem(client.post("/api/sessions/upload"), 429)
    assert client.get("/api/sessions").status_code == 200
    service.close()


def test_requests_have_a_size(served: ServedMap, drives: Drives, tmp_path: Path) -> None:
    """Whether they state it or not."""
    service, client = limited(served, drives, tmp_path, json_bytes=1000, frame_bytes=2000, upload_bytes=3000)

    def parts(size: int) -> Iterator[bytes]:
        yield from (b"x" * 100 for _ in range(size // 100))

    for address, most in (
        ("/api/sessions", 1000),
        ("/api/sessions/0/frames", 102_000),
        ("/api/sessions/upload", 103_000),
        ("/api/sessions/0/positions", 1000),
    ):
        problem(client.post(address, content=b"x" * (most + 100)), 413)
        response = client.post(address, content=parts(most + 1000), headers={"content-type": "application/json"})
        assert response.status_code in (413, 422)  # forms of another type are not read at all
        if address in ("/api/sessions", "/api/sessions/0/positions"):
            problem(response, 413)
    form = {"content-type": "multipart/form-data; boundary=b"}
    start = b'--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
    problem(client.post("/api/sessions/0/frames", content=iter([start, *parts(200_000)]), headers=form), 413)
    problem(client.post("/api/sessions", content=b"", headers={"content-length": "-5"}), 413)
    problem(client.post("/api/sessions", content=b"", headers={"content-length": "9" * 5000}), 413)
    service.close()


@pytest.mark.parametrize(
    ("host", "token", "expected"), [("127.0.0.1", None, False), ("localhost", "t", True), ("::1", None, False)]
)
def test_this_machine_alone_needs_no_token(host: str, token: str | None, expected: bool) -> None:
    assert (Address(host, 0, token).access().token is not None) == expected


def test_other_machines_need_one() -> None:
    first, second = (Address("0.0.0.0", 0).access() for _ in range(2))
    assert first.token is not None
    assert len(first.token) >= 32
    assert first.token != second.token
    assert first.any_address
    assert Address("192.168.1.5", 0, "mine").access() == Access(
        "mine", Address("192.168.1.5", 0, "mine").access().names, any_address=False
    )
    assert Address("192.168.1.5", 0, "mine").access().knows_host("192.168.1.5:80")
    assert Address("0.0.0.0", 0, names=("car.example",)).access().knows_host("car.example")
