"""A small version of a command for its rehearsal, and the small stores that it works on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fibseg.blocks import Serial
from fibseg.geometry import Box
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.progress import Stage
from fibseg.volume import Volume

Parts = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A small command, and how the whole one compares.

    Attributes
    ----------
    parts
        Arguments of the small command.
    place
        Where the whole one writes.
    text
        In words, what the sample is.
    factor, factors
        So many times larger is the whole in every stage, and in those named.
    disk_factor
        So many times more is written to disk.
    in_memory
        Whether memory and the time outside of stages grow by `factor` too.
    memory_bytes
        What a worker of the whole may take, whatever that of the sample takes.
    cut, whole, block
        Shapes (z, y, x) of the sample, of the volume, and of a block of the volume.
    before
        Stages that were measured while the sample was made.
    threads
        How many a block of the longest stage uses well.
    at_once
        So many such commands run side by side, each with that memory.
    limited, limit_s
        Stage that ends when the whole command has taken so many seconds.
    """

    parts: Parts
    place: Path
    text: str
    factor: float = 1.0
    factors: Mapping[str, float] = field(default_factory=dict)
    disk_factor: float = 1.0
    in_memory: bool = False
    memory_bytes: float = 0.0
    cut: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()
    block: tuple[int, ...] = ()
    before: Sequence[Stage] = ()
    threads: int = 1
    at_once: int = 1
    limited: str = ""
    limit_s: float = math.inf

    def factor_of(self, label: str) -> float:
        """How many times larger that stage is."""
        return self.factors.get(label, self.factor)


def of_store(
    store: Volume, folder: Path, parts: Parts, *, labels: Sequence[str] = (),
    probabilities: Sequence[str] = (), distances: Sequence[str] = (),
    block: Sequence[int] | None = None, box: Box | None = None,
) -> Sample:
    """The same command on two blocks of a store, alone in a store of their own.

    Two, since what happens once (loading, compiling) happens in the first; in the middle, unless
    another `box` is given.
    """
    whole = store.block_shape if block is None else tuple(block)
    where = "in the middle" if box is None else f"from {by(box.start)} on"
    box = central_blocks(store.shape, whole) if box is None else box
    small = cut_out(
        store, folder / store.name, box, labels=labels, probabilities=probabilities,
        distances=distances,
    )
    factor = math.prod(store.shape) / box.size
    changed = {"volume": str(small.path)} | ({"blocks": Serial()} if "blocks" in parts else {})
    return Sample(
        parts | changed, store.path,
        f"{by(box.shape)} of {by(store.shape)} voxels, {where}",
        factor=factor, disk_factor=factor, cut=small.shape, whole=store.shape, block=whole,
    )


def cut_out(
    store: Volume, path: Path, box: Box, *, labels: Sequence[str] = (),
    probabilities: Sequence[str] = (), distances: Sequence[str] = (),
) -> Volume:
    """A store with nothing but `box` of the image and of the named products."""
    small = Volume.create(
        path, shape=box.shape, dtype=store.dtype, spacing=store.spacing, polarity=store.polarity,
        ome_version=store.ome_version,
    )
    small.raw()[...] = store.raw()[box.slices]
    finish_raw(small)
    for name in labels:
        array, info = store.labels(name), store.labels_info(name)
        product = small.create_labels(
            name, kind="annotation" if info.kind == "annotation" else "labels",
            dtype=array.dtype, inputs="sample", classes=info.classes,
        )
        product.array[...] = array[box.slices]
        finish_product(product)
    for name in probabilities:
        product = small.create_probabilities(name, inputs="sample")
        product.array[...] = store.probabilities(name)[box.slices]
        finish_product(product)
    for name in distances:
        info = store.distances_info(name)
        product = small.create_distances(
            name, inputs="sample", derived_from=str(info.derived_from),
            range_nm=info.attributes["range_nm"],
        )
        product.array[...] = store.distances(name)[box.slices]
        finish_product(product)
    return small


def central_blocks(shape: Sequence[int], block: Sequence[int]) -> Box:
    """Two neighbouring blocks of a grid over `shape`, around its centre; one if there is one only.

    >>> central_blocks((300, 200), (64, 200))
    Box(start=(64, 0), stop=(192, 200))
    """
    lengths = [min(b, n) for b, n in zip(block, shape, strict=True)]
    for axis, n in enumerate(shape):
        if n >= 2 * lengths[axis]:
            lengths[axis] *= 2
            break
    start = tuple(
        (n - length) // 2 // b * b for n, length, b in zip(shape, lengths, block, strict=True)
    )
    return Box(start, tuple(a + n for a, n in zip(start, lengths, strict=True)))


def by(shape: Sequence[int]) -> str:
    """Shape for people: 3 x 4 x 5."""
    return " x ".join(map(str, shape))
