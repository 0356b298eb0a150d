"""The page in a browser that denies it this or that: network, scripts, WebGL, width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from report_pages import cell_page

from fibseg.report import ObjectSection, ObjectTable, Page, render

EVIL = "</script><script>alert(1)</script><!-- <b onmouseover='alert(2)'>&\"x\"</b> \u2028"
NO_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : get.call(this, kind, ...rest);
};
"""


@pytest.fixture(scope="module")
def page() -> Page:
    return cell_page(n_mitochondria=12, voxel_um=0.1)


def shown_words(text: str) -> str:
    return " ".join(text.split())


def test_names_are_text_wherever_scripts_write_them(open_page: Callable[..., Any]) -> None:
    made = cell_page(n_mitochondria=12, voxel_um=0.1, name=EVIL, kind=EVIL)
    section = made.objects[2]
    assert section.table is not None
    words = np.array([EVIL, "plain"] * 6)
    table = dataclasses.replace(
        section.table, columns=section.table.columns | {EVIL: words},
        shown=("label", EVIL), color_by=EVIL, classes={EVIL: {EVIL: (1, 2, 3)}},
    )
    objects = (*made.objects[:2], dataclasses.replace(section, table=table))
    tab = open_page(dataclasses.replace(
        made, objects=objects, palettes={EVIL: ((0, 0, 0), (255, 255, 255))}
    ))
    text = shown_words(EVIL)
    tab.click("#rows tr[data-row]")
    tab.fill("#search", "b > 3")  # there are many columns with a b, this one among them
    assert "<b onmouseover=" in tab.inner_text("#complaint")
    tab.fill("#search", "")
    for place in ("h1", "#rows-head", "#rows td:nth-child(2)", "#legend", "#chooser", "#chosen"):
        assert text in shown_words(tab.locator(place).first.text_content()), place
    assert text in shown_words(tab.locator("#column option[value*=onmouseover]").text_content())
    assert tab.locator("b[onmouseover]").count() == 0
    assert tab.locator("script").count() == 2


def test_only_the_script_that_python_wrote_runs(
    open_page: Callable[..., Any], page: Page
) -> None:
    html = render(page)
    assert html.count("</script>") == 2
    changed = html.replace('"use strict";', '"use strict"; /* one word more */')
    tab = open_page(changed, alive=False, quiet=False)
    tab.wait_for_timeout(300)
    assert tab.locator("html.alive").count() == 0
    foreign = html.replace("</main>", "<script>document.title = 'owned'</script></main>")
    tab = open_page(foreign, quiet=False)
    assert tab.title() != "owned"


def test_without_scripts_the_page_still_tells_all(
    open_page: Callable[..., Any], page: Page
) -> None:
    tab = open_page(page, alive=False, java_script_enabled=False)
    assert "Scripts are off" in tab.inner_text(".no-script")
    for place in ("#still", "[data-view='0'] img.layer-2", ".table.still", ".classes", ".methods"):
        assert tab.locator(place).is_visible(), place
    for place in ("#colors", "#canvas", "#panel", "#objects", ".copy"):
        assert not tab.locator(place).is_visible(), place
    tab.locator(".bar-of-switches label[for='show-2']").click()
    assert not tab.locator("[data-view='0'] img.layer-2").is_visible()


def test_without_webgl_a_still_picture_stands_in(
    open_page: Callable[..., Any], page: Page
) -> None:
    tab = open_page(page, before=NO_WEBGL)
    assert tab.locator("#still").is_visible()
    assert "The picture stands still" in tab.inner_text("#still-note")
    assert not tab.locator("#canvas").is_visible()
    assert not tab.locator("#panel").is_visible()
    tab.fill("#search", "3")
    assert tab.inner_text("#count") == "1 of 12 objects"
    assert tab.locator("[data-view='0'] canvas.layer-2").is_visible()


@pytest.mark.parametrize("missing", ["DecompressionStream", "ResizeObserver"])
def test_an_old_browser_is_told_so(
    open_page: Callable[..., Any], page: Page, missing: str
) -> None:
    tab = open_page(page, before=f"delete window.{missing};", alive=False, quiet=False)
    tab.wait_for_selector(".failed")
    assert missing in tab.inner_text(".failed")
    assert tab.locator(".methods").is_visible()


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_wider_than_a_small_screen(
    open_page: Callable[..., Any], page: Page, width: int
) -> None:
    tab = open_page(page, width=width)
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width


def test_methods_can_be_copied(open_page: Callable[..., Any], page: Page) -> None:
    tab = open_page(page, permissions=["clipboard-read", "clipboard-write"])
    tab.click(".copy")
    tab.get_by_text("Copied").wait_for()
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert copied == "\n\n".join(page.methods)


def test_objects_without_labels_in_the_table_keep_the_page_alive(
    open_page: Callable[..., Any], page: Page
) -> None:
    section = page.objects[2]
    assert section.table is not None
    part = {k: v[3:5] for k, v in section.table.columns.items()}
    none = {k: v[:0] for k, v in section.table.columns.items()}
    for columns, count in ((part, "2 objects"), (none, "0 objects")):
        objects = (*page.objects[:2], dataclasses.replace(section, table=ObjectTable(columns)))
        tab = open_page(dataclasses.replace(page, objects=objects))
        assert tab.inner_text("#count") == count


def test_a_table_alone_makes_a_page(open_page: Callable[..., Any]) -> None:
    table = ObjectTable({"label": np.array([7]), "volume_um3": np.array([np.nan])})
    tab = open_page(Page(name="n", subtitle="s", facts=(), objects=(
        ObjectSection("lone", None, (), table=table),
    )))
    tab.select_option("#column", "volume_um3")
    assert tab.inner_text("#legend") == "no object has a value"
    assert tab.inner_text("#rows td:nth-child(2)") == "–"
