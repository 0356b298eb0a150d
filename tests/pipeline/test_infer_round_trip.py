"""Out and back: what `fibseg export` writes gives the labels that the model folder gives."""

from __future__ import annotations

import numpy as np
import pytest
from stores import OBJECTS, noise_store
from travelling import trained_model

from fibseg.export.foreign import read_foreign
from fibseg.pipeline import export, infer

DIFFERENT = 1e-6
"""Share of voxels whose label may differ: those within rounding of the threshold."""


@pytest.fixture(scope="module")
def travelled(tmp_path_factory):
    """Store, model folder and exported files of a model, its products made from the folder."""
    folder = tmp_path_factory.mktemp("travel")
    store = noise_store(folder / "cell.ome.zarr", shape=(24, 230, 210))
    made = {}
    for context in (0, 1):
        model = trained_model(
            folder / f"model{context}", store, context=context, n_classes=2, core=64,
            features=(4, 4), spread=2.0,
        )
        export.run(model=str(model), format="onnx" if context else "all",
                   out=str(folder / f"out{context}"), tile=128)
        infer.run(model=str(model), volume=str(store.path), name=f"folder{context}",
                  postprocess=OBJECTS, backend="torch", precision="float32")
        made[context] = folder / f"out{context}"
    return store, made


def of_kind(folder, kind):
    (path,) = (p for p in folder.iterdir()
               if p.suffix in (".onnx", ".czann", ".zip") and read_foreign(p).kind == kind)
    return path


@pytest.mark.parametrize(("kind", "context"), [
    ("onnx", 0), ("onnx", 1), ("czann", 0), ("bioimageio", 0),
])
def test_the_labels_are_the_same(travelled, kind, context):
    store, made = travelled
    name = f"{kind}{context}"
    infer.run(model=str(of_kind(made[context], kind)), volume=str(store.path), name=name,
              postprocess=OBJECTS)
    for c in ("class0", "class1"):
        wanted, got = (store.labels(f"{n}_{c}")[:] for n in (f"folder{context}", name))
        assert 0.02 < (wanted > 0).mean() < 0.98
        assert ((wanted > 0) != (got > 0)).mean() <= DIFFERENT
        a, b = (store.probabilities(f"{n}_{c}")[:].astype(int)
                for n in (f"folder{context}", name))
        assert np.abs(a - b).max() <= 1
        assert (a != b).mean() < 1e-3


def test_an_onnx_file_takes_the_grey_values_of_another_volume(travelled, tmp_path):
    """Brighter, and stained the other way round: percentiles and polarity are its own."""
    store, made = travelled
    turned = noise_store(tmp_path / "b.ome.zarr", shape=store.shape, image=255 - store.raw()[:])
    path = of_kind(made[0], "onnx")
    assert read_foreign(path).polarity == "dark"
    infer.run(model=str(path), volume=str(turned.path), name="t")
    folder = made[0].parent / "model0"
    infer.run(model=str(folder), volume=str(turned.path), name="f", backend="torch",
              precision="float32")
    for c in ("class0", "class1"):
        a, b = (turned.probabilities(f"{n}_{c}")[:].astype(int) for n in "tf")
        assert np.abs(a - b).max() <= 1
