"""The page of many cells: tables and figures of conditions, in one file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from fibseg.report.page import Fact, Figure
from fibseg.report.render import templates


@dataclass(frozen=True)
class Rows:
    """A table in words.

    Parameters
    ----------
    columns
        Words above the columns.
    rows
        As many words in each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class CohortPage:
    """All that the page of a cohort shows; what is left out leaves no hole.

    Parameters
    ----------
    facts
        Of the cohort, at its head.
    cautions
        What a reader should know before looking at any p.
    failed
        Cells without values, and why.
    compared, pooled
        Conditions by their cells; and by all objects, which stands behind its warning.
    cells
        The value of every cell.
    """

    name: str
    facts: tuple[Fact, ...]
    cautions: tuple[str, ...] = ()
    failed: Rows | None = None
    figures: tuple[Figure, ...] = ()
    compared: tuple[Rows, ...] = ()
    cells: tuple[Rows, ...] = ()
    pooled: Rows | None = None
    methods: tuple[str, ...] = ()
    made_with: str = ""


def render_cohort(page: CohortPage) -> str:
    """HTML of the page; every text in it is escaped, and nothing in it runs."""
    return templates().get_template("cohort.html").render(page=page)
