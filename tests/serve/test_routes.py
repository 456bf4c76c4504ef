"""Every route: what it gives for a drive, an upload and frames that are sent, and what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest
from asking import DRIVE, Tracked, begin, client_of, ended, events_of, png, problem, send, sent
from fastapi import Request
from fastapi.testclient import TestClient

from cvlnet.serve import routes as routes_module
from cvlnet.serve import wire
from cvlnet.serve.limits import Limits
from cvlnet.serve.service import Service
from driving import CAMERA_JSON, FRAME, MIDDLE, At, circle, ground, picture

NOBODY = "0123456789abcdef"


def test_the_map(client: TestClient) -> None:
    found = wire.MapInfo.model_validate(client.get("/api/map").json())
    assert found.name == "city.map"
    assert (found.center.latitude_deg, found.center.longitude_deg) == pytest.approx(MIDDLE.degrees, abs=1e-5)
    west, south, east, north = found.bounds
    assert west < 8.43 < east
    assert south < 49.01 < north
    assert found.corners[0] == pytest.approx((west, north), abs=1e-5)
    assert found.corners[2] == pytest.approx((east, south), abs=1e-5)
    assert found.km2 == pytest.approx(0.04, rel=0.1)
    assert not found.has_imagery
    assert found.credit is None


def test_tiles_show_the_map_where_it_lies(client: TestClient) -> None:
    zoom = 16
    side = 2**zoom
    col = int((MIDDLE.longitude_deg + 180) / 360 * side)
    row = int((1 - np.arcsinh(np.tan(np.radians(MIDDLE.latitude_deg))) / np.pi) / 2 * side)
    response = client.get(f"/api/map/tiles/{zoom}/{col}/{row}.webp")
    assert response.headers["content-type"] == "image/webp"
    assert "max-age" in response.headers["cache-control"]
    rgba = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    assert rgba.shape == (256, 256, 4)
    shown = np.count_nonzero(rgba[..., 3]) * (40075016.7 / side / 256 * np.cos(np.radians(49.01))) ** 2
    assert 1e3 < shown < 4.4e4  # square metres, of a map of 40,000
    assert rgba[rgba[..., 3] > 0][:, :3].std() > 20


@pytest.mark.parametrize("tile", ["3/1/1", "0/0/0"])
def test_tiles_beside_the_map_are_clear(client: TestClient, tile: str) -> None:
    response = client.get(f"/api/map/tiles/{tile}.webp")
    assert response.status_code == 200
    rgba = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    assert rgba.shape == (256, 256, 4)
    assert np.count_nonzero(rgba[..., 3]) < 20


@pytest.mark.parametrize("tile", ["3/8/1", "3/1/-1", "99/0/0", "-1/0/0", "24/999999999999/0"])
def test_impossible_tiles(client: TestClient, tile: str) -> None:
    problem(client.get(f"/api/map/tiles/{tile}.webp"), 404)


@pytest.mark.parametrize("tile", ["a/b/c", "1.5/0/0", "1e99/0/0"])
def test_tiles_without_numbers(client: TestClient, tile: str) -> None:
    problem(client.get(f"/api/map/tiles/{tile}.webp"), 422)


def test_the_drives(client: TestClient) -> None:
    assert client.get("/api/drives").json() == [
        {"name": "ring", "frames": len(DRIVE), "has_truth": True, "example": True}
    ]


def test_a_drive_is_found_while_its_events_come(tracked: Tracked) -> None:
    fixes = [wire.Fix.model_validate(data) for kind, _, data in tracked.events if kind == "fix"]
    assert [fix.moment for fix in fixes] == list(range(len(DRIVE)))
    assert [number for kind, number, _ in tracked.events if kind == "fix"] == [str(i) for i in range(len(DRIVE))]
    assert fixes[0].state == "searching"
    assert fixes[-1].state == "tracking"
    error_m = fixes[-1].error_m
    assert error_m is not None
    assert error_m < 1.5
    east_m, north_m = FRAME.xy_world_m((fixes[-1].latitude_deg, fixes[-1].longitude_deg)).tolist()
    assert (east_m, north_m) == pytest.approx(DRIVE[-1].xy_m, abs=1.5)
    assert fixes[-1].heading_deg == pytest.approx((90 - np.degrees(DRIVE[-1].yaw_rad)) % 360, abs=3.0)
    assert fixes[-1].speed_mps == pytest.approx(1.6 / 0.2, rel=0.05)
    assert fixes[0].speed_mps is None
    kind, _, last = tracked.events[-1]
    assert (kind, last["status"], last["fixes"]) == ("status", "ended", len(DRIVE))
    session = wire.Session.model_validate(tracked.get("").json())
    assert (session.source, session.name, session.moments_total) == ("drive", "ring", len(DRIVE))
    assert session.has_truth
    assert session.duration_s == pytest.approx(0.2 * (len(DRIVE) - 1))
    assert tracked.client.get("/api/sessions").json() == [session.model_dump()]


def test_events_go_on_behind_the_last_one(tracked: Tracked) -> None:
    again = events_of(tracked.get("/events", headers={"Last-Event-ID": "59"}).text)
    assert [(kind, number) for kind, number, _ in again] == [("fix", str(i)) for i in (60, 61, 62)] + [("status", "62")]
    assert again == [event for event in tracked.events if event[1] in ("60", "61", "62")]
    assert again[-1][2]["status"] == "ended"
    assert tracked.get("/events", headers={"Last-Event-ID": "62"}).status_code == 204
    for whole in ("nonsense", "-1", "-2"):
        assert events_of(tracked.get("/events", headers={"Last-Event-ID": whole}).text)[0][1] == "0"
    assert events_of(tracked.get("/events", params={"after": 59}).text) == again
    assert events_of(tracked.get("/events", params={"after": 62}).text) == again[3:]
    both = tracked.get("/events", params={"after": 3}, headers={"Last-Event-ID": "59"})
    assert events_of(both.text) == again  # the address is that of the first connection, the id has gone on since then
    for after in ("-2", "x", str(2**53)):
        problem(tracked.get("/events", params={"after": after}), 422)


def test_events_of_a_session_that_ends_before_its_first_fix(client: TestClient) -> None:
    key = begin(client, camera=CAMERA_JSON)["id"]
    client.post(f"/api/sessions/{key}/end")
    assert [event[:2] for event in ended(client, key)] == [("status", "-1")]
    assert client.get(f"/api/sessions/{key}/events", headers={"Last-Event-ID": "-1"}).status_code == 204


def test_a_change_during_a_replay_is_sent(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = service.session(begin(client, camera=CAMERA_JSON)["id"])
    warnings = iter([["one"]])

    def fixes(*_: object) -> list[str]:
        for changed in warnings:
            session.change(warnings=changed)
        return []

    monkeypatch.setattr(session, "fixes", fixes)

    async def two() -> list[bytes]:
        events = routes_module._events(service, session, -1)
        return [await asyncio.wait_for(anext(events), 10.0) for _ in range(2)]

    first, second = asyncio.run(two())
    assert b'"warnings":[]' in first
    assert b'"warnings":["one"]' in second


def test_fixes_by_parts(tracked: Tracked) -> None:
    fixes = tracked.fixes
    assert tracked.get("/fixes").json() == fixes
    assert tracked.get("/fixes", params={"after": 9, "limit": 2}).json() == fixes[10:12]
    assert tracked.get("/fixes", params={"after": 62}).json() == []
    assert tracked.get("/fixes", params={"after": 2**52}).json() == []
    for params in ({"after": -2}, {"limit": 0}, {"limit": 10**6}, {"after": "x"}, {"after": "1e400"}):
        problem(tracked.get("/fixes", params=params), 422)


def test_pictures_of_the_measured_moments(tracked: Tracked) -> None:
    moments = [wire.Moment.model_validate(each) for each in tracked.get("/moments").json()]
    assert len(moments) > 10
    assert all(moment.frame and moment.projection for moment in moments)
    whole = next(moment for moment in moments if moment.score and moment.belief)
    types = {
        "frame.jpg": "image/jpeg",
        "projection.jpg": "image/jpeg",
        "projection.webp": "image/webp",
        "score.png": "image/png",
        "belief.png": "image/png",
    }
    for name, media_type in types.items():
        response = tracked.get(f"/moments/{whole.moment}/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"] == media_type
        assert cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED) is not None
        if name == "frame.jpg":
            assert "x-corners" not in response.headers
        else:
            corners = json.loads(response.headers["x-corners"])
            assert np.array(corners).shape == (4, 2)
            assert corners[0][1] > corners[2][1]
            assert corners[0][0] < corners[2][0]
    without = next(moment for moment in moments if not moment.belief)
    problem(tracked.get(f"/moments/{without.moment}/belief.png"), 404)
    for number in (0, 1, 10**9):
        problem(tracked.get(f"/moments/{number}/frame.jpg"), 404)
    for text in ("-1", "x", str(2**60)):
        problem(tracked.get(f"/moments/{text}/frame.jpg"), 422)
    problem(tracked.get(f"/moments/{whole.moment}/session.json"), 404)


def test_truth_and_odometry(tracked: Tracked) -> None:
    truth = [wire.TruePlace.model_validate(place) for place in tracked.get("/truth").json()]
    assert len(truth) == len(DRIVE)
    places_m = FRAME.xy_world_m([(place.latitude_deg, place.longitude_deg) for place in truth])
    np.testing.assert_allclose(places_m, [at.xy_m for at in DRIVE], atol=1e-3)
    assert truth[5].heading_deg == pytest.approx((90 - np.degrees(DRIVE[5].yaw_rad)) % 360)
    odometry = tracked.get("/odometry").json()
    laid_m = FRAME.xy_world_m([(place["latitude_deg"], place["longitude_deg"]) for place in odometry])
    np.testing.assert_allclose(laid_m, [at.xy_m for at in DRIVE], atol=6.0)
    assert [place["time_s"] for place in odometry] == [place.time_s for place in truth]


def test_exports(tracked: Tracked) -> None:
    for ending in ("geojson", "gpx", "kml", "csv", "tum", "nmea", "json"):
        response = tracked.get(f"/export/{ending}")
        assert response.status_code == 200
        assert response.headers["content-disposition"] == f'attachment; filename="ring.{ending}"'
        if ending in ("gpx", "kml"):
            ElementTree.fromstring(response.text)
        if ending in ("geojson", "json"):
            assert response.json()
    assert len(tracked.get("/export/csv").text.splitlines()) == len(DRIVE) + 1
    problem(tracked.get("/export/docx"), 422)


def test_keys_that_no_encoding_has_are_refused(client: TestClient) -> None:
    body = b'{"camera": {"\\ud800": 1}}'
    told = problem(client.post("/api/sessions", content=body, headers={"Content-Type": "application/json"}), 422)
    assert (told["detail"], told["where"]) == ("unknown key ?", "camera")


def test_exports_with_dates(tracked: Tracked) -> None:
    dated = tracked.get("/export/nmea", params={"time_zero": "2024-05-01T01:00:00+02:00"}).text
    assert {line.split(",")[9] for line in dated.splitlines() if line.startswith("$GPRMC")} == {"300424"}
    for text in ("2024-05-01T12:00:00", "yesterday", "0001-01-01T00:00:00+02:00", "2024-05-01T01:00:00 02:00"):
        told = problem(tracked.get("/export/gpx", params={"time_zero": text}), 422)
        assert told["where"] == "time_zero"
        assert "2024-05-01T12:00:00Z" in told["remedy"]


def test_deleting(client: TestClient, tmp_path: Path) -> None:
    key = begin(client, camera=CAMERA_JSON)["id"]
    folder = tmp_path / "state" / "sessions" / key
    assert folder.is_dir()
    response = client.delete(f"/api/sessions/{key}")
    assert (response.status_code, response.content) == (204, b"")
    assert not folder.exists()
    assert client.get("/api/sessions").json() == []
    problem(client.delete(f"/api/sessions/{key}"), 404)


def test_a_session_that_is_deleted_while_it_runs(client: TestClient, tmp_path: Path) -> None:
    keys = [begin(client, drive="ring")["id"] for _ in range(2)]
    assert client.delete(f"/api/sessions/{keys[0]}").status_code == 204
    assert [path.name for path in (tmp_path / "state" / "sessions").iterdir()] == [keys[1]]
    assert ended(client, keys[1])[-1][2]["status"] == "ended"  # others go on


def test_two_sessions_take_turns(client: TestClient) -> None:
    keys = [begin(client, drive="ring", heading=heading)["id"] for heading in ("±5", "±10")]
    found = [ended(client, key) for key in keys]
    assert [events[-1][2]["status"] for events in found] == ["ended", "ended"]
    assert [events[-1][2]["fixes"] for events in found] == [len(DRIVE)] * 2


def test_frames_that_are_sent_give_the_drives_fixes(client: TestClient, tracked: Tracked) -> None:
    """The same as the same drive from the disk; the errors are not known, since no truth is sent."""
    expected = tracked.fixes
    session = begin(client, camera=CAMERA_JSON)
    assert (session["status"], session["source"]) == ("waiting", "api")
    key = session["id"]
    assert client.get(f"/api/sessions/{key}/fixes").json() == []
    problem(client.get(f"/api/sessions/{key}/export/csv"), 409)
    found = []
    for image, pose in sent(DRIVE):
        response = send(client, key, image, pose)
        assert response.status_code == 200, response.text
        found.append(response.json())
    for fix, other in zip(found, expected, strict=True):
        assert fix["error_m"] is None
        assert (fix["moment"], fix["state"]) == (other["moment"], other["state"])
        assert fix["confidence"] == pytest.approx(other["confidence"], abs=1e-4)
        if fix["latitude_deg"] is not None:
            place = FRAME.xy_world_m((fix["latitude_deg"], fix["longitude_deg"]))
            np.testing.assert_allclose(
                place, FRAME.xy_world_m((other["latitude_deg"], other["longitude_deg"])), atol=0.05
            )
    assert client.get(f"/api/sessions/{key}").json()["status"] == "running"
    assert client.get(f"/api/sessions/{key}/truth").json() == []
    assert client.get(f"/api/sessions/{key}/fixes").json() == found
    assert client.post(f"/api/sessions/{key}/end").json()["status"] == "ended"
    problem(send(client, key, None, {"time_s": 1e3, "x_m": 0, "y_m": 0, "yaw_rad": 0}), 409)
    problem(client.post(f"/api/sessions/{key}/end"), 409)
    assert [data for kind, _, data in ended(client, key) if kind == "fix"] == found


def test_a_measured_position_and_a_start(client: TestClient) -> None:
    place = {"latitude_deg": MIDDLE.latitude_deg, "longitude_deg": MIDDLE.longitude_deg, "sigma_m": 3.0}
    key = begin(client, camera=CAMERA_JSON, heading="unknown", start=place)["id"]
    assert problem(client.post(f"/api/sessions/{key}/positions", json=place), 409)["remedy"] == "send a frame first"
    first = send(client, key, None, {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}).json()
    east_m, north_m = FRAME.xy_world_m((first["latitude_deg"], first["longitude_deg"])).tolist()
    assert np.hypot(east_m, north_m) < 5.0
    fix = client.post(f"/api/sessions/{key}/positions", json=place | {"sigma_m": 1.0}).json()
    assert fix["moment"] == 0
    assert fix["confidence"] > first["confidence"]
    assert client.get(f"/api/sessions/{key}/fixes").json() == [first]
    for wrong in ({"sigma_m": 0.0}, {"latitude_deg": 91.0}, {"sigma_m": "x"}, {"more": 1}):
        problem(client.post(f"/api/sessions/{key}/positions", json=place | wrong), 422)


@pytest.mark.parametrize(
    ("pose", "status", "where"),
    [
        ("{", 422, "odometry"),
        ("[]", 422, "odometry"),
        ('{"time_s": 1}', 422, "odometry"),
        ('{"time_s": NaN, "x_m": 0, "y_m": 0, "yaw_rad": 0}', 422, "odometry"),
        ('{"time_s": 1, "x_m": 1e999, "y_m": 0, "yaw_rad": 0}', 422, "odometry"),
        ('{"time_s": 1, "x_m": Infinity, "y_m": 0, "yaw_rad": 0}', 422, "odometry"),
        ({"time_s": 1e12, "x_m": 0, "y_m": 0, "yaw_rad": 0}, 422, "odometry"),
        ({"time_s": 1, "x_m": 0, "y_m": 0, "yaw_rad": 0, "z_m": 0}, 422, "odometry"),
        ({"time_s": 5, "x_m": 0, "y_m": 0, "yaw_rad": 0}, 409, "odometry"),
        ({"time_s": 4.9, "x_m": 0, "y_m": 0, "yaw_rad": 0}, 409, "odometry"),
        ({"time_s": 5.1, "x_m": 21.0, "y_m": 0, "yaw_rad": 0}, 422, "odometry"),
    ],
)
def test_odometry_that_is_refused(client: TestClient, pose: object, status: int, where: str) -> None:
    key = begin(client, camera=CAMERA_JSON)["id"]
    assert send(client, key, None, {"time_s": 5.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}).status_code == 200
    found = problem(send(client, key, None, pose), status)
    assert where in found["where"]
    assert client.get(f"/api/sessions/{key}").json()["fixes"] == 1
    assert send(client, key, None, {"time_s": 5.2, "x_m": 1.0, "y_m": 0.0, "yaw_rad": 0.0}).status_code == 200


def bomb(side: int) -> bytes:
    """The header of a PNG that states a picture of this size."""
    head = bytearray(png(DRIVE[0]))
    head[16:24] = side.to_bytes(4, "big") * 2
    return bytes(head)


@pytest.mark.parametrize(
    ("image", "status", "says"),
    [
        (b"", 415, "neither PNG nor JPEG"),
        (b"GIF89a" + b"0" * 100, 415, "neither PNG nor JPEG"),
        (b"II*\0" + b"0" * 100, 415, "neither PNG nor JPEG"),
        (png(DRIVE[0])[:500], 422, "cut short"),
        (bomb(100_000), 413, "100000 x 100000"),
        (bomb(200), 422, "200 x 200"),
        (bytes(cv2.imencode(".png", np.zeros((32, 64, 3), np.uint8))[1]), 422, "64 x 32"),
    ],
)
def test_frames_that_are_refused(client: TestClient, image: bytes, status: int, says: str) -> None:
    key = begin(client, camera=CAMERA_JSON)["id"]
    pose = {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}
    assert says in problem(send(client, key, image, pose), status)["detail"]
    assert client.get(f"/api/sessions/{key}").json()["status"] == "waiting"
    assert send(client, key, png(DRIVE[0]), pose).status_code == 200


def test_a_camera_that_looks_up_ends_its_session(client: TestClient) -> None:
    key = begin(client, camera=CAMERA_JSON | {"roll_deg": 180})["id"]
    pose = {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}
    assert "upside down" in problem(send(client, key, png(DRIVE[0]), pose), 422)["detail"]
    assert client.get(f"/api/sessions/{key}").json()["error"]["status"] == 422


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({}, 422, "either a drive or a camera"),
        ({"drive": "ring", "camera": CAMERA_JSON}, 422, "either a drive or a camera"),
        ({"drive": "../ring"}, 404, "no drive of this name"),
        ({"drive": "/etc/passwd"}, 404, "no drive of this name"),
        ({"drive": "x" * 500}, 422, "200"),
        ({"drive": "ring", "heading": "north"}, 422, "a heading is unknown"),
        ({"drive": "ring", "heading": "±500"}, 422, "a heading is"),
        ({"drive": "ring", "more": 1}, 422, "Extra inputs"),
        ({"drive": 5}, 422, "string"),
        ({"camera": {}}, 422, "pixel_origin"),
        ({"camera": CAMERA_JSON | {"fx": "wide"}}, 422, "fx 'wide' is not a number"),
        ({"camera": CAMERA_JSON | {"fz": 1}}, 422, "unknown key fz"),
        ({"camera": CAMERA_JSON | {"width": 1e300}}, 422, ""),
        ({"camera": CAMERA_JSON | {"width": [1]}}, 422, "width"),
        ({"drive": "ring", "start": {"latitude_deg": 91, "longitude_deg": 0, "sigma_m": 1}}, 422, "90"),
    ],
)
def test_sessions_that_are_refused(client: TestClient, asked: Any, status: int, says: str) -> None:
    assert says in problem(client.post("/api/sessions", json=asked), status)["detail"]
    assert client.get("/api/sessions").json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"drive": NaN}', b"[" * 10_000])
def test_what_is_no_session_at_all(client: TestClient, body: bytes) -> None:
    response = client.post("/api/sessions", content=body, headers={"content-type": "application/json"})
    problem(response, response.status_code)
    assert response.status_code in (400, 422)


@pytest.mark.parametrize(
    "address",
    ["", "/fixes", "/events", "/moments", "/moments/0/frame.jpg", "/truth", "/odometry", "/export/csv"],
)
@pytest.mark.parametrize("key", [NOBODY, "..", "%2e%2e%2f", "x" * 200, "%00"])
def test_sessions_that_are_not_there(client: TestClient, key: str, address: str) -> None:
    response = client.get(f"/api/sessions/{key}{address}")
    problem(response, response.status_code)
    assert response.status_code in (404, 422)


def test_frames_to_the_wrong_session(tracked: Tracked) -> None:
    pose = {"time_s": 0.0, "x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0}
    problem(send(tracked.client, NOBODY, None, pose), 404)
    assert "takes no frames" in problem(send(tracked.client, tracked.key, None, pose), 409)["detail"]
    problem(tracked.client.post(f"/api/sessions/{tracked.key}/end"), 409)


def lossless(path: Path, drive: list[At] = DRIVE) -> bytes:
    """A video of a drive whose pixels are those of its pictures."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 128, 32, "bgr0"
        for at in drive:
            pixels = np.ascontiguousarray(picture(at).permute(1, 2, 0).numpy())
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def upload(client: TestClient, files: dict[str, bytes], **data: str) -> Any:
    parts = {name: (f"../../{name}", io.BytesIO(content)) for name, content in files.items()}
    return client.post("/api/sessions/upload", files=parts, data=data)


