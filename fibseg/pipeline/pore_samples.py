"""Small versions of the steps of ``fibseg pores``: a block that the envelope runs through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline import pseudolabels
from fibseg.pipeline.nucleus_border import blocks_with_border
from fibseg.pipeline.objects import planned_jobs
from fibseg.pipeline.pocket_job import POCKETS, SITES
from fibseg.pipeline.pore_sites import BLOCK_SIDE, worker_bytes
from fibseg.pipeline.sample import Parts, Sample, by, of_store
from fibseg.pseudolabel import Bridge, PoreBody, PoreShape, Sureness
from fibseg.types import Table
from fibseg.volume import Volume


def pores_sample(parts: Parts, folder: Path) -> Sample:
    """Sample of the step whose arguments these are."""
    if "levels" in parts:
        return _objects(parts, folder)
    return _pockets(parts, folder) if "keep" in parts else _pseudolabels(parts, folder)


def _objects(parts: Parts, folder: Path) -> Sample:
    """Two blocks of the probabilities, with the threshold as it is: to choose one takes moments."""
    store = Volume.open(parts["volume"])
    planned_jobs(store, parts["name"], parts["postprocess"])
    return of_store(store, folder, parts | {"levels": None}, probabilities=[parts["name"]])


def _pockets(parts: Parts, folder: Path) -> Sample:
    """One block with a piece of the envelope; whether its places are of two kinds is not asked.

    Places are looked for around the envelope alone, with a wide halo: that pass is scaled by the
    blocks that it runs through and by what is read for one.
    """
    store = Volume.open(parts["volume"])
    nucleus, shape = store.labels(parts["nucleus"]), parts["shape"] or PoreShape()
    side = (BLOCK_SIDE,) * 3
    near = blocks_with_border(nucleus, block_shape=side, runner=parts["blocks"],
                              named=f"labels/{parts['nucleus']}")
    box = near[len(near) // 2]
    sample = of_store(
        store, folder, {**parts, "least": 0.0}, labels=[parts["nucleus"]], block=side, box=box
    )
    halo = halo_voxels(shape.reach_nm, store.spacing)
    read = [one.grow(halo).clip(store.shape).size for one in near]
    factor = sum(read) / box.size
    return replace(
        sample, factors={"pores: places": factor, "pores: feet": factor},
        memory_bytes=worker_bytes(max(read)),
        text=f"{by(box.shape)} of {by(store.shape)} voxels, one of {len(near)} blocks that the "
        "envelope runs through",
    )


def _pseudolabels(parts: Parts, folder: Path) -> Sample:
    """The block with the most places, all of them taken for sure."""
    store = Volume.open(parts["volume"])
    rule = parts["rule"] or Sureness()
    pseudolabels.planned_job(
        store, parts["nucleus"], parts["method"], parts["body"] or PoreBody(),
        parts["bridge"] or Bridge(), rule,
    )
    sites, table = store.table(SITES), store.table(POCKETS)
    side = np.array([BLOCK_SIDE] * 3)
    places = np.stack([sites[f"{a}_um"] for a in "zyx"], axis=1) * 1000
    cells = np.floor(places / np.array(store.spacing) / side).astype(int)
    starts, n = np.unique(cells[sites["label"] > 0], axis=0, return_counts=True)
    first = (starts[np.argmax(n)] if len(n) else np.zeros(3, int)) * side
    box = Box(tuple(map(int, first)), tuple(map(int, first + side))).clip(store.shape)
    sample = of_store(
        store, folder, {**parts, "rule": replace(rule, sure=0.0, unsure=0.0)},
        labels=[parts["nucleus"], POCKETS], block=side.tolist(), box=box,
    )
    small = Volume(sample.parts["volume"])
    digest = small.labels_info(POCKETS).digest
    shift = dict(zip("zyx", np.array(box.start) * store.spacing / 1000, strict=True))
    low, high = (np.array(end) * store.spacing for end in (box.start, box.stop))
    inside = np.flatnonzero(((places >= low) & (places < high)).all(axis=1))
    told = {"method": "envelope", "sources": {
        f"labels/{parts['nucleus']}": small.labels_info(parts["nucleus"]).digest
    }}
    small.write_table(SITES, _moved(sites, inside, shift), labels_digest=digest,
                      measured=told)
    small.write_table(POCKETS, table, labels_digest=digest)
    return sample


def _moved(sites: Table, rows: NDArray[np.intp], shift: dict[str, float]) -> Table:
    """Some of the places, seen from another first voxel."""
    chosen = {name: column[rows] for name, column in sites.items()}
    return {**chosen, **{f"{a}_um": chosen[f"{a}_um"] - shift[a] for a in "zyx"}}
