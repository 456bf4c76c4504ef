"""The report as one HTML page; pictures lie beside it, and it asks nothing of any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from cvlnet.evaluation.report.maps import FixMap
from cvlnet.evaluation.report.tables import Table
from cvlnet.evaluation.report.theme import DAY, ERROR_CLASSES, NIGHT, THEMES, Theme, save_png
from cvlnet.io.files import written_whole


@dataclass(frozen=True)
class Stat:
    """One number of the headline."""

    value: str
    label: str
    note: str


@dataclass(frozen=True)
class Picture:
    """A plot or sheet that was drawn by day and by night: files ``<path>-day.png`` and ``<path>-night.png``.

    alt: what it shows, for those who cannot see it.
    """

    path: str
    alt: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """Sheets of cases under a title."""

    title: str
    text: str
    sheets: tuple[Picture, ...]


@dataclass(frozen=True)
class Page:
    """Everything that the page shows, in its order."""

    title: str
    lead: str
    stats: tuple[Stat, ...]
    maps: tuple[FixMap, ...]
    plots: tuple[Picture, ...]
    sections: tuple[Section, ...]
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]


def draw(out: Path, picture: Picture, figure: Callable[[Theme], Figure]) -> Picture:
    """Draw a picture in every theme into the report's folder; returns the picture."""
    for theme in THEMES:
        save_png(figure(theme), out / f"{picture.path}-{theme.name}.png")
    return picture


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("cvlnet.evaluation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
    )
    html = environment.get_template("page.html").render(
        page=page, day=DAY, night=NIGHT, groups=ERROR_CLASSES, picture=_picture
    )
    with written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _picture(picture: Picture) -> Markup:
    """A figure that follows the reader's choice of light or dark."""
    return Markup(
        '<figure class="card{wide}"><a href="{path}-day.png"><picture>'
        '<source srcset="{path}-night.png" media="(prefers-color-scheme: dark)">'
        '<img src="{path}-day.png" alt="{alt}" loading="lazy"></picture></a>'
        "{caption}</figure>"
    ).format(
        path=picture.path,
        alt=picture.alt,
        wide=" wide" if picture.wide else "",
        caption=Markup("<figcaption>{}</figcaption>").format(picture.caption) if picture.caption else "",
    )
