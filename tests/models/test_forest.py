"""A forest learns what it is shown, the same every time, and refuses what teaches nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.errors import DataError
from fibseg.models.forest import fit_forest


def two_clouds(n=(40, 40), seed=0, apart=4.0):
    rng = np.random.default_rng(seed)
    values = np.repeat([1, 2], n)
    features = rng.normal(size=(sum(n), 6)) + apart * (values[:, None] == 2)
    return features.astype(np.float32), values


def test_what_is_apart_is_told_apart():
    features, values = two_clouds()
    forest = fit_forest(features, values)
    fresh, truth = two_clouds(seed=1)
    assert forest.classes_.tolist() == [1, 2]
    assert (forest.predict(fresh) == truth).mean() > 0.98


def test_equal_voxels_and_seed_give_equal_trees_and_another_seed_others():
    features, values = two_clouds(apart=1.0)
    fresh, _ = two_clouds(seed=2, apart=1.0)
    first, again, other = (
        fit_forest(features, values, seed=seed).predict_proba(fresh) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_much_painted_of_one_class_does_not_drown_the_other():
    features, values = two_clouds((2000, 20), apart=1.5)
    fresh, truth = two_clouds((500, 500), seed=5, apart=1.5)
    found = fit_forest(features, values, n_trees=64).predict_proba(fresh)[:, 1]
    # Ranked as well as ever: of pairs of both classes nearly all stand in the right order.
    pairs = found[truth == 2][:, None] > found[truth == 1][None]
    assert pairs.mean() > 0.95


def test_one_value_and_bad_features_are_refused():
    features, values = two_clouds()
    with pytest.raises(DataError, match=r"80 voxels have the value \[1\]"):
        fit_forest(features, np.ones_like(values))
    features[3, 2] = np.nan
    features[7, 1] = np.inf
    with pytest.raises(DataError, match="2 voxels have features"):
        fit_forest(features, values)
