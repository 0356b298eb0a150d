from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fibseg.measure import profile as measuring
from fibseg.report import shares_figure, svg_text
from fibseg.report.shares import cell_parts


def measured(**labels: np.ndarray) -> dict[str, dict[str, Any]]:
    """Profile of label images as `fibseg measure` makes it."""
    cell, nucleus = (name if name in labels else None for name in ("cell", "nucleus"))
    counts = measuring.partial(labels, cell=cell, nucleus=nucleus)
    return measuring.finish(
        counts, names=list(labels), cell=cell, nucleus=nucleus, spacing=(100.0, 100.0, 100.0)
    )


def line(start: int, stop: int) -> np.ndarray:
    """Voxels `start` to `stop` of 100."""
    mask = np.zeros((1, 1, 100), np.uint8)
    mask[..., start:stop] = 1
    return mask


def texts(figure: Figure) -> str:
    tree = ET.fromstring(svg_text(figure))
    return " | ".join("".join(t.itertext()) for t in tree.iter() if "text" in t.tag)


def bars(figure: Figure, axes: int) -> list[float]:
    return [float(bar.get_width()) for kind in figure.axes[axes].containers for bar in kind]


CELL = measured(
    mitochondria=line(40, 46), golgi=line(50, 51), nucleus=line(0, 20), cell=line(0, 80)
)


def test_parts_are_the_voxels_of_the_cell() -> None:
    parts = cell_parts(CELL, cell="cell", nucleus="nucleus")
    assert parts == pytest.approx({
        "nucleus": 20 / 80, "mitochondria": 6 / 80, "golgi": 1 / 80, "rest": 53 / 80,
    })  # fmt: skip
    assert sum(parts.values()) == pytest.approx(1)
    figure = shares_figure(CELL)
    assert bars(figure, 0) == pytest.approx(list(parts.values()))
    assert bars(figure, 1) == pytest.approx([6 / 60, 1 / 60])


def test_shares_literature_and_volume_are_in_words() -> None:
    said = texts(shares_figure(CELL))
    assert "Share of the cell (0.08 µm³)" in said
    assert "mitochondria 7.5%" in said
    assert "10.0%" in said  # of the cytoplasm
    assert "Posakony" in said
    assert "golgi 1.2%" in said


def test_the_mark_stands_at_the_share_of_the_literature() -> None:
    marks = shares_figure(CELL).axes[1].lines
    assert [list(mark.get_xdata()) for mark in marks] == [[0.1, 0.1]]
    none = measured(golgi=line(50, 51), nucleus=line(0, 20), cell=line(0, 80))
    assert not shares_figure(none).axes[1].lines


def test_what_lies_outside_of_the_cytoplasm_takes_none_of_it() -> None:
    profile = measured(nucleolus=line(5, 9), nucleus=line(0, 20), cell=line(0, 80))
    assert cell_parts(profile, cell="cell", nucleus="nucleus")["nucleolus"] == 0


def test_without_a_nucleus_organelles_are_shares_of_the_cell() -> None:
    profile = measured(mitochondria=line(40, 48), cell=line(0, 80))
    assert cell_parts(profile, cell="cell", nucleus="nucleus") == pytest.approx(
        {"mitochondria": 0.1, "rest": 0.9}
    )
    said = texts(shares_figure(profile, nucleus=None))
    assert "no share of the cytoplasm is measured" in said
    assert "Posakony" not in said


def test_without_a_cell_nothing_is_claimed() -> None:
    profile = measured(mitochondria=line(40, 48), nucleus=line(0, 20))
    assert cell_parts(profile, cell="cell", nucleus="nucleus") == {}
    said = texts(shares_figure(profile))
    assert "the shares of the cell are not measured" in said
    assert "%" not in said
    assert "not measured" in texts(shares_figure({}))


def test_organelles_that_overlap_leave_no_rest() -> None:
    profile = measured(
        a=line(20, 80), b=line(20, 80), nucleus=line(0, 20), cell=line(0, 80)
    )
    parts = cell_parts(profile, cell="cell", nucleus="nucleus")
    assert "rest" not in parts
    assert sum(parts.values()) == pytest.approx(1.75)
    assert shares_figure(profile).axes[0].get_xlim()[1] == pytest.approx(1.75)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_undefined_shares_are_missing(value: float | None) -> None:
    profile = {"cell": {}, "nucleus": {}, "m": {"share_of_cytoplasm": value, "literature": 0.1}}
    said = texts(shares_figure(profile))
    assert "no share of the cytoplasm is measured" in said
