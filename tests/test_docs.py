"""The documentation is complete: it builds without a warning, and no page loads anything from another host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"""(?:<script[^>]*\ssrc|<link[^>]*stylesheet[^>]*\shref|<img[^>]*\ssrc)=["']?(https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_guide_and_result_is_a_page_that_the_navigation_leads_to(site: Path) -> None:
    home = (site / "index.html").read_text()
    for source in sorted((ROOT / "docs").rglob("*.md")):
        page = source.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README.html", "index.html")
        assert (site / page).is_file()
        assert f'href="{page}"' in home, page


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not LOADED.search(page.read_text()), page


def test_the_reference_has_the_tracker_with_its_arguments(site: Path) -> None:
    page = (site / "api.html").read_text()
    assert 'id="cvlnet.track.tracker.Tracker.update"' in page
    assert 'id="cvlnet.localize.localizer.Localizer.locate"' in page


def links(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in link]


def test_links_of_pages_outside_the_site_lead_to_files() -> None:
    pages = [*ROOT.glob("*.md"), ROOT / "examples" / "README.md"]
    found = [(page, link) for page in pages for link in links(page.read_text())]
    assert len(found) > 20
    assert [(page.name, link) for page, link in found if not (page.parent / link).exists()] == []
