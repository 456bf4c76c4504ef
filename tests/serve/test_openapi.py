"""The API does what it says of itself, whatever is sent (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asking import begin, client_of, ended
from cvlnet.serve.app import create_app
from cvlnet.serve.drives import Drives
from cvlnet.serve.limits import Limits
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service

pytestmark = pytest.mark.slow
_GENEROUS = Limits(requests_per_s=1e6, burst=10**6, new_per_s=1e6, new_burst=10**6)
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def described(served: ServedMap, drives: Drives, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description, of a server with a session that has ended."""
    service = Service(served, drives, tmp_path_factory.mktemp("state"), _GENEROUS)
    client = client_of(service)
    key = begin(client, drive="ring")["id"]
    ended(client, key)
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", create_app(service), headers={"Host": "localhost"})
    schema.config.parameters = {"key": key, "moment": client.get(f"/api/sessions/{key}/moments").json()[0]["moment"]}
    yield schema
    service.close()


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent(case: Any) -> None:
    case.headers = {**(case.headers or {}), "Host": "localhost"}
    response = case.call()
    case.validate_response(response, checks=_CHECKS)
