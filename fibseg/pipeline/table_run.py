"""A run that makes a table of objects anew: locked, recorded, and refused if its inputs change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fibseg.errors import DataError
from fibseg.volume import Volume


class TableJob(Protocol):
    """What is to be made of which products, by their digests."""

    @property
    def path(self) -> str:
        """Where in the store the table lies."""
        ...

    @property
    def labels_path(self) -> str:
        """Where the objects lie."""
        ...

    @property
    def sources(self) -> dict[str, str]:
        """Digest of each product that the table is made of."""
        ...


def run_table(
    verb: str, store: Volume, plan: Callable[[], TableJob], make: Callable[[], Path], *,
    metrics: Callable[[], dict[str, Any]], config: Mapping[str, Any] | None,
    overrides: Sequence[str],
) -> None:
    """Make a table under a lock of it and of its labels, with a record in ``runs/``.

    Parameters
    ----------
    plan
        The job, as the store is now: asked before and after.
    make
        Writes the table; returns its file.
    metrics
        What the record tells of the result.

    Raises
    ------
    DataError
        If another run has replaced what was measured.
    BusyError
        If another run is writing these labels or their table.
    """
    job = plan()
    with store.locked(job.path, job.labels_path):
        record = store.start_run(
            verb, config=dict(config or {}), overrides=list(overrides), inputs=job.sources
        )
        with record:
            path = make()
            if plan() != job:
                raise DataError(
                    f"Another run has replaced {', '.join(job.sources)}, or one of them, while "
                    "they were measured. Run the same command again."
                )
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            record.finish(products={job.path: digest}, metrics=metrics())
