"""Sessions over time: bounds, restarts, what is given up, and what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import DRIVE, Tracked, begin, client_of, ended, problem, send, sent
from fastapi.testclient import TestClient

from cvlnet.errors import InputError
from cvlnet.serve import served_map as served_map_module
from cvlnet.serve import session as session_module
from cvlnet.serve.drives import Drives
from cvlnet.serve.limits import Limits
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.service import Service
from driving import CAMERA_JSON, Seeing, write_video

POSE = {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}


@pytest.fixture
def opened(served: ServedMap, drives: Drives, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Services that use the same folder, one after the other."""
    services: list[Service] = []

    def open_service(*, of: ServedMap = served, with_drives: Drives = drives, **limits: Any) -> Service:
        for service in services:
            service.close()
        services.append(Service(of, with_drives, tmp_path, Limits(**limits)))
        return services[-1]

    yield open_service
    services[-1].close()


def test_as_many_sessions_are_tracked_as_may_be(opened: Callable[..., Service]) -> None:
    client = client_of(opened(tracked=2))
    keys = [begin(client, camera=CAMERA_JSON)["id"] for _ in range(2)]
    response = client.post("/api/sessions", json={"drive": "ring"})
    assert "2 sessions are tracked already" in problem(response, 429)["detail"]
    assert int(response.headers["retry-after"]) > 0
    client.post(f"/api/sessions/{keys[0]}/end")
    begin(client, camera=CAMERA_JSON)


def test_the_oldest_ended_session_makes_room(opened: Callable[..., Service]) -> None:
    client = client_of(opened(kept=3))
    keys = [begin(client, camera=CAMERA_JSON)["id"] for _ in range(3)]
    for key in keys[1:]:
        client.post(f"/api/sessions/{key}/end")
    new = begin(client, camera=CAMERA_JSON)["id"]
    assert {session["id"] for session in client.get("/api/sessions").json()} == {keys[0], keys[2], new}


def test_sessions_are_bounded_on_disk(opened: Callable[..., Service], tmp_path: Path) -> None:
    service = opened(kept_bytes=1)
    client = client_of(service)
    running, over = (begin(client, camera=CAMERA_JSON)["id"] for _ in range(2))
    client.post(f"/api/sessions/{over}/end")
    service.sweep()
    assert [session["id"] for session in client.get("/api/sessions").json()] == [running]
    assert [path.name for path in (tmp_path / "sessions").iterdir()] == [running]


