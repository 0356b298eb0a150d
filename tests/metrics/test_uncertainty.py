from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fibseg.metrics import UNCERTAINTIES
from fibseg.metrics.uncertainty import disagreement, entropy, margin


def views(seed: int, n_views: int = 3, n_classes: int = 2) -> np.ndarray:
    """Bytes of classes that leave something for the background, (views, classes, 5, 6)."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes + 1, 0.5), (n_views, 5, 6))[..., 1:]
    return np.floor(shares * 255).astype(np.uint8).transpose(0, 3, 1, 2)


def shares(of: np.ndarray) -> np.ndarray:
    """Background first, (views, 1 + classes, y, x)."""
    classes = of / 255
    return np.concatenate([1 - classes.sum(1, keepdims=True), classes], axis=1)


@pytest.mark.parametrize("n_classes", [1, 2, 4])
def test_entropy_is_that_of_scipy(n_classes: int) -> None:
    found = views(0, n_classes=n_classes)
    want = stats.entropy(shares(found).mean(0), axis=0) / np.log(n_classes + 1)
    np.testing.assert_allclose(entropy(found), want, atol=2e-6)


def test_disagreement_is_the_divergence_of_jensen_and_shannon() -> None:
    found = views(1)
    p = shares(found)
    want = np.mean([stats.entropy(one, p.mean(0), axis=0) for one in p], axis=0) / np.log(3)
    np.testing.assert_allclose(disagreement(found), want, atol=3e-6)


def test_margin_is_small_where_one_class_is_far_ahead() -> None:
    found = np.array([[[[250, 130, 90]], [[0, 120, 80]]]], np.uint8)
    want = [1 - (250 - 5) / 255, 1 - 10 / 255, 1 - 5 / 255]
    np.testing.assert_allclose(margin(found)[0], want, atol=1e-6)


@pytest.mark.parametrize("name", UNCERTAINTIES)
@given(seed=st.integers(0, 99), n_views=st.integers(1, 4), n_classes=st.integers(1, 3))
def test_all_lie_from_0_to_1_and_forget_the_order_of_views(
    name: str, seed: int, n_views: int, n_classes: int
) -> None:
    found = views(seed, n_views, n_classes)
    unsure = UNCERTAINTIES[name](found)
    assert unsure.shape == (5, 6)
    assert unsure.dtype == np.float32
    assert unsure.min() >= 0
    assert unsure.max() <= 1
    np.testing.assert_allclose(UNCERTAINTIES[name](found[::-1]), unsure, atol=1e-6)


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_what_all_views_are_sure_of_is_not_unsure(name: str) -> None:
    sure = np.zeros((4, 2, 3, 3), np.uint8)
    sure[:, 1] = 255
    np.testing.assert_allclose(UNCERTAINTIES[name](sure), 0, atol=1e-6)
    assert UNCERTAINTIES[name](np.zeros((4, 2, 0, 3), np.uint8)).shape == (0, 3)


def test_views_that_agree_on_being_unsure_do_not_disagree() -> None:
    unsure = np.full((4, 1, 2, 2), 128, np.uint8)
    assert entropy(unsure).min() > 0.99
    np.testing.assert_allclose(disagreement(unsure), 0, atol=1e-6)
