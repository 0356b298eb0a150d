from __future__ import annotations

import pytest

from fibseg.report import (
    Fact,
    Figure,
    Page,
    Section,
    TrialPoint,
    history_figure,
    importance_figure,
    render,
    slices_figure,
    svg_text,
    svg_uri,
)

POINTS = [
    TrialPoint(0, "done", 0.5, {"rate": 0.01, "norm": "batch"}),
    TrialPoint(1, "done", 0.4, {"rate": 0.1, "norm": "group"}),
    TrialPoint(2, "failed", None, {"rate": 0.5}),
    TrialPoint(3, "ended early", 0.2, {"rate": 0.3, "norm": "batch"}),
    TrialPoint(4, "done", 0.7, {"rate": 0.02, "norm": "group"}, best=True),
]


def test_history_shows_the_best_so_far_and_where_it_began() -> None:
    axes = history_figure(POINTS).axes[0]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert lines["best so far"].get_ydata().tolist() == [0.5, 0.5, 0.7]
    assert list(lines["ended early"].get_xdata()) == [3]
    assert list(lines["failed"].get_xdata()) == [2]
    assert list(lines["best"].get_ydata()) == [0.7]
    assert set(lines["as it was"].get_ydata()) == {0.5}


def test_importance_is_sorted_with_the_largest_on_top() -> None:
    axes = importance_figure({"a": 0.7, "c": 0.1, "b": 0.2}).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["c", "b", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]


def test_every_setting_has_a_panel() -> None:
    figure = slices_figure(POINTS, ["rate", "norm", "a$b", "other"], ["rate", "other"])
    rate, norm, odd, other = figure.axes[:4]
    assert rate.get_xscale() == "log"
    assert len(rate.get_lines()) == 4, "a trial without a score has no point"
    assert [t.get_text() for t in norm.get_xticklabels()] == ["batch", "group"]
    assert odd.texts[0].get_text() == "no trial has a score"
    assert other.get_xscale() == "linear"
    text = svg_text(figure)
    assert "a$b" in text
    assert "mathdefault" not in text
    assert ">0.1<" in text


@pytest.mark.parametrize("points", [[], [TrialPoint(0, "failed", None, {})]])
def test_nothing_to_show_is_drawn_too(points: list[TrialPoint]) -> None:
    for figure in (history_figure(points), slices_figure(points, ["rate"])):
        assert "<svg" in svg_text(figure)


def test_a_page_may_be_made_of_sections_alone() -> None:
    figure = Figure("Trials <all>", svg_uri(svg_text(history_figure(POINTS))), wide=True)
    html = render(Page("my sweep", "of settings", (Fact("5", "trials"),), sections=(
        Section("What & why", note="a < b", columns=("trial", "IoU"), rows=(("4", "0.7"),),
                commands=("fibseg train 'a b'",), figures=(figure,)),
        Section("Nothing else"),
    )))
    for words in ("What &amp; why", "a &lt; b", "<td>0.7</td>", "fibseg train &#39;a b&#39;",
                  "Trials &lt;all&gt;", "<h2>Nothing else</h2>", "data:image/svg+xml"):
        assert words in html
    assert "<script" not in html
