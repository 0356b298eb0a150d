"""The certificate: passes below the tolerance, fails above it and on NaN, vouches for one file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import pytest

from fibseg.errors import DataError
from fibseg.export.certificate import TOLERANCE, Certificate, Compared, vouches

GOOD = Certificate(
    file="m.onnx", sha256=hashlib.sha256(b"graph").hexdigest(), inputs="i", images="the volume a",
    versions={"torch": "2"},
    compared=[Compared("real", 16, 400, 2e-6, 400), Compared("extreme", 4, 100, 9e-5, 99)],
)


def with_dp(dp):
    return replace(GOOD, compared=[*GOOD.compared, Compared("odd-sized", 1, 1, dp, 1)])


def test_it_tells_the_worst_and_the_mean():
    GOOD.refuse_unequal()
    assert GOOD.max_dp == 9e-5
    assert GOOD.agreement == 499 / 500
    told = json.loads(GOOD.text())
    assert told["passed"] is True
    assert told["tolerance"] == TOLERANCE == 1e-4
    assert told["max_abs_difference_of_probability"] == 9e-5
    assert told["label_agreement"] == 0.998
    assert told["windows"]["real"] == {
        "n": 16, "pixels": 400, "max_abs_difference_of_probability": 2e-6, "label_agreement": 1.0
    }
    assert told["real_windows_from"] == "the volume a"


@pytest.mark.parametrize("dp", [1.01e-4, 0.5, math.nan])
def test_a_file_that_differs_is_refused(dp):
    with pytest.raises(DataError, match=r"m.onnx would give other .* on odd-sized images"):
        with_dp(dp).refuse_unequal()
    assert not with_dp(dp).max_dp <= TOLERANCE


def test_it_vouches_for_one_graph_made_from_one_thing():
    text = GOOD.text().encode()
    assert vouches(text, b"graph", "i")
    assert not vouches(text, b"other", "i")
    assert not vouches(text, b"graph", "j")
    assert not vouches(None, b"graph", "i")
    assert not vouches(text, None, "i")
    assert not vouches(b"{", b"graph", "i")
    assert not vouches(b"[" * 100_000, b"graph", "i")
    assert not vouches(with_dp(1.0).text().encode(), b"graph", "i")
