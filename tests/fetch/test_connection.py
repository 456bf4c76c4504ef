import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.fetch.connection import Connection, NotThereError, StoppedError
from map_servers import MapServer, body, cut, endless, file, files_below, first, status

CONTENT = bytes(range(256)) * 4000
WHOLE_CHUNKS = 7 * 65536  # of the first 500,000 bytes


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connection(waits: list[float]) -> Connection:
    return Connection(("127.0.0.1",), secure=False, most_bytes=10**8, wait=waits.append)


def test_a_file_arrives_whole(server: MapServer, connection: Connection, tmp_path: Path) -> None:
    server.answers["/a"] = file(CONTENT)
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert files_below(tmp_path) == {"a"}
    assert connection.received_bytes == len(CONTENT)


def test_a_broken_connection_is_resumed_where_it_broke(
    server: MapServer, connection: Connection, waits: list[float], tmp_path: Path
) -> None:
    server.answers["/a"] = first(cut(CONTENT, 500_000), file(CONTENT))
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked[1][1]["Range"] == f"bytes={WHOLE_CHUNKS}-"
    assert server.asked[1][1]["If-Range"] == '"1"'
    assert connection.received_bytes == len(CONTENT)
    assert waits == [1.0]


def test_a_later_call_resumes(server: MapServer, connection: Connection, tmp_path: Path) -> None:
    server.answers["/a"] = cut(CONTENT, 500_000)
    with pytest.raises(StoppedError, match=r"after 1 attempts .*run the command again"):
        Connection(("127.0.0.1",), False, 10**8, attempts=1).download(f"{server.address}/a", tmp_path / "a", 10**7)
    server.answers["/a"] = file(CONTENT)
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert connection.received_bytes == len(CONTENT) - WHOLE_CHUNKS


@pytest.mark.parametrize("has", ["another version", "another address", "no version"])
def test_what_may_be_of_another_file_is_not_continued(
    server: MapServer, connection: Connection, tmp_path: Path, has: str
) -> None:
    old = bytes(200_000)
    etag = 'W/"weak"' if has == "no version" else '"0"' if has == "another version" else '"1"'
    server.answers["/b" if has == "another address" else "/a"] = cut(old, 70_000, etag)
    with pytest.raises(StoppedError):
        Connection(("127.0.0.1",), False, 10**8, attempts=1).download(
            f"{server.address}/{'b' if has == 'another address' else 'a'}", tmp_path / "a", 10**7
        )
    assert (tmp_path / "a.part").stat().st_size == 65536
    server.answers["/a"] = file(CONTENT, etag if has == "no version" else '"1"')
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_anew(server: MapServer, connection: Connection, tmp_path: Path) -> None:
    server.answers["/a"] = first(cut(CONTENT, 500_000), body(CONTENT, ETag='"1"'))
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert "Range" in server.asked[1][1]
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_that_resumes_elsewhere_is_not_believed(
    server: MapServer, connection: Connection, tmp_path: Path
) -> None:
    def elsewhere(handler, query):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.send_header("Content-Length", str(len(CONTENT) - 7))
        handler.end_headers()
        handler.wfile.write(CONTENT[7:])

    server.answers["/a"] = first(cut(CONTENT, 500_000), elsewhere, file(CONTENT))
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_that_resumes_in_parts_is_asked_again(
    server: MapServer, connection: Connection, tmp_path: Path
) -> None:
    def part(handler, query):
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{start + 99}/{len(CONTENT)}")
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(CONTENT[start : start + 100])

    server.answers["/a"] = first(cut(CONTENT, 500_000), part, part, file(CONTENT))
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked[3][1]["Range"] == f"bytes={WHOLE_CHUNKS + 200}-"


def test_what_is_resumed_counts_for_the_bound_of_the_file(
    server: MapServer, connection: Connection, tmp_path: Path
) -> None:
    server.answers["/a"] = cut(CONTENT[:600_000], 500_000)
    with pytest.raises(StoppedError):
        connection.download(f"{server.address}/a", tmp_path / "a", 700_000)
    server.answers["/a"] = file(CONTENT)
    with pytest.raises(InputError, match="is larger than"):
        connection.download(f"{server.address}/a", tmp_path / "a", 700_000)


def test_a_file_that_was_whole_before_its_last_step_is_not_read_again(
    server: MapServer, connection: Connection, tmp_path: Path
) -> None:
    server.answers["/a"] = first(cut(CONTENT, 500_000), status(404), file(CONTENT))
    with pytest.raises(NotThereError):
        connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    (tmp_path / "a.part").write_bytes(CONTENT)
    connection.received_bytes = 0
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert connection.received_bytes == 0


@pytest.mark.parametrize("code", [206, 416])
def test_a_range_that_was_not_asked_for(server: MapServer, connection: Connection, tmp_path: Path, code: int) -> None:
    server.answers["/a"] = first(status(code, Content_Range="bytes */0"), file(CONTENT))
    connection.download(f"{server.address}/a", tmp_path / "a", 10**7)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_errors_of_the_server_are_waited_for(server: MapServer, connection: Connection, waits: list[float]) -> None:
    server.answers["/a"] = first(status(503), status(500), status(429, Retry_After="17"), body(b"here"))
    assert connection.read(f"{server.address}/a", 100) == b"here"
    assert waits == [1.0, 2.0, 17.0]


