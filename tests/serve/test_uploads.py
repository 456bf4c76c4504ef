"""Uploads: what their sessions are called."""

from __future__ import annotations

import pytest

from cvlnet.serve.uploads import upload_name


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("monday.mp4", "monday"),
        ("C:\\Videos\\way home.zip", "way home"),
        ("../../etc/passwd", "passwd"),
        ("a\x1b[31m\n.mkv", "a[31m"),
        ("x" * 300 + ".mkv", "x" * 80),
        ("", "upload"),
        ("\x00.mp4", "upload"),
        ("Straße.mp4", "Straße"),
    ],
)
def test_a_session_is_called_as_its_file(file_name: str, name: str) -> None:
    assert upload_name(file_name) == name
