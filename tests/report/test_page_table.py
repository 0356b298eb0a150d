"""The table in a browser: search, order, columns, download."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import cell, cell_page, measured

from fibseg.report import ObjectSection, ObjectTable, Page

N = 40
EVIL = '<b>&"x"</b>, "quoted"\r\nand = more'


@pytest.fixture(scope="module")
def page() -> Page:
    return dataclasses.replace(cell_page(n_mitochondria=N), scene=None)


@pytest.fixture(scope="module")
def shared(open_page: Callable[..., Any], page: Page) -> Any:
    """The page, which some tests leave as they find it."""
    return open_page(page)


@pytest.fixture
def tab(shared: Any) -> Any:
    """The page as it opens."""
    shared.reload()
    shared.wait_for_selector("html.alive")
    return shared


def table_page(table: dict[str, Any], **words: Any) -> Page:
    section = ObjectSection("things", None, (), table=ObjectTable(table, **words))
    return Page(name="n", subtitle="s", facts=(), objects=(section,))


def column(tab: Any, number: int = 1) -> list[str]:
    return [t.strip() for t in tab.locator(f"#rows tr[data-row] td:nth-child({number})")
            .all_inner_texts()]


def downloaded(tab: Any, button: str, path: Path) -> tuple[str, str]:
    with tab.expect_download() as waiting:
        tab.click(button)
    waiting.value.save_as(path)
    return waiting.value.suggested_filename, path.read_bytes().decode()


TABLE = measured(cell(N)["mitochondria"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("volume_um3 > 0.02", TABLE["volume_um3"] > 0.02),
        ("volume>0.02 distance_nucleus<=1.2",
         (TABLE["volume_um3"] > 0.02) & (TABLE["distance_nucleus_um"] <= 1.2)),
        ("class = peripheral and volume_um3 < 0.02",
         (TABLE["spatial_class"] == "peripheral") & (TABLE["volume_um3"] < 0.02)),
        ("PERI", np.char.startswith(TABLE["spatial_class"], "peri")),
        ("12", TABLE["label"] == 12),
        ("touches_border=yes", TABLE["touches_border"]),
        ("surface_to_volume > 0", np.isfinite(TABLE["surface_to_volume_per_um"])),
        ("sphericity > 2", np.zeros(N, bool)),
    ],
)
def test_search_finds_what_numpy_finds(shared: Any, query: str, expected: np.ndarray) -> None:
    shared.fill("#search", query)
    n = int(expected.sum())
    assert shared.inner_text("#count") == f"{n} of {N} objects"
    found = [int(v) for v in column(shared)]
    assert found == (np.flatnonzero(expected) + 1).tolist()[: len(found)]
    assert len(found) == n or len(found) > 20
    shared.fill("#search", "")
    assert shared.inner_text("#count") == f"{N} objects"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("wrong > 3", ["There is no column “wrong”", "volume_um3"]),
        ("surface > 3", ["“surface” can be", "surface_area_um2, surface_to_volume_per_um"]),
        ("volume_um3 > big", ["“big” is no number to compare volume_um3 with"]),
    ],
)
def test_a_search_that_makes_no_sense_is_answered(
    shared: Any, query: str, words: list[str]
) -> None:
    shared.fill("#search", query)
    for word in words:
        assert word in shared.inner_text("#complaint")
    shared.fill("#search", "")
    assert not shared.locator("#complaint").is_visible()


def test_a_click_sorts_down_then_up_then_not_with_missing_values_last(tab: Any) -> None:
    values = TABLE["surface_to_volume_per_um"]
    order = {
        "descending": np.argsort(-values, kind="stable"), "ascending": np.argsort(values),
        "none": np.arange(N),
    }
    heading = tab.locator("#rows-head th").nth(2)
    for direction in ("descending", "ascending", "none"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == direction
        found = [int(v) for v in column(tab)]
        assert found == (order[direction] + 1).tolist()[: len(found)]
    heading.locator("button").click()
    tab.evaluate("() => { const rows = document.getElementById('rows'); "
                 "rows.scrollTop = rows.scrollHeight; }")
    tab.wait_for_selector(f"#rows tr[data-row='{order['descending'][-1]}']")
    assert column(tab, 3)[-1] == "–"


def test_columns_can_be_chosen_and_say_what_they_are(tab: Any) -> None:
    shown = tab.locator("#rows-head th").all_inner_texts()
    assert shown == ["label", "volume (µm³)", "surface to volume (1/µm)", "sphericity",
                     "distance to nucleus (µm)", "spatial class", "touches border"]
    title = tab.locator("#rows-head th button").nth(4).get_attribute("title")
    assert "from the centre of the object to the surface of the nucleus" in title
    assert "(distance_nucleus_um)" in title
    tab.click(".chooser summary")
    tab.get_by_role("checkbox", name="surface area (µm²)").check()
    tab.get_by_role("checkbox", name="sphericity").uncheck()
    shown = tab.locator("#rows-head th").all_inner_texts()
    assert shown[2] == "surface area (µm²)"
    assert "sphericity" not in shown
    assert column(tab, 3)[0] == f"{TABLE['surface_area_um2'][0]:.4g}"
    tab.mouse.click(300, 20)
    assert not tab.locator("#chooser").is_visible()


def test_all_can_be_downloaded_as_csv(tab: Any, tmp_path: Path) -> None:
    name, text = downloaded(tab, "#csv-all", tmp_path / "all.csv")
    assert name == "cell_4-mitochondria.csv"
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == list(TABLE)
    for key, values in TABLE.items():
        if values.dtype.kind == "f":
            expected = [f"{v:.5g}" if np.isfinite(v) else "" for v in values]
            assert [float(r[key] or "nan") for r in rows] == pytest.approx(
                [float(e or "nan") for e in expected], nan_ok=True, rel=1e-12)
        elif values.dtype.kind == "b":
            assert [r[key] for r in rows] == ["yes" if v else "no" for v in values]
        else:
            assert [r[key] for r in rows] == [str(v) for v in values]


def test_what_is_shown_can_be_downloaded_in_its_order(tab: Any, tmp_path: Path) -> None:
    tab.fill("#search", "volume_um3 > 0.02")
    tab.locator("#rows-head th button").nth(1).click()
    _, text = downloaded(tab, "#csv-shown", tmp_path / "shown.csv")
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["label", "volume_um3", "surface_to_volume_per_um", "sphericity",
                       "distance_nucleus_um", "spatial_class", "touches_border"]
    order = np.argsort(-TABLE["volume_um3"])
    expected = [str(i + 1) for i in order if TABLE["volume_um3"][i] > 0.02]
    assert [r[0] for r in rows[1:]] == expected


def test_csv_quotes_what_it_has_to(open_page: Callable[..., Any], tmp_path: Path) -> None:
    words = np.array([EVIL, "plain", 'a "b"', "c,d"])
    tab = open_page(table_page({"label": np.arange(4), "word, of": words}))
    _, text = downloaded(tab, "#csv-all", tmp_path / "t.csv")
    quoted = EVIL.replace('"', '""')
    assert text == (
        f'label,"word, of"\r\n0,"{quoted}"\r\n1,plain\r\n2,"a ""b"""\r\n3,"c,d"\r\n'
    )
    assert column(tab, 2)[0] == " ".join(EVIL.split())
    assert tab.locator("td b").count() == 0


