"""The ready list for mitochondria, on a phantom whose outlines are swollen until they touch."""

from __future__ import annotations

import numpy as np
import pytest
from chains import blockwise
from scipy import ndimage

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.metrics import Edits
from fibseg.phantom import make_cell
from fibseg.postprocess import dilation, grow_regions

SHAPE, SPACING, SWOLLEN_NM = (112, 160, 160), (20.0, 20.0, 20.0), 30.0


@pytest.fixture(scope="module")
def truth():
    labels = make_cell(SHAPE, seed=0, pores=False).labels["mitochondria"].astype(np.uint32)
    return grow_regions(labels, distance_nm=SWOLLEN_NM, spacing=SPACING)


@pytest.fixture(scope="module")
def probs(truth):
    """Blurred and noisy, as a network's are; nothing tells where two objects touch."""
    noise = 0.5 * np.random.default_rng(1).standard_normal(truth.shape)
    blurred = ndimage.gaussian_filter((truth > 0) + noise, 1.0)
    return np.clip(255 * blurred, 0, 255).astype(np.uint8)


def found(probs, *overrides):
    words = ["volume=a", "name=m", "postprocess=mitochondria", *overrides]
    operators = build_parts(resolved(compose_verb("objects", words)))["postprocess"]
    return blockwise(
        probs, {k: v for k, v in operators.items() if v is not None}, SPACING, (64, 64, 64)
    )


def test_touching_mitochondria_are_separated(truth, probs):
    apart = Edits.between(found(probs), truth)
    together = Edits.between(found(probs, "postprocess.watershed=null"), truth)
    assert together.n_splits >= 15, "they do touch"
    assert apart.n_edits <= together.n_edits / 5
    assert apart.n_merges <= 1, "hardly one is parted that is one"


def test_they_fill_the_same_voxels_as_before(truth, probs):
    labels = found(probs)
    assert (labels > 0).sum() == pytest.approx((truth > 0).sum(), rel=0.08)
    near = dilation(truth, radius_nm=40.0, spacing=SPACING)
    assert not (labels[~near] > 0).any()
