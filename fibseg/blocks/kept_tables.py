"""Tables of single blocks as files that outlive a crash, for `reduce_blocks`."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks.grid import Block
from fibseg.blocks.journal import Journal
from fibseg.blocks.survey_files import block_file
from fibseg.blocks.task import Outcome, Task
from fibseg.errors import DataError, UsageError
from fibseg.types import Table
from fibseg.volume.files import room_for

CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Kept(Task):
    """Another task whose result is a table, which is also written into `folder`."""

    task: Task
    folder: Path

    @property
    def threads(self) -> int:
        """That of the task."""
        return self.task.threads

    def read(self, block: Block) -> Any:
        """What the task reads."""
        return self.task.read(block)

    def compute(self, block: Block, parts: Any) -> Table:
        """What the task computes."""
        table: Table = self.task.compute(block, parts)
        if not isinstance(table, dict):
            raise UsageError(
                f"the block function returned {type(table).__name__}, but only tables (dict of "
                "arrays) can be kept in a scratch folder."
            )
        return table

    def write(self, block: Block, result: Table) -> Table:
        """The table, once its file is there."""
        stream = io.BytesIO()
        columns: dict[str, Any] = dict(result)
        np.savez_compressed(stream, **columns)
        content = _checksum(stream.getvalue()) + stream.getvalue()
        path = block_file(self.folder, block.index)
        # No fsync: the checksum tells what a crash of the machine has left unfinished.
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        with room_for(path, len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        return result


def together(
    outcomes: Iterable[Outcome], *, n_blocks: int, done: Journal, folder: Path
) -> Iterator[Table]:
    """Yield the tables of all blocks in grid order: those of an earlier run, and the `outcomes`.

    Each of the latter is marked as done.
    """
    before = frozenset(done.done)
    at = 0
    for outcome in outcomes:
        index = outcome.block.index
        yield from (load_table(folder, k) for k in range(at, index) if k in before)
        done.mark(index)
        yield outcome.value
        at = index + 1
    yield from (load_table(folder, k) for k in range(at, n_blocks) if k in before)


def load_table(folder: Path, index: int) -> Table:
    """Table of the block with that index.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    path = block_file(folder, index)
    content = path.read_bytes() if path.is_file() else b""
    checksum, table = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if not table or checksum != _checksum(table):
        raise DataError(
            f"what an earlier run left of block {index} in {path} is "
            f"{'damaged' if content else 'missing'}. Remove {folder} and run again."
        )
    with np.load(io.BytesIO(table)) as file:
        return {name: file[name] for name in file.files}


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "little")
