"""The wheel: it holds the whole package and nothing else, and works where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from cvlnet import __version__

ROOT = Path(__file__).parents[1]
MADE_HERE = ("__pycache__", ".nbi", ".nbc")  # what Python and Numba write beside the sources


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling, of the extra dev")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [path] = folder.iterdir()
    return path


def sources() -> set[str]:
    files = (path for path in (ROOT / "src" / "cvlnet").rglob("*") if path.is_file())
    names = (path.relative_to(ROOT / "src").as_posix() for path in files)
    return {name for name in names if not any(made in name for made in MADE_HERE)}


def test_it_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    assert wheel.name == f"cvlnet-{__version__}-py3-none-any.whl"
    packed = {name for name in ZipFile(wheel).namelist() if not name.startswith(f"cvlnet-{__version__}.dist-info/")}
    assert packed == sources()
    for needed in (
        "py.typed",
        "evaluation/report/page.html",
        "serve/page_files/index.html",
        "weights/cvlnet-lite0.safetensors",
    ):
        assert f"cvlnet/{needed}" in packed


def test_only_the_weights_and_the_libraries_of_the_page_are_large(wheel: Path) -> None:
    sizes = {entry.filename: entry.file_size for entry in ZipFile(wheel).infolist()}
    large = {name for name, size in sizes.items() if size > 1_000_000}
    weights = {name for name in large if name.startswith("cvlnet/weights/") and name.endswith(".safetensors")}
    assert weights
    assert large - weights == {"cvlnet/serve/page_files/vendor.js"}
    assert wheel.stat().st_size < 15_000_000


@pytest.mark.slow
def test_it_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """In another folder, with nothing of the sources on Python's path."""
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str) -> str:
        path = os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(command, cwd=elsewhere, env=path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed), str(wheel))
    assert run("-m", "cvlnet", "--version") == __version__
    code = "import cvlnet; print(cvlnet.__file__, type(cvlnet.Localizer().model).__name__)"
    assert run("-c", code).split() == [str(installed / "cvlnet" / "__init__.py"), "CVLNet"]


def test_the_citation_and_the_changelog_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    titles = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    [newest, *_] = [title for title in titles if title != "## Unreleased"]
    assert newest == f"## {__version__} ({citation['date-released']})"
