"""The Dockerfile copies what exists and is not ignored, installs extras that exist, and does not run as root."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """Every instruction with its arguments, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(words[0], " ".join(words[1:])) for line in text.splitlines() if (words := line.split())]


def given(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for step, arguments in steps if step == name]


def copied(steps: list[tuple[str, str]]) -> list[str]:
    return [path for arguments in given(steps, "COPY") for path in arguments.split()[:-1]]


def test_what_is_copied_exists_and_is_not_ignored(steps: list[tuple[str, str]]) -> None:
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in sent
    assert copied(steps)
    assert {f"!{path}" for path in copied(steps)} == {line for line in sent if line.startswith("!")}
    assert all((ROOT / path).exists() for path in copied(steps))


def test_all_that_the_build_of_the_package_reads_is_copied(steps: list[tuple[str, str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [package] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {project["project"]["readme"], *project["project"]["license-files"], package.split("/")[0]}
    assert needed | {"pyproject.toml", "constraints.txt"} == set(copied(steps))


def test_the_extras_exist(steps: list[tuple[str, str]]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [names] = [value.removeprefix("EXTRAS=") for value in given(steps, "ARG") if value.startswith("EXTRAS=")]
    assert set(names.split(",")) <= set(extras)
    assert '-c constraints.txt ".[${EXTRAS}]"' in " ".join(given(steps, "RUN"))


def test_it_runs_the_command_as_a_user_without_root_rights(steps: list[tuple[str, str]]) -> None:
    assert given(steps, "ENTRYPOINT") == ['["cvlnet"]']
    [user] = given(steps, "USER")
    made = f"RUN useradd --create-home {user} && install --directory --owner {user} {given(steps, 'WORKDIR')[-1]}"
    assert made in [" ".join(step) for step in steps]  # Docker's own folders are root's
    names = [name for name, _ in steps]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")


def test_no_host_is_named() -> None:
    assert "://" not in (ROOT / "Dockerfile").read_text()