def test_twenty_thousand_rows_are_a_few_elements(open_page: Callable[..., Any]) -> None:
    n = 20_000
    rng = np.random.default_rng(0)
    table = {"label": np.arange(n) * 3 + 1} | {f"value_{i}_um": rng.random(n) for i in range(12)}
    tab = open_page(table_page(table))
    assert tab.locator("#rows tr[data-row]").count() < 60
    tab.evaluate("() => { const rows = document.getElementById('rows'); "
                 "rows.scrollTop = rows.scrollHeight; }")
    tab.wait_for_selector(f"#rows tr[data-row='{n - 1}']")
    assert column(tab)[-1] == str(3 * n - 2)
    assert tab.locator("#rows tr[data-row]").count() < 60
    needed_ms = tab.evaluate(
        "() => { const start = performance.now(); const box = document.getElementById('search'); "
        "box.value = 'value_3 > 0.5'; box.dispatchEvent(new Event('input')); "
        "document.body.offsetHeight; return performance.now() - start; }"
    )
    assert needed_ms < 1500, "a search is a matter of milliseconds"
    assert int((table["value_3_um"] > 0.5).sum()) == pytest.approx(
        int(tab.inner_text("#count").split(" of ")[0].replace("\u2009", "")), abs=2)


def test_arrows_move_the_selection_and_keep_it_in_sight(tab: Any) -> None:
    tab.focus("#rows")
    for _ in range(25):
        tab.keyboard.press("ArrowDown")
    row = tab.locator("#rows tr.chosen")
    assert row.locator("td").first.inner_text().strip() == "25"
    box, inside = tab.locator("#rows").bounding_box(), row.bounding_box()
    assert box["y"] < inside["y"] < box["y"] + box["height"]


def test_another_kind_has_a_table_and_colors_of_its_own(open_page: Callable[..., Any]) -> None:
    sections = tuple(
        ObjectSection(name, color, (), table=ObjectTable(
            {"label": np.arange(1, n + 1), "size_um": np.linspace(1, 2, n)}, color_by=by))
        for name, color, n, by in (("pores", None, 9, "size_um"), ("pockets", (1, 2, 3), 4, ""))
    )
    tab = open_page(Page(name="n", subtitle="s", facts=(), objects=sections))
    assert tab.inner_text("#count") == "9 objects"
    assert "1.02" in tab.inner_text("#legend")
    tab.click("#tabs button:nth-child(2)")
    assert tab.inner_text("#count") == "4 objects"
    assert tab.inner_text("#legend") == "pockets"
    dot = tab.locator("#rows td .swatch").first
    assert "rgb(1, 2, 3)" in dot.get_attribute("style")
