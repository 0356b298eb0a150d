"""Labels and annotations on the grid of a volume: the second half of `fibseg import`."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import label_blocks
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.bench import as_mask
from fibseg.pipeline.ingest_blocks import cheap_to_cut, copy, survey
from fibseg.pipeline.ingest_memory import Memory
from fibseg.pipeline.label_values import (
    check_integers,
    check_labels,
    check_painting,
    class_values,
)
from fibseg.pipeline.pyramid import finish_product, most_bytes
from fibseg.pipeline.store_bench import StoreBench
from fibseg.pipeline.unchanged import without_predictions
from fibseg.volume import BACKGROUND, UNLABELLED, Product, Volume, fingerprint
from fibseg.volume.record import label_name
from fibseg.volume.sources import (
    PlacedPlanes,
    Source,
    Survey,
    checked_spacing,
    refuse_contradiction,
    refuse_gaps,
    refuse_other_shape,
)

_log = logging.getLogger("fibseg.pipeline")


def add(
    source: Source, volume: Volume, *, kind: str, name: str | None,
    spacing: Sequence[float] | None, trust_spacing: bool, planes: Sequence[int] | None,
    objects: str | None, classes: Mapping[str, int] | Sequence[str] | None, memory: Memory,
    unchanged: str, overwrite: bool, record: dict[str, Any], overrides: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Summary of the labels or the annotation that was added to `volume`."""
    if not name:
        raise UsageError(f"kind={kind} needs a name, e.g. name=mitochondria.")
    full = label_name(name, kind=kind, dtype=np.uint8)  # refuses a bad one before reading voxels
    _check_fit(source, volume, spacing, trust_spacing=trust_spacing)
    with volume.locked(f"labels/{full}"):
        named: dict[str, int] = {}
        if kind == "annotation":
            if objects is not None:
                raise UsageError("objects= means nothing for kind=annotation. Leave it out.")
            named = class_values(name, classes)
            source = without_predictions(placed(source, volume, planes), volume, full, unchanged)
            found = survey(source, memory=memory, count=True)
            check_painting(source, found, named)
        else:
            _check_label_keys(planes, objects, classes)
            refuse_gaps(source)
            refuse_other_shape(source, volume.shape)
            found = survey(source, memory=memory, count=True)
            check_labels(source, found, objects)
        what = {"voxels": found.digest, "kind": kind, "objects": objects, "classes": named}
        product = volume.create_labels(
            name, kind="annotation" if kind == "annotation" else "labels",
            inputs=fingerprint(what), dtype=np.uint8 if kind == "annotation" else np.uint32,
            classes=named, overwrite=overwrite,
        )  # fmt: skip
        if product.complete:
            _log.info("labels/%s of %s holds this already; nothing to do", full, volume.path)
            return _summary(volume, product, found, "unchanged")
        with volume.start_run(
            "import", config=record, overrides=overrides, inputs={str(source.path): found.digest}
        ) as run:
            bench = StoreBench(volume, f"labels/{full}")
            largest = _store(source, product, found, objects, memory, bench)
            runner, _ = memory.shared(most_bytes(product.pyramid))
            info = finish_product(product, runner=runner)
            bench.clear()
            run.finish(products={f"labels/{full}": info.digest})
    summary = _summary(volume, product, found, "imported")
    return summary if kind == "annotation" else {**summary, "largest_label": largest}


def _check_label_keys(
    planes: Sequence[int] | None, objects: str | None,
    classes: Mapping[str, int] | Sequence[str] | None,
) -> None:
    """Settings that numbered objects cannot have."""
    if planes is not None or classes is not None:
        raise UsageError("planes= and classes= are for kind=annotation. Leave them out.")
    if objects not in (None, "components"):
        raise UsageError(f"objects={objects} is unknown. Use objects=components or leave it out.")


def numbering(source: Source) -> dict[str, int]:
    """First plane number and step of a folder of planes, for annotations numbered alike."""
    if not source.planes:
        return {}
    step = source.planes[1] - source.planes[0] if len(source.planes) > 1 else 1
    return {"first_plane": source.planes[0], "plane_step": step}


