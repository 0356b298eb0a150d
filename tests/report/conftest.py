"""A headless browser for the tests of pages, and what must hold in it at any time."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from report_pages import Ellipsoids, cell, cell_page
from scene_views import N_MITOCHONDRIA

from fibseg.report import Page, render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL without a graphics card."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system; skips with the reason where it or playwright is not there."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not there: pip install playwright"
    )
    program = next((p for n in NAMES if (p := shutil.which(n))), None)
    if program is None:
        pytest.skip("no Chromium is there: apt-get install chromium")
    # Chromium has no sandbox for the root user, whom containers like.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=[*SOFTWARE, *sandbox])
        yield started
        started.close()


@pytest.fixture(scope="module")
def open_page(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """A function that opens a `Page`; in the end no error and no request may have been seen."""
    folder = tmp_path_factory.mktemp("pages")
    contexts: list[Any] = []
    complaints: list[str] = []
    numbers = itertools.count()

    def opened(
        page: Page | str, *, width: int = 1000, alive: bool = True, before: str = "",
        quiet: bool = True, **options: Any,
    ) -> Any:
        for old in contexts[1:]:  # tests share the first one
            old.close()
        del contexts[1:]
        context = browser.new_context(viewport={"width": width, "height": 560}, **options)
        contexts.append(context)
        tab = context.new_page()
        path = folder / f"page {next(numbers)}.html"
        path.write_text(page if isinstance(page, str) else render(page), encoding="utf-8")
        if quiet:
            _watch(tab, path.as_uri(), complaints)
        if before:
            tab.add_init_script(before)
        tab.goto(path.as_uri())
        if alive:
            tab.wait_for_selector("html.alive", timeout=20_000)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _watch(tab: Any, own: str, complaints: list[str]) -> None:
    """Writes down what a page of a report never does."""
    tab.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    tab.on("request", lambda r: complaints.append(r.url) if not _inside(r.url, own) else None)


def _inside(url: str, own: str) -> bool:
    return url == own or url.startswith(("data:", "blob:"))


@pytest.fixture(scope="module")
def scene_page() -> Page:
    """A cell with nucleus and mitochondria."""
    return cell_page(n_mitochondria=N_MITOCHONDRIA)


@pytest.fixture(scope="module")
def mitochondria() -> Ellipsoids:
    """Those of `scene_page`."""
    return cell(N_MITOCHONDRIA)["mitochondria"]


@pytest.fixture(scope="module")
def _shared_scene(open_page: Callable[..., Any], scene_page: Page) -> Any:
    return open_page(scene_page)


@pytest.fixture
def scene_tab(_shared_scene: Any) -> Any:
    """`scene_page` as it opens."""
    _shared_scene.reload()
    _shared_scene.wait_for_selector("html.alive")
    return _shared_scene