def table(*, file: bool) -> bytes:
    rows = ["file,time_s,x_m,y_m,yaw_deg" if file else "time_s,x_m,y_m,yaw_deg"]
    for i, (_, pose) in enumerate(sent(DRIVE)):
        name = f"{i:03d}.png," if file else ""
        rows.append(f"{name}{pose['time_s']},{pose['x_m']},{pose['y_m']},{np.degrees(pose['yaw_rad'])}")
    return "\n".join(rows).encode() + b"\n"


def zipped(names: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in names.items():
            file.writestr(name, data)
    return content.getvalue()


CAMERA = json.dumps(CAMERA_JSON).encode()


def test_an_upload_of_a_video(client: TestClient, tmp_path: Path) -> None:
    files = {"video": lossless(tmp_path / "v.mkv"), "camera": CAMERA, "odometry": table(file=False)}
    response = upload(client, files, heading="±5")
    assert response.status_code == 201, response.text
    session = response.json()
    assert (session["source"], session["name"], session["has_truth"]) == ("upload", "video", False)
    events = ended(client, session["id"])
    fixes = [data for kind, _, data in events if kind == "fix"]
    assert events[-1][2]["status"] == "ended"
    assert len(fixes) == len(DRIVE)
    assert fixes[-1]["state"] == "tracking"
    place = FRAME.xy_world_m((fixes[-1]["latitude_deg"], fixes[-1]["longitude_deg"]))
    np.testing.assert_allclose(place, DRIVE[-1].xy_m, atol=1.5)


def test_an_upload_whose_sender_has_gone_is_not_tracked(
    service: Service, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_disconnected(_: Request) -> bool:
        return True

    monkeypatch.setattr(Request, "is_disconnected", is_disconnected)
    before = {session.about.id for session in service.sessions()}
    files = {"video": lossless(tmp_path / "v.mkv"), "camera": CAMERA, "odometry": table(file=False)}
    upload(client, files, heading="±5")
    assert {session.about.id for session in service.sessions()} == before


def test_an_upload_that_begins_near_a_place(service: Service, client: TestClient, tmp_path: Path) -> None:
    files = {"video": lossless(tmp_path / "v.mkv", DRIVE[:5]), "camera": CAMERA, "odometry": table(file=False)}
    place = {"latitude_deg": MIDDLE.latitude_deg, "longitude_deg": MIDDLE.longitude_deg, "sigma_m": 30.0}
    session = upload(client, files, heading="±5", start=json.dumps(place)).json()
    assert service.session(session["id"]).about.start == wire.MeasuredPlace.model_validate(place)
    anywhere = upload(client, files, heading="±5").json()
    near, far = (
        next(data for kind, _, data in ended(client, each["id"]) if kind == "fix") for each in (session, anywhere)
    )
    found = FRAME.xy_world_m((near["latitude_deg"], near["longitude_deg"]))
    np.testing.assert_allclose(found, (0.0, 0.0), atol=5.0)
    assert far["latitude_deg"] is None
    files["video"] = b"must not be read"
    for start, says in [
        ("{", "Invalid JSON"),
        ('{"latitude_deg": 91, "longitude_deg": 8, "sigma_m": 5}', "latitude_deg"),
        ('{"latitude_deg": 49, "longitude_deg": 8}', "sigma_m: Field required"),
        ('{"latitude_deg": 49, "longitude_deg": 8, "sigma_m": 0}', "sigma_m"),
    ]:
        found = problem(upload(client, files, start=start), 422)
        assert says in found["detail"]
        assert found["where"] == "start"
        assert found["remedy"] == "send {latitude_deg, longitude_deg, sigma_m} with finite numbers"
    assert len(client.get("/api/sessions").json()) == 2


def test_an_upload_of_pictures(client: TestClient) -> None:
    pictures = {f"somewhere/{i:03d}.png": png(at) for i, at in enumerate(DRIVE)}
    files = {"video": zipped(pictures | {"notes.txt": b"x"}), "camera": CAMERA, "odometry": table(file=True)}
    session = upload(client, files).json()
    assert session["moments_total"] == len(DRIVE)
    assert ended(client, session["id"])[-1][2]["status"] == "ended"
    assert client.get(f"/api/sessions/{session['id']}").json()["fixes"] == len(DRIVE)


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"video": b"no video at all" * 100}, 422, ""),
        ({"video": b""}, 422, ""),
        ({"video": zipped({"../../a.png": b"x"})}, 422, "leaves its folder"),
        ({"video": zipped({"/etc/a.png": b"x"})}, 422, "leaves its folder"),
        ({"video": zipped({"a.txt": b"x"})}, 422, "has no"),
        ({"video": zipped({"a.png": b"%00" * 3_000_000})}, 422, "and 0.0 GB are the most"),
        ({"video": zipped({"a.png": b"x"})[:-30]}, 422, "no whole ZIP"),
        ({"video": zipped({f"{i}.png": b"x" for i in range(25_000)})}, 422, "members"),
        ({"camera": b"{"}, 422, "is no JSON"),
        ({"camera": b"[]"}, 422, "no JSON object"),
        ({"camera": b'{"width": 1}'}, 422, "pixel_origin"),
        ({"camera": b"x" * 100_000}, 422, "are the most"),
        ({"odometry": b""}, 422, ""),
        ({"odometry": b"time_s,x_m,y_m,yaw_deg\n0,0,0,zero\n"}, 422, "'zero' is not a number"),
        ({"odometry": b"time_s,x_m,y_m,yaw_deg\n5,0,0,0\n4,1,0,0\n"}, 422, "does not rise"),
        ({"odometry": b"time_s,x_m,y_m,yaw_deg\n500,0,0,0\n501,1,0,0\n"}, 422, "times go from"),
        ({"odometry": b"\xff\xfe\0"}, 422, ""),
        ({"odometry": b"0 0 0\n"}, 422, "3 values"),
    ],
)
def test_uploads_that_are_refused(
    served: Any, drives: Any, tmp_path: Path, changes: dict[str, bytes], status: int, says: str
) -> None:
    service = Service(served, drives, tmp_path / "state", Limits(unpacked_bytes=2_000_000))
    client = client_of(service)
    files = {"video": lossless(tmp_path / "v.mkv"), "camera": CAMERA, "odometry": table(file=False)} | changes
    found = problem(upload(client, files), status)
    assert says in found["detail"]
    assert str(tmp_path) not in json.dumps(found)
    assert client.get("/api/sessions").json() == []
    assert list((tmp_path / "state" / "sessions").iterdir()) == []
    service.close()