def test_pictures_that_are_deleted_do_not_count(
    opened: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(session_module, "_MOST_PICTURED", 3)
    service = opened()
    client = client_of(service)
    session = service.session(begin(client, drive="ring")["id"])
    ended(client, session.about.id)
    pictures = list((tmp_path / "sessions" / session.about.id / "pictures").iterdir())
    assert len({path.name[:6] for path in pictures}) == 3
    on_disk = sum(path.stat().st_size for path in session.folder.rglob("*") if path.is_file())
    assert session.size_bytes() == on_disk > sum(path.stat().st_size for path in pictures) > 0


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_state_that_cannot_be_kept(served: ServedMap, drives: Drives, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"sessions cannot be kept there .*; choose another folder"):
        Service(served, drives, tmp_path / place)


def test_a_session_without_frames_is_closed(opened: Callable[..., Service]) -> None:
    service = opened(idle_s=0.0)
    client = client_of(service)
    key = begin(client, camera=CAMERA_JSON)["id"]
    send(client, key, None, POSE)
    assert client.get(f"/api/sessions/{key}").json()["status"] == "running"  # which does not keep it open
    service.sweep()
    assert client.get(f"/api/sessions/{key}").json()["status"] == "closed"
    assert "it is closed" in problem(send(client, key, None, POSE | {"time_s": 1.0}), 409)["detail"]
    assert len(client.get(f"/api/sessions/{key}/fixes").json()) == 1
    assert service.tracked == 0


def test_a_folder_has_one_server(
    opened: Callable[..., Service], served: ServedMap, drives: Drives, tmp_path: Path
) -> None:
    opened()
    with pytest.raises(InputError, match="another server uses this folder"):
        Service(served, drives, tmp_path)


def kill(folder: Path, key: str, fixes: int) -> None:
    """Make a session what it is on disk when its server is killed after so many fixes, within the next one."""
    session = folder / "sessions" / key
    for name, lines in (("track.jsonl", fixes + 1), ("fixes.jsonl", fixes - 1), ("odometry.jsonl", fixes - 2)):
        whole = (session / name).read_bytes().splitlines(keepends=True)
        (session / name).write_bytes(b"".join(whole[:lines]) + whole[lines][:20])
    about = json.loads((session / "session.json").read_text())
    (session / "session.json").write_text(json.dumps(about | {"status": "running", "fixes": 1}))


def taken_over(tracked: Tracked, folder: Path) -> None:
    """The folder of the tracked session as that of another server."""
    service_folder = next(iter(tracked.folder.glob(f"sessions/{tracked.key}")))
    shutil.copytree(service_folder, folder / "sessions" / tracked.key)


def test_a_drive_goes_on_after_a_kill(opened: Callable[..., Service], tracked: Tracked, tmp_path: Path) -> None:
    taken_over(tracked, tmp_path)
    kill(tmp_path, tracked.key, 58)
    client = client_of(opened())
    events = ended(client, tracked.key)
    fixes = [data for kind, _, data in events if kind == "fix"]
    assert events[-1][2]["status"] == "ended"
    assert [fix["moment"] for fix in fixes] == list(range(len(DRIVE)))
    assert fixes[:57] == tracked.fixes[:57]
    assert fixes[57]["speed_mps"] is None  # it was only in the log
    assert {**fixes[57], "speed_mps": tracked.fixes[57]["speed_mps"]} == tracked.fixes[57]
    assert fixes[-1]["error_m"] < 1.5
    assert len(client.get(f"/api/sessions/{tracked.key}/truth").json()) == len(DRIVE)
    assert len(client.get(f"/api/sessions/{tracked.key}/odometry").json()) >= len(DRIVE) - 2
    assert len(client.get(f"/api/sessions/{tracked.key}/export/csv").text.splitlines()) == len(DRIVE) + 1


def test_ended_sessions_are_shown_by_the_next_server(
    opened: Callable[..., Service], tracked: Tracked, tmp_path: Path
) -> None:
    taken_over(tracked, tmp_path)
    client = client_of(opened(with_drives=Drives({})))
    assert client.get(f"/api/sessions/{tracked.key}").json() == tracked.get("").json()
    for address in ("/fixes", "/moments", "/truth", "/odometry"):
        assert client.get(f"/api/sessions/{tracked.key}{address}").json() == tracked.get(address).json()
    moment = tracked.get("/moments").json()[0]["moment"]
    for name in ("frame.jpg", "projection.webp"):
        address = f"/moments/{moment}/{name}"
        assert client.get(f"/api/sessions/{tracked.key}{address}").content == tracked.get(address).content


def test_frames_cannot_go_on_after_a_restart(opened: Callable[..., Service]) -> None:
    client = client_of(opened())
    key = begin(client, camera=CAMERA_JSON)["id"]
    for image, pose in sent(DRIVE[:3]):
        send(client, key, image, pose)
    client = client_of(opened())
    session = client.get(f"/api/sessions/{key}").json()
    assert (session["status"], session["error"]["status"], session["fixes"]) == ("failed", 410, 3)
    assert "restarted" in session["error"]["detail"]
    refused = problem(send(client, key, None, POSE | {"time_s": 9.0}), 409)
    assert refused["detail"].startswith("the session takes no more frames: the server was restarted")
    assert len(client.get(f"/api/sessions/{key}/fixes").json()) == 3


def test_another_map_or_a_missing_drive_ends_a_session(
    opened: Callable[..., Service], tracked: Tracked, tmp_path: Path
) -> None:
    taken_over(tracked, tmp_path)
    kill(tmp_path, tracked.key, 40)
    session = client_of(opened(with_drives=Drives({}))).get(f"/api/sessions/{tracked.key}").json()
    assert (session["status"], session["error"]["detail"]) == ("failed", "the server was restarted without this drive")
    kill(tmp_path, tracked.key, 30)
    path = tmp_path / "sessions" / tracked.key / "session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"map": "another"}))
    session = client_of(opened()).get(f"/api/sessions/{tracked.key}").json()
    assert (session["status"], session["error"]["detail"]) == ("failed", "the server was restarted with another map")


def test_damaged_sessions_are_left_out(
    opened: Callable[..., Service], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in (("a", "{"), ("b", "{}"), ("c", '{"id": "../../etc"}')):
        (tmp_path / "sessions" / name).mkdir(parents=True)
        (tmp_path / "sessions" / name / "session.json").write_text(content)
    (tmp_path / "sessions" / "d").mkdir()
    assert opened().sessions() == []
    assert caplog.text.count("holds no session") == 4


def test_a_drive_whose_pictures_are_gone_fails_with_its_reason(
    served: ServedMap, tmp_path: Path, opened: Callable[..., Service]
) -> None:
    video = write_video(tmp_path / "gone", DRIVE[:40])
    client = client_of(opened(with_drives=Drives.named((), (video,))))
    for path in (video / "frames").iterdir():
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    key = begin(client, drive="gone")["id"]
    last = ended(client, key)[-1][2]
    assert (last["status"], last["error"]["status"]) == ("failed", 422)
    assert "cut short" in last["error"]["detail"]


def test_an_error_of_the_server_ends_one_session_alone(
    opened: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(opened())
    monkeypatch.setattr("cvlnet.serve.runs.pictures_of", lambda _: 1 / 0)
    key = begin(client, camera=CAMERA_JSON)["id"]
    assert "its log says which" in problem(send(client, key, None, POSE), 500)["detail"]
    monkeypatch.setattr("cvlnet.serve.runs.pictures_of", lambda _: {})
    assert client.get(f"/api/sessions/{key}").json()["status"] == "failed"
    assert "ZeroDivisionError" in caplog.text
    assert send(client, begin(client, camera=CAMERA_JSON)["id"], None, POSE).status_code == 200


def test_drives_of_the_same_name_get_numbers(tmp_path: Path) -> None:
    folders = [write_video(tmp_path / name / "video", DRIVE[:3], origin=None) for name in ("a", "b")]
    drives = Drives.named((), folders)
    assert [(info.name, info.frames, info.has_truth, info.example) for info in drives.infos] == [
        ("video", 3, False, True),
        ("video-2", 3, False, False),
    ]
    assert "video-2" in drives
    assert "video-3" not in drives


def test_a_map_has_to_be_built(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no map.*cvlnet map build"):
        served_map_module.ServedMap.opened(tmp_path, Seeing(), None, tmp_path)


def test_many_moments_wait_for_their_turn_up_to_a_bound(
    opened: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(pending=0)
    client: TestClient = client_of(service)
    key = begin(client, camera=CAMERA_JSON)["id"]
    response = send(client, key, None, POSE)
    assert "wait for their turn" in problem(response, 429)["detail"]
    assert response.headers["retry-after"] == "2"
