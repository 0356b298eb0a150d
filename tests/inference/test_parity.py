"""Two runners on the same images: how far apart they are, by kind, NaN and other shapes told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from travelling import CONSTANTS, small_model

from fibseg.data import Normalisation
from fibseg.errors import DataError
from fibseg.export.czann import CzannSettings, czann_graph
from fibseg.export.image_onnx import image_onnx
from fibseg.inference.parity import (
    Batch,
    OnnxFile,
    compare,
    raw_runner,
    releases,
    torch_runner,
    unit_runner,
)

NETWORK, SPEC = small_model(n_classes=2)
VALUES = Normalisation(CONSTANTS.low, CONSTANTS.high, invert=True)
REFERENCE = torch_runner(NETWORK, VALUES, multiple=2)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def test_an_onnx_file_and_torch_agree_on_every_size_and_range():
    file = raw_runner(image_onnx(NETWORK, SPEC, CONSTANTS, {}, adjustable=True))
    batches = [
        Batch("real", noise(3, 1, 32, 32)), Batch("real", noise(1, 1, 32, 32)),
        Batch("odd-sized", noise(1, 1, 7, 11)), Batch("other", noise(1, 1, 32, 32), (0.0, 90.0)),
    ]
    found = compare(file, REFERENCE, batches)
    assert [(c.kind, c.n_windows, c.n_pixels) for c in found] == [
        ("real", 4, 4096), ("odd-sized", 1, 77), ("other", 1, 1024)
    ]
    assert all(c.max_dp < 5e-5 for c in found)
    assert all(c.n_agree >= c.n_pixels - 1 for c in found)


def test_a_tile_of_a_czann_and_torch_agree():
    graph = czann_graph(NETWORK, SPEC, CONSTANTS, CzannSettings(32), {})
    found = compare(unit_runner(graph, 255), REFERENCE, [Batch("real", noise(2, 1, 32, 32))])
    assert found[0].max_dp < 5e-5
    assert found[0].n_windows == 2


def test_other_grey_values_are_found_out():
    other = torch_runner(NETWORK, Normalisation(30.0, 200.0, invert=True), multiple=2)
    found = compare(other, REFERENCE, [Batch("real", noise(1, 1, 32, 32))])
    assert found[0].max_dp > 1e-3


def test_the_worst_of_a_kind_counts_and_nan_is_the_worst():
    def shifted(by: float):
        return lambda batch: REFERENCE(batch) + np.float32(by * batch.images.shape[0])

    batches = [Batch("real", noise(n, 1, 8, 8)) for n in (2, 1)]
    assert compare(shifted(0.1), REFERENCE, batches)[0].max_dp == pytest.approx(0.2, rel=1e-4)
    assert math.isnan(compare(shifted(math.nan), REFERENCE, batches)[0].max_dp)


def test_labels_that_differ_are_counted():
    def turned(batch: Batch) -> np.ndarray:
        return REFERENCE(batch)[:, [1, 0, 2]]

    batch = Batch("real", noise(1, 1, 16, 16))
    first = REFERENCE(batch).argmax(1)
    found = compare(turned, REFERENCE, [batch])[0]
    assert found.n_agree == (first == 2).sum() < found.n_pixels


def test_another_shape_is_refused():
    with pytest.raises(DataError, match=r"gives the shape \(1, 3, 8, 7\) where"):
        compare(
            lambda batch: REFERENCE(batch)[..., :-1], REFERENCE, [Batch("real", noise(1, 1, 8, 8))]
        )


def test_what_onnx_runtime_cannot_use_is_told_in_a_line():
    with pytest.raises(DataError, match="ONNX Runtime cannot use the exported file") as refused:
        OnnxFile(b"no graph")
    assert "\n" not in str(refused.value)


def test_the_releases_of_both_sides_are_told():
    assert set(releases()) == {"torch", "onnxruntime"}
