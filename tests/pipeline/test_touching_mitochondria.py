"""The ready list for mitochondria, on a phantom whose outlines are swollen until they touch."""

from __future__ import annotations

import numpy as np
import pytest
from chains import blockwise
from scipy import ndimage

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.metrics import Edits
from fibseg.phantom import make_cell
from fibseg.postprocess import dilation, grow_regions, watershed

SHAPE, SPACING, SWOLLEN_NM = (112, 160, 160), (20.0, 20.0, 20.0), 30.0


@pytest.fixture(scope="module")
def apart():
    return make_cell(SHAPE, seed=1, pores=False).labels["mitochondria"].astype(np.uint32)


@pytest.fixture(scope="module")
def truth(apart):
    return grow_regions(apart, distance_nm=SWOLLEN_NM, spacing=SPACING)


@pytest.fixture(scope="module")
def probs(truth):
    """Blurred and noisy, as a network's are; nothing tells where two objects touch."""
    noise = 0.5 * np.random.default_rng(1).standard_normal(truth.shape)
    blurred = ndimage.gaussian_filter((truth > 0) + noise, 1.0)
    return np.clip(255 * blurred, 0, 255).astype(np.uint8)


def clean_up(*overrides):
    words = ["volume=a", "name=m", "postprocess=mitochondria", *overrides]
    operators = build_parts(resolved(compose_verb("objects", words)))["postprocess"]
    return {name: step for name, step in operators.items() if step is not None}


def found(probs, *overrides):
    return blockwise(probs, clean_up(*overrides), SPACING, (64, 64, 64))


def test_touching_mitochondria_are_separated(truth, probs):
    together = Edits.between(found(probs, "postprocess.watershed=null"), truth)
    assert together.n_splits >= 15, "they do touch"
    any_neck = Edits.between(found(probs, "postprocess.watershed.min_angle_deg=0"), truth)
    assert any_neck.n_merges >= 2, "some are thick here and thin there"
    assert Edits.between(found(probs), truth).n_edits <= 1


def test_none_is_parted_that_is_one(apart):
    settings = {**clean_up()["watershed"].keywords, "probs": None}
    n = len(np.unique(apart)) - 1
    assert watershed(apart, **settings, spacing=SPACING).max() == n
    assert watershed(apart, **settings | {"min_angle_deg": 0}, spacing=SPACING).max() > n


def test_they_fill_the_same_voxels_as_before(truth, probs):
    labels = found(probs)
    assert (labels > 0).sum() == pytest.approx((truth > 0).sum(), rel=0.08)
    near = dilation(truth, radius_nm=40.0, spacing=SPACING)
    assert not (labels[~near] > 0).any()
