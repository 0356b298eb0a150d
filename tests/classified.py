"""Stores with painting for the pixel classifier, and the classifier run on them."""

from __future__ import annotations

from functools import partial

import numpy as np
from inference_fakes import random_image

from fibseg import postprocess
from fibseg.blocks import Serial
from fibseg.phantom import dabbed_annotation, make_cell
from fibseg.pipeline import classify
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

CHAIN = {
    "threshold": partial(postprocess.threshold, level=0.5),
    "keep_largest": partial(postprocess.keep_largest, n=1, connectivity=6),
    "fill_holes": partial(postprocess.fill_holes), "components": partial(postprocess.components),
}  # fmt: skip
SHAPE = (80, 140, 132)


def classified_phantom(folder, shape=SHAPE):
    """Phantom, its store with the cell classified from 200 voxels, and what the command said."""
    cell = make_cell(shape, seed=3, pores=False)
    painting = dabbed_annotation(cell.labels["cell"], seed=5, spacing=cell.spacing)
    store = make_store(folder / "a.ome.zarr", cell.image, {"cell": painting})
    return cell, store, run(store, postprocess=CHAIN)


def make_store(path, image, paintings, *, spacing=(20.0, 20.0, 20.0), classes=None):
    # Zarr 2 has no shards, so that a small volume has many blocks.
    store = Volume.create(
        path, shape=image.shape, dtype=image.dtype, spacing=spacing, polarity="dark",
        ome_version="0.4",
    )
    store.raw()[:] = image
    finish_raw(store)
    for name, painting in paintings.items():
        product = store.create_labels(
            name, kind="annotation", dtype=np.uint8, inputs=f"{painting.sum()}",
            classes=classes or {name: 2},
        )
        product.array[:] = painting
        finish_product(product)
    return store


def run(store, **keywords):
    settings = {"annotation": "cell", "name": "cell", "blocks": Serial()} | keywords
    return classify.run(volume=str(store.path), **settings)


def iou(found, truth):
    return (found & truth).sum() / (found | truth).sum()


def blank(path, painting=None, *, shape=(12, 30, 30), **keywords):
    """A small store with random contents."""
    paintings = {} if painting is None else {"cell": painting}
    return make_store(path, random_image(shape), paintings, **keywords)


def painted(counts, shape=(12, 30, 30)):
    """So many voxels of each value, at random."""
    out = np.zeros(shape, np.uint8)
    values = np.repeat(list(counts), list(counts.values()))
    out.reshape(-1)[np.random.default_rng(0).permutation(out.size)[: len(values)]] = values
    return out
