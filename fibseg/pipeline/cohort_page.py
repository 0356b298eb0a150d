"""What the page of a cohort says: every number of the files, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fibseg
from fibseg.measure.compared_groups import EXACT_UP_TO
from fibseg.pipeline.cohort_compare import spanned, told
from fibseg.pipeline.cohort_files import FIGURES, PAGE
from fibseg.pipeline.cohort_table import Measure
from fibseg.report import (
    CohortPage,
    Drawing,
    Fact,
    Figure,
    Rows,
    conditions_figure,
    render_cohort,
    svg_text,
    svg_uri,
    write_figures,
)
from fibseg.report.methods import plain_name
from fibseg.volume.files import write_bytes

Found = Mapping[str, Any]


def save_page(out: Path, found: Found, measures: Sequence[Measure]) -> None:
    """Write the page, and its figures beside it as SVG and PNG."""
    drawings = figures_of(found, measures)
    svgs = {name: svg_text(drawing) for name, drawing in drawings.items()}
    write_figures(drawings, out / FIGURES, svgs=svgs)
    page = page_of(out.name, found, measures, svgs)
    write_bytes(out / PAGE, render_cohort(page).encode("utf-8", "replace"))


def figures_of(found: Found, measures: Sequence[Measure]) -> dict[str, Drawing]:
    """A figure of the tested measures of each kind of object, by its name."""
    drawings = {}
    for kind in dict.fromkeys(measure.of for measure in measures):
        mine = [m for m in measures if m.of == kind and m.tested]
        values, intervals, chances = {}, {}, {}
        for measure in mine:
            compared = found["comparisons"][measure.key]
            values[measure.title] = {
                name: [
                    _number(row[measure.key]) for row in found["cells"] if row["condition"] == name
                ] for name in found["conditions"]
            }
            intervals[measure.title] = {
                name: (_number(one["mean"]), _number(one["low"]), _number(one["high"]))
                for name, one in compared["conditions"].items()
            }
            pairs = compared["pairs"]
            chances[measure.title] = _number(pairs[0]["labels_p"]) if len(pairs) == 1 else np.nan
        drawings[kind] = conditions_figure(values, intervals, chances=chances)
    return drawings


def page_of(
    name: str, found: Found, measures: Sequence[Measure], svgs: Mapping[str, str]
) -> CohortPage:
    """The page of a cohort.

    Parameters
    ----------
    found
        As `fibseg.pipeline.cohort` keeps it.
    svgs
        Figures by the kind of objects they show.
    """
    failed = [row for row in found["cells"] if row["status"] != "done"]
    counts = found["conditions"]
    facts = [Fact(f"{n}", name, "cells") for name, n in counts.items()]
    left_out = [f"{cell}: {why}" for cell, of in found["left_out"].items() for why in of.values()]
    return CohortPage(
        name=name, facts=tuple(facts),
        cautions=(*found["cautions"], *(f"left out, {text}" for text in left_out)),
        failed=Rows(
            "Not in any number below", ("cell", "condition", "error"),
            tuple((row["cell"], row["condition"], row["error"]) for row in failed),
        ) if failed else None,
        figures=tuple(
            Figure(
                f"{plain_name(kind)}: a dot is a cell; mean of the cells and its 95 % interval",
                svg_uri(svg),
            ) for kind, svg in svgs.items()
        ),
        compared=tuple(_compared(found, measures)), cells=tuple(_cells(found, measures)),
        pooled=_pooled(found, measures),
        methods=(methods_text(found),) if len(counts) > 1 else (),
        made_with=f"Made with fibseg {fibseg.__version__}",
    )


def methods_text(found: Found) -> str:
    """How conditions were compared, for the method section of a paper."""
    several = len(found["conditions"]) > 2
    return (
        "Values of a cell are counts, volumes and shares of its organelles and means over their "
        "objects; the cell is the unit of every comparison. Differences of means between "
        "conditions were tested by permuting the labels of conditions among cells, two-sided: all "
        f"ways where there are at most {EXACT_UP_TO:,}, else 99,999 random ones. Intervals (95 %) "
        "of differences are Welch's, those of effect sizes (Hedges' g) follow from the noncentral "
        "t distribution."
        + (" p-values of several pairs were also corrected by Holm's method." if several else "")
        + " p-values were not corrected over measures."
    )


def _compared(found: Found, measures: Sequence[Measure]) -> list[Rows]:
    """A table for each pair of conditions."""
    tested = [m for m in measures if m.tested and found["comparisons"][m.key]["pairs"]]
    if not tested:
        return []
    pairs = found["comparisons"][tested[0].key]["pairs"]
    corrected = len(pairs) > 1
    tables = []
    for number, pair in enumerate(pairs):
        first, second = pair["first"], pair["second"]
        rows = []
        for measure in tested:
            one = found["comparisons"][measure.key]["pairs"][number]
            rows.append((
                measure.title, told(one["mean_1"]), told(one["mean_2"]),
                spanned(one, "difference", "low", "high"),
                spanned(one, "effect_size", "effect_low", "effect_high"), told(one["labels_p"]),
                *((told(one["holm_p"]),) if corrected else ()), f"{one['n_1']} + {one['n_2']}",
            ))
        tables.append(Rows(
            f"{second} less {first}",
            ("measure", first, second, "difference (95 %)", "Hedges' g (95 %)", "p",
             *(("p by Holm",) if corrected else ()), "cells"), tuple(rows),
        ))
    return tables


def _cells(found: Found, measures: Sequence[Measure]) -> list[Rows]:
    """A table for each kind of object, with a row for each cell."""
    tables = []
    for kind in dict.fromkeys(measure.of for measure in measures):
        mine = [m for m in measures if m.of == kind]
        tables.append(Rows(
            plain_name(kind),
            ("cell", "condition", *(m.title.partition(": ")[2] for m in mine)),
            tuple(
                (row["cell"], row["condition"], *(told(row[m.key]) for m in mine))
                for row in found["cells"]
            ),
        ))
    return tables


def _pooled(found: Found, measures: Sequence[Measure]) -> Rows | None:
    """What a test of all objects would say."""
    rows = [
        (measure.title, f"{pair['second']} less {pair['first']}",
         f"{pair['pooled']['n_1']:,} + {pair['pooled']['n_2']:,}",
         told(pair["pooled"]["difference"]), told(pair["pooled"]["welch_p"]))
        for measure in measures for pair in found["comparisons"][measure.key]["pairs"]
        if pair["pooled"] is not None
    ]
    if not rows:
        return None
    warning = found["pooled_warning"]
    return Rows(
        "All objects of all cells, as if each were independent",
        ("measure", "conditions", "objects", "difference", "Welch's p"), tuple(rows),
        note=warning[0].upper() + warning[1:],
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
