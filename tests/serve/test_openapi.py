"""The API does what it says of itself, whatever is sent (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from asking import begin, client_of, ended, send
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import sampled_from
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cvlnet.serve.app import create_app
from cvlnet.serve.drives import Drives
from cvlnet.serve.limits import Limits
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service
from driving import CAMERA_JSON

pytestmark = pytest.mark.slow
_GENEROUS = Limits(requests_per_s=1e6, burst=10**6, new_per_s=1e6, new_burst=10**6)
_HOST = {"Host": "localhost"}
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class Described:
    """The description of a server, and what there is: a session that has ended, one that takes frames, a moment."""

    schema: Any
    ended: str
    live: str
    moment: int


@pytest.fixture(scope="module")
def described(served: ServedMap, drives: Drives, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    service = Service(served, drives, tmp_path_factory.mktemp("state"), _GENEROUS)
    client = client_of(service)
    key, live = begin(client, drive="ring")["id"], begin(client, camera=CAMERA_JSON)["id"]
    ended(client, key)
    send(client, live, None, {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0})
    moments = client.get(f"/api/sessions/{key}/moments").json()
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", create_app(service), headers=_HOST)
    yield Described(schema, key, live, moments[3]["moment"])
    service.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent(described: Described, mode: GenerationMode) -> None:
    tried: set[tuple[str, int]] = set()
    for found in described.schema.get_all_operations():
        keys = [None, described.ended, *([] if found.ok().path.endswith("/events") else [described.live])]

        @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @seed(1)
        @given(case=found.ok().as_strategy(generation_mode=mode), key=sampled_from(keys))
        def ask(case: Any, key: str | None) -> None:
            parameters = case.path_parameters or {}
            if key is not None and case.method != "DELETE" and not case.path.endswith("/end") and "key" in parameters:
                case.path_parameters = parameters | {"key": key}
                if key == described.ended and mode == GenerationMode.POSITIVE and "moment" in parameters:
                    case.path_parameters["moment"] = described.moment
            case.headers = {**(case.headers or {}), **_HOST}
            response = case.call()
            case.validate_response(response, checks=_CHECKS)
            tried.add((f"{case.method} {case.path}", response.status_code))

        try:
            ask()
        except Unsatisfiable:  # nothing that could be sent would be wrong
            assert mode == GenerationMode.NEGATIVE
    if mode == GenerationMode.POSITIVE:
        assert len({label for label, _ in tried}) == len(list(described.schema.get_all_operations()))
        for name in ("fixes", "positions", "export/{format}", "moments/{moment}/frame.jpg"):
            assert 200 in {status for label, status in tried if label.endswith(f"/{name}")}, name
