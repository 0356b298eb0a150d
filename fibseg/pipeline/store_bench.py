"""Where the steps to a product of a store keep their intermediate arrays."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from numpy.typing import DTypeLike

from fibseg.errors import BusyError
from fibseg.pipeline.bench import Sheet
from fibseg.volume import Product, Volume
from fibseg.volume.lock import free


class StoreBench:
    """Intermediate arrays in a hidden folder of the store, all named after the product.

    Parameters
    ----------
    store
        The store, on whose grid the arrays lie.
    product
        What they lead to, such as ``"labels/mitochondria"``.
    """

    def __init__(self, store: Volume, product: str) -> None:
        self._store = store
        self._product = product

    def sheet(self, name: str, *, dtype: DTypeLike, inputs: str) -> Sheet:
        """Array `name`; the same one again after a crash if `inputs` are the same."""
        product = self._store.scratch(self._product, name, dtype=dtype, inputs=inputs)
        return Sheet(product.array, product.journal_path, self.folder(name))

    def folder(self, name: str) -> Path:
        """Folder for what the engine keeps of step `name`."""
        path = self._store.scratch_path(self._product, name)
        return path.with_name(f".{path.name}.blocks")

    @property
    def empty(self) -> bool:
        """Whether nothing is there, not even of interrupted runs with other settings."""
        scratch, prefix = self._place()
        return not any(any(scratch.glob(f"{dot}{prefix}*")) for dot in ("", "."))

    def clear(self) -> None:
        """Remove everything, also what earlier interrupted runs with other settings left."""
        scratch, prefix = self._place()
        for path in scratch.glob(f"{prefix}*"):
            Product(path).discard()
        # What the engine keeps, and what a run left that was killed while it removed an array.
        for path in scratch.glob(f".{prefix}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if scratch.is_dir() and not any(scratch.iterdir()):
            scratch.rmdir()

    def _place(self) -> tuple[Path, str]:
        """The hidden folder, and how the names of this product begin there."""
        start = self._store.scratch_path(self._product, "0")
        return start.parent, start.name.removesuffix("0")


def tidy(store: Volume, product: str) -> None:
    """Remove what a run left that was killed after `product` was finished."""
    free(store.path / product)
    bench = StoreBench(store, product)
    if not bench.empty:
        with contextlib.suppress(BusyError), store.locked(product):
            bench.clear()