def placed(source: Source, volume: Volume, planes: Sequence[int] | None) -> Source:
    """The painted planes at their place in the volume.

    Their place is `planes`, or the number in the file names counted as in the folder that the
    raw image came from (otherwise from 0).

    Raises
    ------
    DataError
        If places are missing, given twice, or outside the volume.
    """
    refuse_other_shape(source, volume.shape, any_depth=True)
    n, depth = source.shape[0], volume.shape[0]
    if planes is None and n == depth:
        refuse_gaps(source)
        return source
    if planes is None and source.planes is not None:
        first, step = numbering_of(volume)
        _log.info("plane number N of a file name is plane (N - %d) / %d from 0", first, step)
        off = [p for p in source.planes if (p - first) % step]
        planes, given = [(p - first) // step for p in source.planes], source.planes
    else:
        off, given = [], list(planes or ())
    if planes is None or len(planes) != n:
        raise DataError(
            f"{source.path} has {n} planes, the volume {depth}. Say where they belong, "
            f"counted from 0, one number a plane: planes=[0,5,…] ({len(given)} given)."
        )
    off += [g for g, p in zip(given, planes, strict=True) if not 0 <= p < depth]
    if off or len(set(planes)) < n:
        raise DataError(
            f"{source.path}: the planes {given} do not all fit into a volume of {depth} planes "
            f"({f'{off[0]} lies outside' if off else 'one is given twice'}). Set planes=[…], "
            "counted from 0."
        )
    return PlacedPlanes(source, depth=depth, at={int(p): k for k, p in enumerate(planes)})


def _check_fit(
    source: Source, volume: Volume, given: Sequence[float] | None, *, trust_spacing: bool
) -> None:
    """What can be refused without reading a voxel."""
    if source.dtype.kind not in "iub":
        check_integers(source, Survey(0, 0, 0, None, None, ""))
    nm = volume.spacing if given is None else checked_spacing(given)
    if any(abs(a - b) > 0.01 * b for a, b in zip(nm, volume.spacing, strict=True)):
        raise DataError(
            f"spacing={nm} differs from that of {volume.path}, {volume.spacing} nm (z, y, x). "
            "Labels lie on the grid of the raw image: leave spacing= out."
        )
    refuse_contradiction(source, volume.spacing, trust_given=trust_spacing, what="the raw image")


def numbering_of(volume: Volume) -> tuple[int, int]:
    """First plane number and step of the folder that the raw image came from, else 0 and 1.

    Raises
    ------
    DataError
        If a record of a run is damaged: it may be the one that tells.
    """
    try:
        runs = volume.runs()
    except DataError as error:
        raise DataError(
            f"Which plane a number in a file name means is told by the run that imported the image "
            f"of {volume.path}, and a record of its runs is damaged, perhaps that one. {error} "
            "An import with planes=[…], counted from 0, does not ask for it."
        ) from error
    for record in reversed(runs):
        metrics = record.get("metrics", {})
        if record["products"].get("raw") == volume.raw_digest and "first_plane" in metrics:
            return int(metrics["first_plane"]), int(metrics["plane_step"])
    return 0, 1


def _store(
    source: Source, product: Product, found: Survey, objects: str | None, memory: Memory,
    bench: StoreBench,
) -> int:
    """Largest label written; a mask is numbered first if so wished."""
    if objects == "components":
        shape = product.block_shape
        # a mask and labels of 4 bytes, twice: cc3d's and those that are stored
        runner, _ = memory.shared(16 * math.prod(shape))
        with cheap_to_cut(source, shape, runner, product.path) as readable:
            n = label_blocks(
                as_mask(readable), product.array, block_shape=shape, runner=runner,
                scratch=bench.folder("import"), journal=product.journal_path,
                fingerprint=product.info.inputs, label=f"objects of {product.name}",
            )  # fmt: skip
        _log.info("the mask has %d 26-connected objects", n)
        return n
    binary = product.array.dtype == np.uint32 and set(found.counts or ()) - {0} in ({1}, {255})
    if binary:
        _log.warning(
            "%s is a mask: it is stored as one object, label 1. Use objects=components to number "
            "its pieces.", source.path,
        )  # fmt: skip
    convert = functools.partial(_as_labels, dtype=product.array.dtype, binary=binary)
    copy(
        source, product.array, unit=product.block_shape, convert=convert, memory=memory,
        journal=product.journal_path, fingerprint=product.info.inputs, scratch=product.path,
        label=f"import {product.name}",
    )  # fmt: skip
    return 1 if binary else int(found.highest)


def _as_labels(
    voxels: NDArray[Any], *, dtype: np.dtype[Any], binary: bool
) -> NDArray[Any]:
    return (voxels != 0).astype(dtype) if binary else voxels.astype(dtype)


def _summary(volume: Volume, product: Product, found: Survey, status: str) -> dict[str, Any]:
    info = product.info
    summary: dict[str, Any] = {
        "volume": str(volume.path), "status": status, "labels": product.name, "kind": info.kind,
    }  # fmt: skip
    if info.kind == "annotation":
        words = {BACKGROUND: "background", **{v: k for k, v in info.classes.items()}}
        painted = sorted((v, n) for v, n in (found.counts or {}).items() if v != UNLABELLED)
        summary["painted_voxels"] = ", ".join(f"{words[v]} {n}" for v, n in painted)
    return summary
