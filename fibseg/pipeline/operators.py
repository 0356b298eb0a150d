"""A chain of clean-up operators on volumes that no memory holds, from the verbs of the engine.

Local operators that follow each other run in one pass; a global one is a short composition in
`fibseg.pipeline.compositions`. The result is that of the array kernels on the whole volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fibseg.blocks import label_blocks, layout_key, map_blocks
from fibseg.geometry import reach_nm
from fibseg.pipeline import features, objectwise
from fibseg.pipeline.bench import Array, Bench, Sheet, Voxelwise, Work, as_mask, result_type, word
from fibseg.pipeline.chain import OWN, Step, function_of, planned, settings
from fibseg.pipeline.compositions import GLOBAL
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.region_sums import region_table
from fibseg.postprocess import (
    components,
    fewest_voxels,
    filter_objects,
    grow_regions,
    split_large,
    watershed,
)

__all__ = ["GLOBAL", "Bench", "Sheet", "Work", "find_objects", "region_table"]


def find_objects(
    probs: Array, target: Sheet, operators: Mapping[str, Operator | None], *, work: Work,
    inputs: str,
) -> int:
    """Write the numbered objects of `probs` into `target`; returns how many there are.

    Parameters
    ----------
    probs
        Probabilities, shape (z, y, x).
    target
        Label image on the same grid.
    operators
        Name to operator, in order, None to leave it out; `fibseg.postprocess.components`
        numbers the objects, and only operators on numbered objects may follow.
    work
        Blocks, runner, spacing, the bench, and the arrays that operators name: among them
        ``"probabilities"``, if `probs` are not those themselves but what steps before made of them.
    inputs
        Hash of what `probs` and those arrays are.

    Raises
    ------
    UsageError
        Before any work, if the chain or a setting in it cannot be meant.
    """
    arrays = {OWN: probs, **work.arrays}
    steps = list(planned(
        operators, dtype=probs.dtype, known=GLOBAL, arrays=arrays, spacing=work.spacing
    ))
    current, n = probs, 0
    for number, step in enumerate(steps):
        inputs = layout_key(before=inputs, step=step.about)
        function, name = function_of(step.fn), f"{number}-{step.name}"
        others = [arrays[array] for _, array in step.arrays]
        if function in NUMBERED:
            last = number == len(steps) - 1
            sheet = target if last else work.bench.sheet(name, dtype=np.uint32, inputs=inputs)
            given = dict(zip((keyword for keyword, _ in step.arrays), others, strict=True))
            found = NUMBERED[function](
                current, sheet, name, inputs, work, **given, **settings(step.fn)
            )
            current, n = sheet.array, n if found is None else found
        elif function in GLOBAL:
            current = GLOBAL[function](current, name, inputs, work, **settings(step.fn))
        elif reach_nm(step.fn) == 0:
            # Cheaper to compute twice than to write and read.
            current = Voxelwise(current, step.fn, tuple(others))
        else:
            current = _local([current, *others], step, name, inputs, work)
    return n


def _local(sources: list[Array], step: Step, name: str, inputs: str, work: Work) -> Array:
    """Stored result of a local operator."""
    kind = result_type(step.fn, *sources)
    is_mask = kind == np.dtype(bool)
    sheet = work.bench.sheet(name, dtype=np.uint8 if is_mask else kind, inputs=inputs)
    map_blocks(
        step.fn, sources, sheet.array, block_shape=work.block_shape, runner=work.runner,
        journal=sheet.journal, fingerprint=inputs, label=word(name),
    )
    return as_mask(sheet.array) if is_mask else sheet.array


def _components(
    mask: Array, target: Sheet, name: str, inputs: str, work: Work, *, connectivity: int,
    min_voxels: int | None, min_volume_um3: float | None,
) -> int:
    least = fewest_voxels(
        min_voxels=min_voxels, min_volume_um3=min_volume_um3, spacing=work.spacing
    )
    return label_blocks(
        mask, target.array, block_shape=work.block_shape, connectivity=connectivity,
        min_voxels=least, runner=work.runner, scratch=target.folder, journal=target.journal,
        fingerprint=inputs, label=word(name),
    )


def _watershed(
    labels: Array, target: Sheet, name: str, inputs: str, work: Work, **options: Any
) -> int:
    return objectwise.watershed(
        labels, target, block_shape=work.block_shape, runner=work.runner, spacing=work.spacing,
        inputs=inputs, **options,
    ).n_objects


def _grow_regions(
    labels: Array, target: Sheet, name: str, inputs: str, work: Work, **options: Any
) -> None:
    objectwise.grow_regions(
        labels, target, block_shape=work.block_shape, runner=work.runner, spacing=work.spacing,
        inputs=inputs, **options,
    )


NUMBERED: dict[Any, Callable[..., int | None]] = {
    components: _components,
    watershed: _watershed,
    split_large: objectwise.split_large,
    grow_regions: _grow_regions,
    filter_objects: features.filter_objects,
}
"""Operator that gives numbered objects to what writes them, and counts them if they change."""
