"""`cvlnet serve`: what it prints, what it refuses, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cvlnet.cli import run
from cvlnet.client import Client, Moment
from cvlnet.localize.localizer import Localizer
from cvlnet.map.build import build_map
from cvlnet.serve import listen as listen_module
from driving import CAMERA_JSON, Seeing, circle, ground, model, write_video


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("town")
    build_map(model(), ground(), root / "city.map")
    write_video(root / "ring", circle(10.0))
    return root


@pytest.fixture(autouse=True)
def _seeing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.localize.Localizer", Seeing)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be served, and where."""
    found: list[Any] = []
    monkeypatch.setattr(listen_module.uvicorn.Server, "run", lambda server, sockets: found.append((server, sockets)))
    return found


def test_it_says_where_it_is(town: Path, served: list[Any], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert (
        run(["serve", str(town / "city.map"), "--folder", str(town / "ring"), "--port", "0", "--state", str(state)])
        == 0
    )
    (server, (listener,)) = served[0]
    said = capsys.readouterr().out
    assert said.startswith("city.map at http://127.0.0.1:")
    assert "token" not in said
    assert server.config.access_log is False
    assert listener.fileno() == -1  # closed again
    assert (state / "sessions").is_dir()


def test_other_machines_get_a_token(town: Path, served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(town / "city.map"), "--host", "0.0.0.0", "--port", "0"]) == 0
    token = capsys.readouterr().out.split("?token=")[1].split()[0]
    assert len(token) >= 32
    assert run(["serve", str(town / "city.map"), "--host", "0.0.0.0", "--port", "0", "--token", "mine"]) == 0
    assert "?token=mine " in capsys.readouterr().out


def test_the_browser_opens(town: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(["serve", str(town / "city.map"), "--port", "0", "--open"]) == 0
    assert opened[0].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--imagery", "missing.tif"], "missing.tif: cannot be read"),
        (["--folder", "nowhere"], "nowhere: the folder does not exist"),
        (["--drive", "nowhere"], "nowhere"),
        (["--host", "256.0.0.1"], "cannot be listened on"),
        (["--most-sessions", "0"], "1"),
    ],
)
def test_what_is_refused(
    town: Path, served: list[Any], capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["serve", str(town / "city.map"), "--port", "0", *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert served == []


def test_a_missing_map_and_a_missing_extra(
    town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["serve", str(tmp_path)]) == 2
    assert "there is no map; make one by cvlnet map build" in capsys.readouterr().err
    monkeypatch.setattr("cvlnet.cli.serve.find_spec", lambda name: None)
    assert run(["serve", str(town / "city.map")]) == 2
    assert "install the extra: pip install 'cvlnet[serve]'" in capsys.readouterr().err


def test_a_port_that_is_taken(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run(["serve", str(town / "city.map"), "--port", str(port)]) == 2
    assert run(["serve", str(town / "city.map"), "--port", "99999"]) == 2
    assert "give another --port or --host" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_at_once_and_leaves_nothing(weights: Path, tmp_path: Path, ending: signal.Signals) -> None:
    """Even while somebody listens to a session's events."""
    localizer = Localizer(weights)
    build_map(localizer.model, ground(), tmp_path / "city.map")
    (tmp_path / "temporary").mkdir()
    options = [str(tmp_path / "city.map"), "--port", "0", "--weights", str(weights)]
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-m", "cvlnet", "serve", *options], **pipes) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" at ")[1].split()[0]
        assert list((tmp_path / "temporary").glob("cvlnet-*"))
        with Client(address) as client:
            session = client.begin(CAMERA_JSON)
            listener = threading.Thread(target=lambda: list(client.follow(session.key)))
            listener.start()
            session.update(Moment(0.0, 0.0, 0.0, 0.0))
            process.send_signal(ending)
            _, errors = process.communicate(timeout=30)
            listener.join()
    assert process.returncode == (130 if ending == signal.SIGINT else 0)
    assert errors.splitlines() == (["cvlnet: interrupted; no file was left incomplete"] if process.returncode else [])
    assert list((tmp_path / "temporary").glob("cvlnet-*")) == []
