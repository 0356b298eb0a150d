from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
from report_pages import cell_page

from fibseg.errors import DataError
from fibseg.report import Figure, ObjectSection, ObjectTable, Page, render
from fibseg.report.render import PAGE_BYTES, page_data, safe_json, script_text

EVIL = "</script><script>alert(1)</script><!--&\u2028\u2029\ud800"


@pytest.fixture(scope="module")
def page() -> Page:
    return cell_page(n_mitochondria=12, voxel_um=0.1)


def test_json_in_a_page_is_that_of_python() -> None:
    text = safe_json({"name": EVIL, "values": [1.5, None, True]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()
    assert json.loads(text) == {"name": EVIL, "values": [1.5, None, True]}


def test_the_policy_names_the_hash_of_the_script(page: Page) -> None:
    html = render(page)
    script = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'; " in policy[1]
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe-eval" not in html
    assert html.count("unsafe-inline") == 1, "styles only"


def test_the_script_writes_no_html_and_asks_for_nothing() -> None:
    script = script_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                 "fetch(", "XMLHttpRequest", "import(", "WebSocket", "http:", "https:",
                 "</script", "<!--"):
        assert word not in script, word


def test_a_page_without_tables_and_scene_has_no_script(page: Page) -> None:
    still = dataclasses.replace(
        page, scene=None, objects=tuple(dataclasses.replace(s, table=None) for s in page.objects)
    )
    assert "<script" not in render(still)
    assert "script-src" not in render(still)


def test_only_kinds_with_a_table_are_sent_by_pixel(page: Page) -> None:
    data = page_data(page)
    assert [[ids["kind"] for ids in plane] for plane in data["planes"]] == [[2]] * 3


def test_a_page_beyond_the_limit_is_refused_and_says_what_is_large(page: Page) -> None:
    heavy = Figure("heavy", "data:image/png;base64," + "A" * PAGE_BYTES)
    section = ObjectSection("x", None, (), figures=(heavy,))
    with pytest.raises(DataError, match=r"takes 15\.\d MB, more than 15: planes 0\.0 MB, figures"):
        render(Page(name="n", subtitle="s", facts=(), objects=(section,)))


def test_large_tables_share_their_budget() -> None:
    rng = np.random.default_rng(0)
    n = 30_000
    table = {"label": np.arange(n)} | {f"v{i}": rng.random(n) for i in range(40)}
    sections = tuple(ObjectSection(k, None, (), table=ObjectTable(table)) for k in "ab")
    html = render(Page(name="n", subtitle="s", facts=(), objects=sections))
    assert 2.5e6 < len(html) < 3.2e6


def test_every_section_is_there_once(page: Page) -> None:
    html = render(page)
    for word in ("The cell", "In three dimensions", "Planes", "All objects", "Methods"):
        assert len(re.findall(rf"<h2>{word}", html)) == 1
    assert html.count("By class") == 1
    assert html.count('alt="Surface to volume by distance"') == 1


def test_same_page_same_bytes(page: Page) -> None:
    assert render(page) == render(page)
