"""One HTML page that needs nothing else: contents as plain data, looks in the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fibseg.pictures import Color
from fibseg.report.lut import PALETTES
from fibseg.report.object_table import ObjectTable
from fibseg.report.scene import Scene
from fibseg.report.views import View


@dataclass(frozen=True)
class Fact:
    """A number worth reading first, with what it is and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing or a picture with the words below it.

    Parameters
    ----------
    image
        Data URI, as from `svg_uri` or `png_uri`.
    wide
        Whether it takes a row of its own.
    """

    caption: str
    image: str
    wide: bool = False


@dataclass(frozen=True)
class ClassTable:
    """Objects by class: how many, and medians of their shapes.

    Parameters
    ----------
    columns
        Words above the columns, the first above the names of the classes.
    rows
        One per class: its name, then values in words.
    colors
        Of the classes, in their order; none if left out.
    note
        The rule that made the classes.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    colors: tuple[Color, ...] = ()
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
    thresholds: str | None = None


@dataclass(frozen=True)
class ObjectSection:
    """One kind of object: facts, figures, the largest objects, and the table of all.

    Parameters
    ----------
    color
        Of the kind; None where every object has its own.
    columns, rows
        The largest objects in words, for readers without scripts.
    table
        All objects, to search, sort, colour by and download; without it the kind stands still.
    """

    name: str
    color: Color | None
    facts: tuple[Fact, ...]
    histogram: str | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    figures: tuple[Figure, ...] = ()
    classes: ClassTable | None = None
    table: ObjectTable | None = None


@dataclass(frozen=True)
class CellSection:
    """The cell as a whole: shares of it in numbers and as a figure, and what the raw looks like."""

    facts: tuple[Fact, ...] = ()
    figures: tuple[Figure, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A section of any kind: words, figures, a table and commands to type, each where given.

    Parameters
    ----------
    columns, rows
        Of the table, in words.
    commands
        Ready to be copied.
    """

    title: str
    note: str = ""
    figures: tuple[Figure, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    commands: tuple[str, ...] = ()


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
    """All that the page shows; what is left out leaves no hole.

    Parameters
    ----------
    palettes
        Colour scales by name, each a few colours from low to high; the first is used first.
    missing
        Colour of objects without a value.
    """

    name: str
    subtitle: str
    facts: tuple[Fact, ...]
    headline: tuple[Fact, ...] = ()
    cell: CellSection | None = None
    scene: Scene | None = None
    views: tuple[View, ...] = ()
    objects: tuple[ObjectSection, ...] = ()
    scores: tuple[ScoreTable, ...] = ()
    sections: tuple[Section, ...] = ()
    methods: tuple[str, ...] = ()
    runs: tuple[RunRow, ...] = ()
    made_with: str = ""
    pictures_note: str = ""
    legend: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    palettes: Mapping[str, Sequence[Color]] = field(default_factory=lambda: PALETTES)
    missing: Color = (150, 150, 150)
