from __future__ import annotations

import dataclasses

import numpy as np

from fibseg.report import (
    Fact,
    ObjectLayer,
    ObjectSection,
    Page,
    RunRow,
    ScoreTable,
    css_color,
    plane_view,
    render,
)

EVIL = "<b onmouseover=\"x('1')\">&"


def full_page(word: str) -> Page:
    view = plane_view(np.zeros((4, 4)), [ObjectLayer(np.ones((4, 4), int))], title=word, place=word,
                      low=0, high=1, spacing=(1.0, 1.0))
    return Page(
        name=word, subtitle=word, facts=(Fact(word, word, word),), headline=(Fact(word, word),),
        views=(view,), made_with=word, pictures_note=word, methods=(word,),
        objects=(
            ObjectSection(word, None, (Fact(word, word),), histogram="data:,", columns=(word,),
                          rows=((word,),), note=word),
            ObjectSection(word, (1, 2, 3), ()),
        ),
        scores=(ScoreTable(word, word, ((word, word, 50.0), (word, word, None)),
                           figure="data:,", views=(view,)),
                ScoreTable(word, word, (), figure="data:,")),
        runs=(RunRow(word, word, word, word, word, word, word),),
    )


def test_every_text_is_escaped_wherever_it_stands() -> None:
    harmless, evil = render(full_page("WORD")), render(full_page(EVIL))
    assert EVIL not in evil
    escaped = "&lt;b onmouseover=&#34;x(&#39;1&#39;)&#34;&gt;&amp;"
    assert evil.count(escaped) == harmless.count("WORD") > 30
    assert evil.replace(escaped, "WORD") == harmless


def test_empty_sections_are_left_out() -> None:
    html = render(Page(name="n", subtitle="s", facts=()))
    assert "<section" not in html
    assert html.count("<h1>") == 1


def test_every_kind_can_be_switched_and_has_its_color() -> None:
    html = render(full_page("WORD"))
    for i in (0, 1):
        assert f'id="show-{i}"' in html
        assert f'for="show-{i}"' in html
        assert f"#show-{i}:not(:checked) ~ main .layer-{i} {{ display: none; }}" in html
    assert css_color((1, 2, 3)) in html
    assert "linear-gradient(90deg" in html


def test_page_is_plain_data() -> None:
    assert all(f.init for f in dataclasses.fields(Page))
    assert full_page("a") == full_page("a")
