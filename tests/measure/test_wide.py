"""Integers beyond 64 bits, as two columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fibseg.measure import wide

NUMBERS = st.lists(st.integers(-(2**80), 2**80), min_size=1, max_size=9)


def columns(values):
    return wide.split("a", np.array(values, dtype=object))


@given(NUMBERS)
def test_what_is_split_is_joined_again(values):
    table = columns(values)
    assert wide.joined("a", table).tolist() == values
    assert all(column.dtype == np.int64 for column in table.values())
    assert ((table["a_low"] >= 0) & (table["a_low"] < 2**32)).all()


@given(st.integers(-(2**62), 2**62))
def test_numbers_of_64_bits_are_split_as_python_integers_are(value):
    table = wide.split("a", np.array([value], dtype=np.int64))
    assert {k: v.tolist() for k, v in table.items()} == {
        k: v.tolist() for k, v in columns([value]).items()
    }


@given(NUMBERS, st.integers(1, 2**10))
def test_sums_of_columns_are_sums_of_numbers(values, times):
    """As in a merge: columns are added as they are, and the carry is moved once."""
    table = {name: np.array([column.sum()]) * times for name, column in columns(values).items()}
    wide.carry("a", table)
    assert wide.joined("a", table).tolist() == [sum(values) * times]
    again = {name: column.copy() for name, column in table.items()}
    wide.carry("a", again)
    assert {k: v.tolist() for k, v in again.items()} == {k: v.tolist() for k, v in table.items()}
