"""Shares of a cell: counts that add, and what is left out where something is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.measure import profile

NAMES = ["cell", "nucleus", "mitochondria", "er"]
SPACING = (20.0, 10.0, 5.0)


def masks(seed, shape=(6, 7, 8)):
    rng = np.random.default_rng(seed)
    return {name: (rng.random(shape) < 0.4) * np.uint16(rng.integers(1, 9)) for name in NAMES}


def profiled(labels, cell="cell", nucleus="nucleus"):
    counts = profile.partial(labels, cell=cell, nucleus=nucleus)
    return profile.finish(
        counts, names=list(labels), cell=cell, nucleus=nucleus, spacing=SPACING
    )


@given(st.integers(0, 999))
def test_shares_are_those_of_masks(seed):
    labels = masks(seed)
    found = profiled(labels)
    inside = {name: values != 0 for name, values in labels.items()}
    cytoplasm = inside["cell"] & ~inside["nucleus"]
    for name in ("mitochondria", "er"):
        assert found[name] == {
            "volume_um3": pytest.approx(inside[name].sum() * 1e-6),
            "share_of_cell": pytest.approx(inside[name][inside["cell"]].mean()),
            "share_of_cytoplasm": pytest.approx(inside[name][cytoplasm].mean()),
            **({"literature": 0.1, "literature_source": found[name]["literature_source"]}
               if name == "mitochondria" else {}),
        }
    assert found["cytoplasm"]["volume_um3"] == pytest.approx(cytoplasm.sum() * 1e-6)
    shares = [found[part]["share_of_cell"] for part in ("cytoplasm", "nucleus")]
    assert sum(shares) == pytest.approx(1)  # whatever lies outside of the cell


@given(st.integers(0, 999), st.integers(0, 6))
def test_halves_of_a_volume_add_up(seed, cut):
    labels = masks(seed)
    parts = {"cell": "cell", "nucleus": "nucleus"}
    whole = profile.partial(labels, **parts)
    halves = [
        profile.partial({name: values[where] for name, values in labels.items()}, **parts)
        for where in (slice(cut), slice(cut, None))
    ]
    for merged in (profile.merge(*halves), profile.merge(*reversed(halves))):
        assert {k: v.tolist() for k, v in merged.items()} == {
            k: v.tolist() for k, v in whole.items()
        }


@pytest.mark.parametrize(
    ("cell", "nucleus", "shares"),
    [("cell", "nucleus", {"share_of_cell", "share_of_cytoplasm"}),
     ("cell", None, {"share_of_cell"}), (None, "nucleus", set()), (None, None, set())],
)
def test_shares_that_need_what_is_missing_are_left_out(cell, nucleus, shares):
    found = profiled(masks(1), cell, nucleus)
    assert {key for key in found["er"] if key.startswith("share")} == shares
    assert ("cytoplasm" in found) == (len(shares) == 2)
    assert ("literature" in found["mitochondria"]) == (len(shares) == 2)
    assert "literature" not in found["er"]


def test_of_an_empty_cell_there_is_no_share():
    labels = masks(2) | {"cell": np.zeros((6, 7, 8), np.uint16)}
    found = profiled(labels)
    assert all(not key.startswith("share") for facts in found.values() for key in facts)
    assert found["cytoplasm"] == {"volume_um3": 0}


def test_voxels_at_faces_are_counted_beside():
    labels = {"m": np.ones((2, 2, 2), np.uint8), "t": np.zeros((2, 2, 2), np.uint8)}
    at_face = np.zeros((2, 2, 2), bool)
    at_face[0] = True
    counts = profile.partial(labels, at_face=at_face)
    assert counts["n_at_face"].tolist() == [4, 0]
    assert profile.partial(labels)["n_at_face"].tolist() == [0, 0]
