"""``classify`` on flat voxels: the same on any blocks, by seed, and from paint at the very edge."""

from __future__ import annotations

import numpy as np
import pytest
from classified import make_store, run
from inference_fakes import random_image
from scipy import ndimage

from fibseg.blocks import Processes
from fibseg.pipeline import classify_train

SHAPE, SPACING = (24, 130, 140), (50.0, 10.0, 12.5)


@pytest.fixture(scope="module")
def truth():
    """A body whose brightness is another one, cut by two faces."""
    z, y, x = np.indices(SHAPE) * np.reshape(SPACING, (3, 1, 1, 1))
    return np.sqrt((z - 300) ** 2 + (y - 200) ** 2 + (x - 600) ** 2) < 450


@pytest.fixture(scope="module")
def store(truth, tmp_path_factory):
    image = (random_image(SHAPE, seed=1) * 0.4 + 110 * truth).astype(np.uint8)
    painting = np.zeros(SHAPE, np.uint8)
    # Strokes in the first plane and along the faces, where features see half of what is elsewhere.
    painting[0, ::9, ::9] = painting[::4, 0, ::9] = painting[::4, ::9, -1] = 1
    painting[painting > 0] += truth[painting > 0]
    store = make_store(
        tmp_path_factory.mktemp("flat") / "a.ome.zarr", image, {"cell": painting}, spacing=SPACING
    )
    run(store)
    return store


def model_of(store):
    return store.path.parent / "a.models" / "cell"


def test_paint_at_the_edge_finds_the_body(store, truth):
    found = store.probabilities("cell")[:] >= 128
    assert (found & truth).sum() / (found | truth).sum() > 0.9
    inner = ndimage.binary_erosion(truth, iterations=3)
    assert found[inner].mean() > 0.98


@pytest.mark.parametrize(
    "how",
    [{"block_shape": (24, 128, 140)}, {"block_shape": (24, 130, 128)},
     {"blocks": Processes(2), "block_shape": (24, 128, 128)}],
)
def test_blocks_and_workers_change_nothing(store, how):
    name = "b" + "x".join(map(str, how["block_shape"]))
    run(store, name=name, model=str(model_of(store)), **how)
    assert store.probabilities_info(name).digest == store.probabilities_info("cell").digest


def test_the_seed_decides_and_nothing_else(store, tmp_path):
    files = [path.name for path in model_of(store).glob("*.onnx")]
    made = {}
    for folder, seed in (("a", 0), ("b", 7), ("c", 7)):
        lesson = classify_train.Lesson.of(store, "cell", precision_nm=40, n_trees=32, seed=seed)
        classify_train.trained(store, lesson, tmp_path / folder, blocks=None, overwrite=False)
        made[folder] = [(tmp_path / folder / name).read_bytes() for name in files]
    assert made["a"] == [(model_of(store) / name).read_bytes() for name in files]
    assert made["b"] == made["c"]
    assert all(one != other for one, other in zip(made["a"], made["b"], strict=True))
