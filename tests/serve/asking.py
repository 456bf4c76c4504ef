"""Asking a server in this process: its client, moments that are sent, events and problems that come back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from fastapi.testclient import TestClient

from cvlnet.serve.app import create_app
from cvlnet.serve.service import Service
from driving import At, circle, odometry, picture

DRIVE = circle(100.0, step_m=1.6)
Event = tuple[str, str, dict[str, Any]]
"""Kind, id and data."""


@dataclass(frozen=True)
class Tracked:
    """A session that has ended, and its events. folder: the state of its server."""

    folder: Path
    client: TestClient
    key: str
    events: list[Event]

    @property
    def fixes(self) -> list[dict[str, Any]]:
        return [data for kind, _, data in self.events if kind == "fix"]

    def get(self, address: str, **named: Any) -> Any:
        return self.client.get(f"/api/sessions/{self.key}{address}", **named)


def client_of(service: Service, **named: Any) -> TestClient:
    return TestClient(create_app(service, **named), base_url="http://localhost:8080", raise_server_exceptions=False)


def png(at: At) -> bytes:
    pixels = picture(at).permute(1, 2, 0).numpy()
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])


def sent(drive: list[At]) -> list[tuple[bytes, dict[str, float]]]:
    """The picture and the odometry of every moment, as they are sent."""
    return [
        (png(at), {"time_s": pose.time_s, "x_m": pose.x_m, "y_m": pose.y_m, "yaw_rad": pose.yaw_rad})
        for at, pose in zip(drive, odometry(drive), strict=True)
    ]


def begin(client: TestClient, **asked: Any) -> dict[str, Any]:
    response = client.post("/api/sessions", json=asked)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api/sessions/{found['id']}"
    return found


def send(client: TestClient, key: str, image: bytes | None, pose: object) -> Any:
    text = pose if isinstance(pose, str) else json.dumps(pose)
    files = {} if image is None else {"image": ("frame.png", io.BytesIO(image), "image/png")}
    return client.post(f"/api/sessions/{key}/frames", data={"odometry": text}, files=files)


def ended(client: TestClient, key: str) -> list[Event]:
    """All events of a session until it has ended: kind, id and data."""
    return events_of(client.get(f"/api/sessions/{key}/events").text)


def events_of(text: str) -> list[Event]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem of an answer, which has to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert set(found) <= {"title", "detail", "status", "where", "remedy"}
    return found
