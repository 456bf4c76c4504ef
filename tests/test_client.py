"""The client, beside a server that listens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

from cvlnet.client import Client, Moment, ServerError
from cvlnet.io.outputs import write_png
from cvlnet.map.build import build_map
from cvlnet.serve.app import create_app
from cvlnet.serve.drives import Drives
from cvlnet.serve.security import Access
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service
from driving import CAMERA_JSON, FRAME, MIDDLE, Seeing, circle, ground, model, odometry, picture, write_video

DRIVE = circle(70.0, step_m=1.6)
TOKEN = "correct-horse"


@contextmanager
def listening(service: Service, access: Access = Access(), *, port: int = 0) -> Iterator[tuple[str, int]]:
    """The address and port of a server of the service; at its end all connections are closed, whatever they carry."""
    server = uvicorn.Server(uvicorn.Config(create_app(service, access), log_level="critical"))
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}", port
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedMap:
    root = tmp_path_factory.mktemp("map")
    build_map(model(), ground(), root / "city.map")
    return ServedMap.opened(root / "city.map", Seeing(), None, root)


@pytest.fixture(scope="module")
def address(served: ServedMap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("server")
    service = Service(served, Drives.named((), (write_video(root / "ring", DRIVE),)), root)
    with listening(service, Access(TOKEN)) as (found, _):
        yield found
    service.close()


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, token=TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    folder = tmp_path_factory.mktemp("frames")
    found = []
    for i, (at, pose) in enumerate(zip(DRIVE, odometry(DRIVE), strict=True)):
        path = folder / f"{i}.png"
        write_png(path, picture(at).permute(1, 2, 0).numpy())
        image = path if i % 2 else path.read_bytes()
        found.append(Moment(pose.time_s, pose.x_m, pose.y_m, pose.yaw_rad, image))
    return found


def test_frames_are_tracked(client: Client, moments: list[Moment]) -> None:
    fixes = list(client.track(moments, camera=CAMERA_JSON))
    assert [fix["moment"] for fix in fixes] == list(range(len(DRIVE)))
    assert fixes[-1]["state"] == "tracking"
    place = FRAME.xy_world_m((fixes[-1]["latitude_deg"], fixes[-1]["longitude_deg"]))
    np.testing.assert_allclose(place, DRIVE[-1].xy_m, atol=1.5)
    session = client.sessions()[0]
    assert (session["status"], session["source"]) == ("ended", "api")
    assert list(client.fixes(session["id"])) == fixes
    assert list(client.fixes(session["id"], after=40)) == fixes[41:]


def test_a_drive_of_the_server_is_followed_as_it_is_tracked(client: Client) -> None:
    assert client.map()["name"] == "city.map"
    assert [drive["name"] for drive in client.drives()] == ["ring"]
    key = client.begin_drive("ring")["id"]
    fixes = list(client.follow(key))
    assert [fix["moment"] for fix in fixes] == list(range(len(DRIVE)))
    assert client.session(key)["status"] == "ended"
    assert list(client.follow(key, after=40)) == fixes[41:]
    assert client.export(key, "gpx").startswith(b"<?xml")
    client.delete(key)
    with pytest.raises(ServerError, match="no session of this id"):
        client.session(key)


def test_fixes_go_on_after_a_lost_connection(
    served: ServedMap, moments: list[Moment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is stopped with a connection open, and another one at its address."""
    waits: list[float] = []
    service = Service(served, Drives({}), tmp_path)
    with listening(service) as (first, port):
        client = Client(first)
        session = client.begin(CAMERA_JSON)
        sent = [session.update(moment) for moment in moments[:3]]
        came = client.follow(session.key)
        assert [next(came) for _ in range(3)] == sent
    with monkeypatch.context() as patch, ExitStack() as stack:

        def back(seconds: float) -> None:
            """The server comes back while the client waits for the second time."""
            waits.append(seconds)
            if len(waits) == 2:
                stack.enter_context(listening(service, port=port))
                sent.extend(session.update(moment) for moment in moments[3:5])
                session.end()

        patch.setattr("time.sleep", back)
        assert list(came) == sent[3:]
        assert waits == [0.5, 1.0]
        waits.clear()
        assert list(client.follow(session.key, after=3)) == sent[4:]
        assert list(client.follow(session.key, after=4)) == []
        assert waits == []
        stack.close()
        patch.setattr("time.sleep", waits.append)
        with pytest.raises(httpx.TransportError):
            list(client.follow(session.key))
        assert waits == [0.5, 1.0, 2.0, 4.0]
    client.close()
    service.close()


