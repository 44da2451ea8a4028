"""The parts of a report as frozen data, and the HTML page that shows them."""

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

from cnnsearch.results.report.payload import Payload, to_json


class Chart(NamedTuple):
    """A chart that `report.js` draws: its kind there, its description for people who cannot see it, and its caption."""

    kind: str
    alt: str
    caption: str = ""


class Picture(NamedTuple):
    """A picture as a data address, its description for people who cannot see it, and its caption."""

    address: str
    alt: str
    caption: str


WIDE = 8
"""A table with more columns than this has no room for long texts."""

LONG = 40
"""A cell with more characters than this is a long text."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header. `heat` gives each cell of a matrix the strength of its colour, 0 to 1."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: bool = False
    heat: tuple[tuple[float, ...], ...] = ()

    @property
    def below(self) -> bool:
        """Whether the last column is shown on its own line below each row, because the table is too wide."""
        return not self.folded and len(self.header) > WIDE and any(len(row[-1]) > LONG for row in self.rows)

    def right(self, column: int) -> bool:
        """Whether a column holds numbers, which are aligned to the right."""
        cells = [row[column] for row in self.rows if row[column]]
        return bool(cells) and all(cell[0].isdigit() or cell[0] in "-+±<" for cell in cells)


class Command(NamedTuple):
    """A command and its purpose."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Section:
    """A section of the page: paragraphs, charts, small images, tables and commands, in this order.

    `widget` is a part that `report.js` makes, `leaderboard` or `mistakes`; it is empty where scripts do not run.
    """

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    images: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[Command, ...] = ()
    widget: str = ""


class Tile(NamedTuple):
    """A figure at the top of the page: its value, what it is, and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class StudyPage:
    """The report of one study: its top, its sections, and the data of its charts."""

    name: str
    kicker: str
    headline: str
    tiles: tuple[Tile, ...]
    points: tuple[tuple[str, str], ...]
    next: tuple[Command, ...]
    sections: tuple[Section, ...]
    payload: Payload


@dataclass(frozen=True)
class Page:
    """A whole report of one study, or of several side by side.

    Attributes:
        title: the title of the window.
        headline: the heading above several studies.
        studies: the report of each study.
        footer: a note at the end.
        live: whether a server updates the page.
    """

    title: str
    headline: str
    studies: tuple[StudyPage, ...]
    footer: str
    live: bool = False

    @property
    def sections(self) -> tuple[tuple[Section, ...], ...]:
        """Each section of all studies, beside each other."""
        return tuple(zip(*(study.sections for study in self.studies), strict=True))


SCRIPTS = ("vendor/echarts.min.js", "chart_base.js", "chart_options.js", "report.js")
"""The scripts of the page, in their order."""


def html(page: Page) -> str:
    """The page as one HTML file that loads nothing from a network."""
    loader = PackageLoader("cnnsearch.results", "report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["whole_options"] = whole_options
    folder = resources.files("cnnsearch.results.report")
    scripts = [(folder / name).read_text("utf-8") for name in SCRIPTS]
    return environment.get_template("report.html").render(
        page=page,
        style=Markup((folder / "report.css").read_text("utf-8")),
        scripts=[Markup(script) for script in scripts],
        data=Markup(to_json([study.payload for study in page.studies])),
        policy=_policy(scripts, page.live),
    )


def whole_options(text: str) -> Markup:
    """The text as HTML in which no line ends within an option such as `--by`."""
    return Markup(re.sub(r"(?<!\S)--[\w-]+", r'<span class="option">\g<0></span>', str(escape(text))))


def _policy(scripts: Sequence[str], live: bool) -> str:
    """The content security policy: no script runs but these, and nothing is loaded but from the page's own server."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    own = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; connect-src {own}; "
        "base-uri 'none'; form-action 'none'"
    )


def image(pixels: NDArray[np.uint8], alt: str, caption: str = "", most: int = 128) -> Picture:
    """An 8-bit image (height, width, channels) as a picture of the page, at most `most` pixels wide and high."""
    buffer = io.BytesIO()
    # Pillow has no images with 1 channel in a last axis, with 2, or with more than 4
    found = Image.fromarray(pixels[..., 0] if pixels.shape[-1] not in (3, 4) else pixels)
    found.thumbnail((most, most))
    found.save(buffer, "png")
    return Picture(_address(buffer.getvalue(), "png"), alt, caption)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", folded: bool = False) -> Table:
    """A table without empty columns."""
    used = [place for place in range(len(header)) if any(row[place] not in (None, "") for row in rows)]
    cells = tuple(tuple("" if row[place] is None else str(row[place]) for place in used) for row in rows)
    return Table(tuple(header[place] for place in used), cells, caption, folded)


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
