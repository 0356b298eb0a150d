"""From pockets to pores: what is sure, what a closing adds, what is background."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.pseudolabel import (
    Bridge,
    PoreBody,
    Sureness,
    annotate,
    are_sure,
    close_onto_membrane,
)

SPACING = (20.0, 20.0, 20.0)
SHAPE = (60, 60, 60)


def sites(*places_um, confidence=0.99, normal=(1.0, 0.0, 0.0), label=None):
    places = np.array(places_um, float).reshape(-1, 3)
    n = len(places)
    return {
        **{f"{a}_um": places[:, i] for i, a in enumerate("zyx")},
        **{f"normal_{a}": np.full(n, normal[i]) for i, a in enumerate("zyx")},
        "confidence": np.broadcast_to(confidence, n).astype(float),
        "label": np.arange(1, n + 1) if label is None else np.array(label),
    }


def told(table, **rule):
    return [
        found.tolist() for found in
        are_sure(table, rule=Sureness(**rule), body=PoreBody(), shape=SHAPE, spacing=SPACING)
    ]


def test_confidence_says_what_is_sure():
    table = sites((0.3, 0.3, 0.3), (0.6, 0.6, 0.6), (0.9, 0.9, 0.9), confidence=[0.95, 0.5, 0.05])
    assert told(table) == [[True, False, False], [False, True, False]]


def test_what_has_no_pocket_is_no_pore():
    table = sites((0.3, 0.3, 0.3), (0.6, 0.6, 0.6), label=[0, 5])
    assert told(table) == [[False, True], [True, False]]


def test_what_a_face_would_cut_is_unsure():
    # 40 nm along the axis, 60 nm across.
    ends = [(0.04, 0.6, 0.6), (0.039, 0.6, 0.6), (0.6, 0.06, 0.6), (0.6, 0.059, 0.6),
            (0.6, 0.6, 1.12), (0.6, 0.6, 1.121)]
    assert told(sites(*ends))[0] == [True, False, True, False, True, False]
    assert told(sites(*ends))[1] == [False, True, False, True, False, True]


def test_of_two_that_are_too_near_the_surer_stays():
    row = sites((0.6, 0.6, 0.4), (0.6, 0.6, 0.48), (0.6, 0.6, 0.56), confidence=[0.92, 0.99, 0.95])
    assert told(row) == [[False, True, False], [True, False, True]]
    assert told(row, apart_nm=79.0)[0] == [True, True, True]


def test_equally_sure_ones_are_taken_in_order():
    assert told(sites((0.6, 0.6, 0.4), (0.6, 0.6, 0.45)))[0] == [True, False]


def test_no_places_at_all():
    assert told(sites()) == [[], []]


def flat(depth_of_pocket=3, size=5, shape=(24, 30, 30)):
    """Nucleus below the plane z = 8; a pocket so many voxels below that."""
    nucleus = np.zeros(shape, bool)
    nucleus[8:] = True
    pockets = np.zeros(shape, np.uint32)
    top = 8 + depth_of_pocket
    pockets[top : top + 6, 12 : 12 + size, 12 : 12 + size] = 3
    return pockets, nucleus


def test_a_closing_fills_the_space_to_the_membrane():
    pockets, nucleus = flat()
    bridge = Bridge(radius_nm=50.0, dilate_nm=0.0, depth_nm=(-40.0, 70.0))
    found = close_onto_membrane(pockets, nucleus, bridge=bridge, spacing=SPACING)
    assert set(np.unique(found)) == {0, 3}
    assert (found[8:11, 13:16, 13:16] == 3).all()
    assert not found[:8].any()
    assert not (found[pockets > 0]).any()
    wide = Bridge(radius_nm=50.0, dilate_nm=40.0, depth_nm=(-40.0, 70.0))
    more = close_onto_membrane(pockets, nucleus, bridge=wide, spacing=SPACING)
    assert more[6:8].any()
    assert not more[:6].any()
    assert (more > 0).sum() > (found > 0).sum()


def test_what_lies_too_deep_is_not_closed():
    pockets, nucleus = flat(depth_of_pocket=8)
    assert not close_onto_membrane(pockets, nucleus, bridge=Bridge(), spacing=SPACING).any()
    assert not close_onto_membrane(pockets * 0, nucleus, bridge=Bridge(), spacing=SPACING).any()


def test_a_closing_looks_no_farther_than_it_says():
    pockets, nucleus = flat(shape=(30, 60, 60))
    pockets[11:17, 40:45, 40:45] = 7
    whole = close_onto_membrane(pockets, nucleus, bridge=Bridge(), spacing=SPACING)
    halo = int(np.ceil(Bridge().reach_nm / 20))
    part = close_onto_membrane(
        pockets[:, :, : 30 + halo], nucleus[:, :, : 30 + halo], bridge=Bridge(), spacing=SPACING
    )
    np.testing.assert_array_equal(part[:, :, :30], whole[:, :, :30])


def test_an_annotation_knows_three_things():
    nucleus = np.zeros((50, 30, 30), bool)
    nucleus[25:] = True
    pores = np.zeros(nucleus.shape, np.uint32)
    pores[24:28, 5:10, 5:10] = 1
    unsure = sites((0.5, 0.4, 0.4), label=[1])
    rule = Sureness(near_nm=100.0, far_nm=300.0, rim_nm=20.0)
    found = annotate(
        pores, nucleus, unsure=unsure, rule=rule, body=PoreBody(), spacing=SPACING
    )
    assert (found[pores > 0] == 2).all()
    assert found[25, 20, 20] == 0
    # 60 nm of radius and 20 of rim
    assert found[25, 20, 24] == 0
    assert found[25, 20, 25] == 1
    assert set(np.unique(found[:10])) == {1}
    assert set(np.unique(found[12:19])) == {0}
    assert set(np.unique(found[20:24, :, 26:])) == {1}



@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sureness(sure=0.1, unsure=0.5), "unsure=0.5"),
        (lambda: Sureness(near_nm=400.0), "near_nm=400"),
        (lambda: Sureness(rim_nm=-1.0), "rim_nm=-1"),
        (lambda: Bridge(depth_nm=(50.0, -50.0)), "no range"),
        (lambda: Bridge(radius_nm=0.0), "radius_nm=0"),
    ],
)
def test_rules_that_cannot_be_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
