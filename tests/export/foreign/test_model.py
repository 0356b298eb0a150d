"""What is known of a model file: sides of windows, classes, names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.export.foreign.model import Side, classes_of, nominal, plain_name, sides_of
from fibseg.volume.files import checked_name


@given(st.integers(1, 300), st.integers(0, 64), st.integers(1, 2000))
def test_the_fitting_side_is_the_smallest_allowed(least, step, length):
    side = Side(least, step)
    found = side.fitting(length)
    assert side.takes(found)
    if step == 0:
        assert found == least
    else:
        assert found >= max(length, least)
        assert found == least or found - step < length


@pytest.mark.parametrize(("names", "n", "exclusive", "wanted"), [
    (None, 1, False, ((0, "stem"),)), (None, 1, True, ((0, "stem"),)),
    (None, 2, True, ((1, "stem"),)), (None, 2, False, ((0, "class0"), (1, "class1"))),
    (None, 3, True, ((1, "class1"), (2, "class2"))),
    (("Background", "Mito"), 2, True, ((1, "Mito"),)),
    (("er", " BG "), 2, True, ((0, "er"),)), (("a", "b"), 2, True, ((0, "a"), (1, "b"))),
    (("a b", "a_b", "A-B"), 3, False, ((0, "a_b"), (1, "a_b_2"), (2, "A-B"))),
    (("../../x", "$(touch marker)", ""), 3, False, ((0, "x"), (1, "touch_marker"), (2, "class"))),
])
def test_classes_become_products(names, n, exclusive, wanted):
    assert classes_of(names, n, exclusive=exclusive, stem="stem", where="it") == wanted


@pytest.mark.parametrize(("names", "n", "match"), [
    (("a",), 2, "names 1 classes"), (("background",), 1, "nothing else"), (None, 0, "gives 0"),
    (None, 257, "gives 257 values"),
])
def test_classes_that_do_not_fit_are_refused(names, n, match):
    with pytest.raises(DataError, match=match):
        classes_of(names, n, exclusive=False, stem="s", where="it")


@given(st.text(max_size=300))
def test_any_text_becomes_a_name_that_a_store_takes(text):
    name = plain_name(text)
    assert checked_name(name, what="product") == name
    assert len(name) <= 64


def test_sides_of_a_graph():
    assert sides_of([None, 256], "it") == (Side(64, 64), Side(256, 0))
    assert nominal((Side(64, 64), Side(256, 0))) == (1024, 256)
    with pytest.raises(DataError, match="at most 8192"):
        sides_of([100_000, 64], "it")
