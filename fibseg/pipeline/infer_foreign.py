"""``fibseg infer`` of a model file: what was made elsewhere, through the engine as any model."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner, reduce_blocks
from fibseg.data import Normalisation
from fibseg.errors import UsageError
from fibseg.export.foreign import ForeignModel, read_foreign
from fibseg.inference import ForeignBlocks, bound, foreign_note, make_foreign_plan
from fibseg.pipeline.infer_task import Looking
from fibseg.pipeline.probabilities import Order, carry_out, product_names
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import Look, Seen
from fibseg.pipeline.sample import Parts, Sample, of_store
from fibseg.volume import Volume

RUNNERS = ("auto", "onnxruntime")
PRECISIONS = ("auto", "float32")


@dataclass(frozen=True)
class Job:
    """A model file on a volume.

    Parameters
    ----------
    store, model
        The two.
    blocks
        The block function; what has to be counted over the volume is still missing.
    """

    store: Volume
    model: ForeignModel
    blocks: ForeignBlocks

    def names(self, name: str | None) -> list[str]:
        """Names of the products: by default the class, of several with the file before it."""
        own = self.model.names
        default = own[0] if len(own) == 1 else Path(self.blocks.folder).stem
        return product_names(own, name or default)

    def check(self) -> None:
        """One window, before any work."""
        flat = np.ones(self._largest + 1, np.int64)
        self._bound(flat).check()

    def ready(self, runner: Runner) -> ForeignBlocks:
        """The block function, with what has to be counted over the volume."""
        return self._bound(_histogram(self.store, runner) if self.model.statistics else None)

    def _bound(self, counts: NDArray[np.int64] | None) -> ForeignBlocks:
        steps = bound(self.model.before, largest=self._largest, counts=counts)
        return replace(self.blocks, before=steps)

    @property
    def _largest(self) -> int:
        return int(np.iinfo(self.store.dtype).max)

    @property
    def note(self) -> str:
        """On spacings and overlap, for the log."""
        return foreign_note(self.model, self.store, self.blocks.plan)


def job_of(store: Volume, path: str, looking: Looking, *, backend: str, precision: str) -> Job:
    """The job of a model file on a store.

    Raises
    ------
    DataError
        If the file is no model that can be run, or does not go with the volume.
    UsageError
        If a setting does not go with a file.
    """
    model = read_foreign(path)  # first of all: what is no model at all is told as that
    _refuse(looking, backend, precision)
    plan = make_foreign_plan(
        model, store, overlap=looking.overlap, square=looking.tta == "d4"
    )
    own = model.polarity is not None
    largest = float(np.iinfo(store.dtype).max)
    normalisation = Normalisation.of(store) if own else Normalisation(0.0, largest, invert=False)
    blocks = ForeignBlocks(
        str(Path(path).resolve()), model.digest, plan, normalisation, looking.tta
    )
    return Job(store, model, blocks)


def run_file(
    store: Volume, path: str, looking: Looking, *, backend: str, precision: str, name: str | None,
    blocks: Runner | None, **limits: Any,
) -> Products:
    """Products of a model file, as `fibseg.pipeline.infer.run` makes them."""
    job = job_of(store, path, looking, backend=backend, precision=precision)
    return carry_out(
        Order("infer", store, job.blocks, job.names(name)), blocks=blocks, ready=job.check,
        counted=job.ready, note=job.note, **limits,
    )


def sample_of(parts: Parts, folder: Path) -> Sample:
    """Two blocks in the middle of the volume, for a rehearsal."""
    from fibseg.pipeline.named import measured_anew, names_in, products_in

    parts = measured_anew(parts)
    store = Volume.open(parts["volume"])
    looking = Looking(**{key: parts[key] for key in Looking.__dataclass_fields__})
    job = job_of(
        store, parts["model"], looking, backend=parts["backend"], precision=parts["precision"]
    )
    block = parts["block_shape"] or job.blocks.plan.block_shape(store.block_shape)
    named: dict[str, Any] = products_in(names_in(parts["postprocess"] or {}))
    sample = of_store(store, folder, parts, block=block, **named)
    return replace(sample, threads=job.blocks.threads)


def _refuse(looking: Looking, backend: str, precision: str) -> None:
    """Refuse settings that are for model folders."""
    if looking.oblique or looking.within:
        raise UsageError(
            f"orientations={looking.orientations} within={looking.within or 'null'} goes with "
            "model folders of fibseg train; a model file sees planes across z. Leave both out."
        )
    if backend not in RUNNERS:
        raise UsageError(
            f"backend={backend} goes with model folders of fibseg train; a model file is run by "
            "ONNX Runtime. Use backend=auto."
        )
    if precision not in PRECISIONS:
        raise UsageError(
            f"precision={precision} goes with model folders of fibseg train; a model file is run "
            "as it was exported. Use precision=auto."
        )


def _histogram(store: Volume, runner: Runner) -> NDArray[np.int64]:
    """Voxels of level 0 by their value."""
    found: Seen = reduce_blocks(
        Look(store.shape, digest=False, count=True), store.raw(), operator.add,
        block_shape=store.block_shape, runner=runner, label="grey values",
    )
    assert found.histogram is not None
    return found.histogram
