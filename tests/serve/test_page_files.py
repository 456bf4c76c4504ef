"""The built page: what is committed is what its sources give, and it names no other host."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cvlnet.serve.app import PAGE

SOURCES = Path(__file__).parents[2] / "page"


def test_the_page_refers_to_its_own_files_only():
    index = (PAGE / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"]+)"', index)
    assert {Path(name).name for name in named} == {"icon.svg", "page.js", "vendor.js", "vendor.css", "index.css"}
    assert all((PAGE / name).is_file() for name in named)
    for style in PAGE.glob("*.css"):
        assert not re.search(r"url\((?!['\"]?data:)|@import", style.read_text())


def test_its_own_code_is_small_and_there_are_no_source_maps():
    assert (PAGE / "page.js").stat().st_size < 100_000
    assert not list(PAGE.rglob("*.map"))


def test_the_licences_of_what_it_contains_are_there():
    licences = (PAGE / "licenses.md").read_text()
    for package in json.loads((SOURCES / "package.json").read_text())["dependencies"]:
        assert f"## {package} - " in licences


def test_the_lock_names_no_registry():
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


@pytest.mark.skipif(
    shutil.which("npx") is None or not (SOURCES / "node_modules").is_dir(), reason="needs Node, and npm ci in page/"
)
def test_what_is_committed_is_what_the_sources_give(tmp_path):
    build = ["npx", "vite", "build", "--outDir", str(tmp_path), "--logLevel", "error"]
    subprocess.run(build, cwd=SOURCES, check=True, timeout=120)
    built, committed = (
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path, PAGE)
    )
    assert built.keys() == committed.keys()
    assert [name for name in built if built[name] != committed[name]] == []
