"""A store with a nucleus of two lobes and small objects on its envelope."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_cells import add_labels
from surfaces import apart, two_lobes

from fibseg.measure.envelope import EnvelopeMesh
from fibseg.pipeline import distribution
from fibseg.pipeline.pyramid import finish_raw
from fibseg.types import Labels, Mask
from fibseg.volume import Volume

SPACING = (40.0, 40.0, 40.0)
QUICK = distribution.Spreading(n_simulations=19)
BRIEF = distribution.Sections(n_draws=99)


def pores_on(mask: Mask, n: int, *, least_um: float = 0.25, seed: int = 0) -> Labels:
    """At most `n` objects of some voxels on the envelope of a mask."""
    envelope = EnvelopeMesh.of(mask, spacing=SPACING)
    places = np.round(apart(envelope, n, least_um=least_um, seed=seed) / 0.04).astype(int)
    labels = np.zeros(mask.shape, np.uint32)
    for number, place in enumerate(places, 1):
        near = tuple(slice(max(c - 1, 0), c + 2) for c in place)
        labels[near] = np.where(labels[near] == 0, number, labels[near])
    return labels


def nucleus_store(path: Path, nucleus: Mask, **labels: Labels) -> Volume:
    store = Volume.create(
        path, shape=nucleus.shape, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    store.raw()[:] = np.random.default_rng(0).integers(0, 256, nucleus.shape, np.uint8)
    finish_raw(store)
    for name, voxels in {"nucleus": nucleus.astype(np.uint8), **labels}.items():
        add_labels(store, name, voxels)
    return store


def pore_store(path: Path, n: int = 120) -> Volume:
    nucleus = two_lobes()
    return nucleus_store(path, nucleus, pores=pores_on(nucleus, n))


def run(store: Volume, **change):
    plan = {"objects": "pores", "spreading": QUICK, "sections": BRIEF}
    return distribution.run(**{"volume": str(store.path), **plan, **change})