def test_uploads_without_all_of_their_parts(client: TestClient) -> None:
    problem(upload(client, {"video": b"x", "camera": CAMERA}), 422)
    problem(upload(client, {"video": b"x", "camera": CAMERA, "odometry": table(file=False)}, heading="x" * 99), 422)
    problem(client.post("/api/sessions/upload", content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    assert client.get("/api/sessions").json() == []


def test_a_video_that_is_damaged_further_on_ends_with_what_was_tracked(client: TestClient, tmp_path: Path) -> None:
    whole = lossless(tmp_path / "v.mkv")
    session = upload(client, {"video": whole[: len(whole) // 2], "camera": CAMERA, "odometry": table(file=False)})
    assert session.status_code == 201, session.text
    events = ended(client, session.json()["id"])
    assert events[-1][2]["status"] == "ended"
    assert 10 < events[-1][2]["fixes"] < len(DRIVE)


def test_health_and_the_page(client: TestClient) -> None:
    health = wire.Health.model_validate(client.get("/api/health").json())
    assert (health.status, health.sessions, health.tracked) == ("ok", 0, 0)
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    problem(client.get("/../pyproject.toml"), 404)
    problem(client.get("/%2e%2e/%2e%2e/cli/serve.py"), 404)
    problem(client.get("/api/nothing"), 404)
    problem(client.put("/api/map"), 405)


def test_the_description_refers_to_what_is_there(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    text = json.dumps(described)
    names = set(described["components"]["schemas"])
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= names
    assert {"Fix", "Session", "Problem", "MapInfo"} <= names
    assert "/api/sessions/{key}/frames" in described["paths"]


def test_ground_is_what_the_map_was_made_of() -> None:
    """The helpers of these tests agree with each other."""
    assert ground().shape == (400, 400)
    assert len(sent(circle(10.0))) == len(circle(10.0))
