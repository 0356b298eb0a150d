"""Small pixel classifiers, trained on noise, so that tests need no painting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fibseg.data import RULE
from fibseg.export import ForestSpec, forest_to_onnx
from fibseg.models.features import FEATURES
from fibseg.models.forest import fit_forest


def random_forests(
    *, n_classes: int = 1, precision_nm: float = 40.0, volume: Sequence[float] = (20.0, 40.0),
    border: Sequence[float] = (10.0, 20.0), n_trees: int = 5, seed: int = 0,
) -> tuple[dict[str, bytes], ForestSpec]:
    """ONNX files by stage and their description; thresholds lie where features of images do."""
    spec = ForestSpec(
        classes=tuple(f"class{i}" for i in range(n_classes)), precision_nm=precision_nm,
        sigmas_nm={"volume": tuple(volume), "border": tuple(border)}, normalisation=dict(RULE),
        training={"painted": {"background": 7, "class0": 9}}, versions={"fibseg": "0"},
    )
    rng = np.random.default_rng(seed)
    forests = {}
    for stage, sigmas in spec.sigmas_nm.items():
        n = len(FEATURES) * len(sigmas)
        if n:
            values = rng.integers(1, n_classes + 2, 120)
            values[: n_classes + 1] = np.arange(1, n_classes + 2)
            features = rng.normal(size=(120, n)) + 0.6 * values[:, None]
            forest = fit_forest(features.astype(np.float32), values, n_trees=n_trees, seed=seed)
            forests[stage] = forest_to_onnx(forest)
    return forests, spec