def test_waiting_has_an_end(server: MapServer, connection: Connection, waits: list[float]) -> None:
    server.answers["/a"] = status(503, Retry_After="999999")
    with pytest.raises(StoppedError, match=r"/a: cannot be reached, after 5 attempts \(status 503\)"):
        connection.read(f"{server.address}/a", 100)
    assert waits == [60.0] * 4


def test_a_server_that_is_not_there(connection: Connection, waits: list[float]) -> None:
    with pytest.raises(StoppedError, match=r"after 5 attempts \(no connection\)"):
        connection.read("http://127.0.0.1:1/a", 100)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_does_not_answer(server: MapServer, connection: Connection, waits: list[float]) -> None:
    import threading

    done = threading.Event()
    server.answers["/a"] = lambda handler, query: done.wait(10)
    connection.timeout_s, connection.attempts = 0.05, 2
    with pytest.raises(StoppedError, match=r"after 2 attempts \((no answer in time|no connection)\)"):
        connection.read(f"{server.address}/a", 100)
    done.set()


@pytest.mark.parametrize("code", [404, 410])
def test_nothing_there(server: MapServer, connection: Connection, code: int) -> None:
    server.answers["/a"] = status(code)
    with pytest.raises(NotThereError):
        connection.read(f"{server.address}/a", 100)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (status(403), "answers with status 403"),
        (body(b"<html>", "text/html; charset=utf-8"), "answers with a web page instead of data"),
        (body(b"x" * 101), "is larger than"),
        (endless, "is larger than"),
        (body(b"x", Content_Encoding="gzip"), "sends compressed data"),
        (status(302, Location="file:///etc/passwd"), "leads to file:///etc/passwd, which is another server"),
        (status(302, Location="http://localhost:9/a"), "leads to http://localhost:9/a, which is another server"),
        (status(302, Location="//example.org/a"), "leads to http://example.org/a, which is another server"),
        (status(302, Location="ftp://127.0.0.1/a"), "leads to ftp://127.0.0.1/a, which is another server"),
        (status(302, Location="/a"), "redirects without end"),
        (status(302), "redirects without end"),
    ],
)
def test_what_is_refused(
    server: MapServer, connection: Connection, waits: list[float], answer: object, what: str, tmp_path: Path
) -> None:
    server.answers["/a"] = answer
    with pytest.raises(InputError, match=what):
        connection.read(f"{server.address}/a", 100)
    with pytest.raises(InputError, match=what):
        connection.download(f"{server.address}/a", tmp_path / "a", 100)
    assert waits == []
    assert not (tmp_path / "a").exists()
    assert files_below(tmp_path) == set()


def test_a_redirection_on_the_same_server_is_followed(server: MapServer, connection: Connection) -> None:
    server.answers |= {"/a": status(301, Location="/b/c"), "/b/c": status(307, Location="d"), "/b/d": body(b"here")}
    assert connection.read(f"{server.address}/a", 100) == b"here"


@pytest.mark.parametrize("address", ["http://127.0.0.1/a", "https://example.org/a", "file:///etc/passwd", "a", ""])
def test_other_servers_and_unprotected_ones_are_not_asked(address: str) -> None:
    connection = Connection(("127.0.0.1",), secure=True, most_bytes=100)
    with pytest.raises(InputError, match="is not on a server of this source"):
        connection.read(address, 100)


def test_what_says_that_it_is_too_large_is_not_read(server: MapServer, tmp_path: Path) -> None:
    connection = Connection(("127.0.0.1",), secure=False, most_bytes=10**5)
    server.answers["/a"] = file(CONTENT)
    with pytest.raises(InputError, match="/a: is larger than"):
        connection.read(f"{server.address}/a", 10**4)
    with pytest.raises(StoppedError, match="/a: needs more than"):
        connection.read(f"{server.address}/a", 10**9)
    assert connection.received_bytes == 0


@pytest.mark.parametrize("answer", [file(CONTENT), endless])
def test_all_answers_together_are_bounded(server: MapServer, tmp_path: Path, answer: object) -> None:
    server.answers |= {"/a": body(b"x" * 900_000), "/b": answer}
    connection = Connection(("127.0.0.1",), secure=False, most_bytes=10**6)
    connection.read(f"{server.address}/a", 10**6)
    with pytest.raises(StoppedError, match=r"/b: needs more than the 0.001 GB .* raise --max-gb"):
        connection.download(f"{server.address}/b", tmp_path / "b", 10**9)


def test_a_full_disk_is_noticed_before(
    server: MapServer, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    server.answers["/a"] = file(CONTENT)
    with pytest.raises(StoppedError, match=r"has 0\.0 GB of free space"):
        connection.download(f"{server.address}/a", tmp_path / "a", 10**7)


def test_what_arrives_is_counted(server: MapServer, connection: Connection) -> None:
    arrived: list[int] = []
    connection.arrived = arrived.append
    server.answers["/a"] = file(CONTENT)
    connection.read(f"{server.address}/a", 10**7)
    assert sum(arrived) == len(CONTENT)