def test_a_session_ends_with_its_block_whatever_happens(client: Client, moments: list[Moment]) -> None:
    session = client.begin(CAMERA_JSON, start=MIDDLE.degrees)
    session.update(moments[0])
    assert session.locate(*MIDDLE.degrees, 1.0)["confidence"] > 0.5
    with pytest.raises(KeyError), session:
        raise KeyError
    assert client.session(session.key)["status"] == "ended"
    with pytest.raises(ServerError, match="takes no more frames"):
        session.update(moments[1])
    for number, _ in enumerate(client.track(moments, camera=CAMERA_JSON)):
        if number == 2:
            break
    assert client.sessions()[0]["status"] in ("running", "ended")


def test_a_session_that_was_ended_in_its_block_is_not_ended_again(client: Client, moments: list[Moment]) -> None:
    with client.begin(CAMERA_JSON) as session:
        session.update(moments[0])
        assert session.end()["status"] == "ended"


def test_numbers_and_pictures_of_numpy(client: Client, moments: list[Moment]) -> None:
    encoded = np.frombuffer(Path(moments[1].picture).read_bytes(), np.uint8)
    with client.begin(CAMERA_JSON, start=MIDDLE.degrees) as session:
        for number, picture in enumerate((str(moments[1].picture), encoded, bytearray(encoded), encoded[:, None])):
            moment = Moment(np.int64(number), np.float32(number), np.array(0.0), np.float64(0), picture)
            assert session.update(moment)["time_s"] == number
        assert session.locate(*map(np.float32, MIDDLE.degrees), np.int64(3))["moment"] == 3
        with pytest.raises(ServerError, match="the picture is neither PNG nor JPEG"):
            session.update(Moment(9.0, 9.0, 0.0, 0.0, np.zeros((32, 128, 3), np.uint8)))


def test_what_the_server_refuses_is_told(client: Client, address: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="a token is needed") as error, Client(address) as stranger:
        stranger.map()
    assert error.value.status == 401
    with pytest.raises(ServerError, match="a token is needed"), Client(address) as stranger:
        list(stranger.follow("0"))
    with pytest.raises(ServerError, match="camera; has no pixel_origin; write"):
        client.begin({"width": 1})
    for name in ("video", "camera", "odometry"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ServerError) as error:
        client.upload(tmp_path / "video", tmp_path / "camera", tmp_path / "odometry")
    assert error.value.problem["status"] == 422


def test_what_is_put_off_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    answers = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200, json=[])]
    with Client("http://server", transport=httpx.MockTransport(lambda _: answers.pop(0))) as client:
        assert client.drives() == []
    assert waits == [7.0]
    never = httpx.MockTransport(lambda _: httpx.Response(429, json={"detail": "too many", "status": 429}))
    with Client("http://server", transport=never) as client, pytest.raises(ServerError, match="too many"):
        client.drives()
    assert waits == [7.0] + [1.0] * 4
    date = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    answers = [httpx.Response(429, headers=date), httpx.Response(200, json=[])]
    with Client("http://server", transport=httpx.MockTransport(lambda _: answers.pop(0))) as client:
        assert client.drives() == []
    assert waits[5:] == [1.0]


def test_a_server_of_another_kind_is_told() -> None:
    other = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    with Client("http://server", transport=other) as client, pytest.raises(ServerError, match="status 502"):
        client.map()
