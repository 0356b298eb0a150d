"""A forest of random trees that tells classes of voxels apart by their features.

The trees are extremely randomised: P. Geurts, D. Ernst and L. Wehenkel, Machine Learning 63 (2006)
3. A few hundred voxels, painted in strokes, are nearly the same few over and over; thresholds that
are drawn at random instead of fitted to them carry farther (benchmarks/classify.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError

if TYPE_CHECKING:  # takes a second to import, and features need none of it
    from sklearn.ensemble import ExtraTreesClassifier

N_TREES = 32
"""Trees of a forest: more make the probabilities finer, and take as much longer."""


def fit_forest(
    features: NDArray[np.float32], values: NDArray[Any], *, n_trees: int = N_TREES, seed: int = 0
) -> ExtraTreesClassifier:
    """Forest of scikit-learn, the same for the same voxels in the same order and the same `seed`.

    Classes weigh alike, however much is painted of each.

    Parameters
    ----------
    features
        Shape (voxels, features).
    values
        Painted value of each voxel.
    n_trees
        Number of trees.
    seed
        Of the draws of voxels and features.

    Raises
    ------
    DataError
        If there are not two values at least, or a feature is not finite.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    found = np.unique(values)
    if len(found) < 2:
        raise DataError(
            f"All {len(values)} voxels have the value {found.tolist()}: there is nothing to tell "
            "apart. Paint a second class, or background."
        )
    if not np.isfinite(features).all():
        n_bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise DataError(f"{n_bad} voxels have features that are NaN or infinite. Check the image.")
    forest = ExtraTreesClassifier(
        n_estimators=n_trees, class_weight="balanced", random_state=seed, n_jobs=1
    )
    return forest.fit(features, values)
