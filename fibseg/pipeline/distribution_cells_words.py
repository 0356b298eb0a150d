"""What a comparison of the sections of several cells says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from fibseg.measure.paired_cells import ALPHA, fewest_cells, smallest_p
from fibseg.pipeline.distributed import told

CELLS, FOUND = "cells.csv", "comparison.json"
"""Files of the comparison: a row for each cell, and all that was found."""
RULE = "section 1 is the one with more envelope, in every cell"
POOLED = "objects of one nucleus are not independent: no evidence of a difference between cells"


class CellsDistributed(dict[str, Any]):
    """What several cells tell of two sections; `text` is what the command prints."""

    def __init__(self, found: Mapping[str, Any], *, file: str | None = None) -> None:
        super().__init__(found)
        self.file = file

    def text(self) -> str:
        """Each cell, the comparison and how far it can be trusted, and the next command."""
        lines = [f"{len(self['cells'])} cells, each counts once; {RULE}"]
        lines += [_cell_line(row) for row in self["cells"]]
        lines += ["", *comparison_lines(self["comparisons"]), "", *_cautions(self)]
        if self.file is None:
            lines.append(f"out=FOLDER keeps this, as {CELLS} and {FOUND}")
        else:
            lines.append(f"{self.file}  {CELLS}, a row for each cell, and {FOUND}")
        first = shlex.quote(f"volume={self['cells'][0]['path']}")
        return "\n".join([*lines, "", "next:", f"fibseg report {first}"])


def comparison_lines(comparisons: Mapping[str, Any]) -> list[str]:
    """Each measure: mean difference over cells, its interval, effect size and chance."""
    return [
        f"{name}  difference {told(c['difference'])} ({told(c['low'])} to {told(c['high'])}) "
        f"over {c['n_cells']} cells, effect size {told(c['effect_size'])}, p = "
        f"{told(c['signs_p'])} by their signs"
        for name, c in comparisons.items()
    ]


def _cautions(found: Mapping[str, Any]) -> list[str]:
    """What a reader of the comparison should know."""
    n = max(c["n_cells"] for c in found["comparisons"].values())
    lines = []
    if n < fewest_cells():
        lines.append(
            f"{n} cell{'s' * (n != 1)} with two sections: no p below {told(smallest_p(n))} can be "
            f"reached; at least {fewest_cells()} are needed for p < {ALPHA}" if n else
            "no cell has two sections: nothing is compared"
        )
    near = [row["cell"] for row in found["cells"] if row["nearly_equal"]]
    if near:
        lines.append(
            "sections of nearly equal area, so that which one is 1 may be chance: "
            f"{', '.join(near)}"
        )
    chances = [
        f"{name} {told(c['pooled']['welch_p'])}" for name, c in found["comparisons"].items()
        if c["pooled"] is not None
    ]
    return [*lines, f"all objects pooled, Welch's p: {', '.join(chances)}; but {POOLED}"]


def _cell_line(row: Mapping[str, Any]) -> str:
    if row["why_none"] is not None:
        return f"{row['cell']}  left out: {row['why_none']}"
    both = "; ".join(
        f"section {k} {row[f'n_objects_{k}']:,} objects on {told(row[f'area_um2_{k}'])} µm², "
        f"mean-8 {told(row[f'mean_distance_8_um_{k}'])} µm" for k in (1, 2)
    )
    return f"{row['cell']}  {both}"
