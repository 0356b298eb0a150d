"""One HTML page that needs nothing else: contents as plain data, looks in the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined

from fibseg.pictures import OKABE_ITO, Color
from fibseg.report.views import View


@dataclass(frozen=True)
class Fact:
    """A number worth reading first, with what it is and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one comparison.

    Parameters
    ----------
    rows
        Words, value in words, and share of a full bar (None for no bar).
    """

    title: str
    subtitle: str
    rows: tuple[tuple[str, str, float | None], ...]
    figure: str | None = None
    views: tuple[View, ...] = ()


@dataclass(frozen=True)
class ObjectSection:
    """One kind of object: facts, histogram, the largest objects.

    Parameters
    ----------
    color
        Of the kind; None where every object has its own.
    """

    name: str
    color: Color | None
    facts: tuple[Fact, ...]
    histogram: str | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class RunRow:
    """One run of a verb, for the history at the end."""

    verb: str
    started: str
    duration: str
    status: str
    command: str
    settings: str
    versions: str


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    name: str
    subtitle: str
    facts: tuple[Fact, ...]
    headline: tuple[Fact, ...] = ()
    views: tuple[View, ...] = ()
    objects: tuple[ObjectSection, ...] = ()
    scores: tuple[ScoreTable, ...] = ()
    methods: tuple[str, ...] = ()
    runs: tuple[RunRow, ...] = ()
    made_with: str = ""
    pictures_note: str = ""
    legend: tuple[tuple[str, str], ...] = field(default_factory=tuple)


def render(page: Page) -> str:
    """HTML of a page; every text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("fibseg.report", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["css"] = css_color
    template = environment.get_template("page.html")
    return template.render(page=page, many=css_stripes(OKABE_ITO[:5]))


def css_color(color: Color) -> str:
    """Colour as CSS writes it.

    >>> css_color((230, 159, 0))
    'rgb(230 159 0)'
    """
    return "rgb({} {} {})".format(*(int(c) for c in color))


def css_stripes(colors: Sequence[Color]) -> str:
    """Background with all colours side by side, for kinds whose objects have one each."""
    step = 100 / len(colors)
    stops = (
        f"{css_color(c)} {i * step:g}% {(i + 1) * step:g}%" for i, c in enumerate(colors)
    )
    return f"linear-gradient(90deg, {', '.join(stops)})"
