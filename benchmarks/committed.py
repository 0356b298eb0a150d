"""What a killed run had committed, and whether any of it was computed again afterwards.

Nothing of this asks the engine. A journal is an append-only file: a hard link to it keeps it
readable after the finished product has removed it, and every block that was computed has its line
in it. And a shard that is written again is another file: it has another inode and another time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fibseg.blocks.survey_files import block_file
from fibseg.errors import DataError
from fibseg.training.checkpoint import newest
from fibseg.volume.layout import array_files, open_array

SURVEY, MOST_BLOCKS = "survey.journal", 1000
GOING_ON = re.compile(r"going on from step (\d+)")


class Evidence(Protocol):
    """What is noted right after every kill, and compared when the next run has ended.

    Attributes
    ----------
    committed
        Blocks (training: steps) that were done at the kills.
    again
        How many of those were computed again.
    in_flight
        Largest number of blocks at a kill that were written, but not yet marked as done.
    """

    committed: int
    again: int
    in_flight: int

    def note(self) -> None:
        """Note what is committed; to be called right after a kill."""
        ...

    def compare(self) -> None:
        """Compare what was noted with what is there now."""
        ...


@dataclass
class Steps:
    """Evidence of a training: steps in the checkpoint at the kill, and where the next one began."""

    folder: Path
    committed: int = 0
    again: int = 0
    in_flight: int = 0
    _noted: tuple[int, int] | None = None

    @property
    def _log(self) -> str:
        path = self.folder / "log.txt"
        return path.read_text() if path.exists() else ""

    def note(self) -> None:
        """Read the checkpoint."""
        found = newest(self.folder / "checkpoints")
        if found is not None and not (self.folder.parent / "model.json").exists():
            self._noted = int(found[1]["global_step"]), len(self._log)
            self.committed += self._noted[0]

    def compare(self) -> None:
        """Read in the log where the training went on, if it came so far."""
        if self._noted is None:
            return
        step, read = self._noted
        begun = GOING_ON.search(self._log[read:])
        if begun is not None:
            self.again += max(0, step - int(begun[1]))
            self._noted = None


@dataclass
class Journalled:
    """One journal at one kill, and the files of the blocks that it says are done."""

    link: Path
    lines: list[bytes]
    files: dict[Path, tuple[int, int]]
    n_again: int = 0

    def compare(self) -> None:
        """Count the blocks that were marked once more, or whose files are other ones by now."""
        now, done = whole_lines(self.link), set(blocks_in(self.lines))
        fresh = now[: len(self.lines)] != self.lines
        marked = done.intersection(blocks_in(now if fresh else now[len(self.lines) :]))
        rewritten = [path for path, was in self.files.items() if identity(path) not in (was, None)]
        self.n_again = max(self.n_again, len(marked), len(rewritten))


@dataclass
class Blocks:
    """Evidence of a store: all journals in it, at every kill."""

    store: Path
    keep: Path
    committed: int = 0
    in_flight: int = 0
    _noted: list[Journalled] = field(default_factory=list)

    @property
    def again(self) -> int:
        """How many committed blocks were computed again."""
        return sum(journal.n_again for journal in self._noted)

    def note(self) -> None:
        """Keep a link to every journal, and the identity of the files of its blocks."""
        self.keep.mkdir(exist_ok=True)
        for path in sorted(self.store.rglob("*.journal")):
            link = self.keep / str(len(self._noted))
            try:
                os.link(path, link)
            except FileNotFoundError:  # removed this moment by a run of which a worker was killed
                continue
            lines = whole_lines(link)
            done = set(blocks_in(lines))
            files = list(files_of(path))
            known = {f: found for n, f in enumerate(files) if n in done and (found := identity(f))}
            self._noted.append(Journalled(link, lines, known))
            self.committed += len(done)
            unmarked = [f for n, f in enumerate(files) if n not in done and f.exists()]
            self.in_flight = max(self.in_flight, len(unmarked))

    def compare(self) -> None:
        """Compare every journal that was ever noted."""
        for journal in self._noted:
            journal.compare()


def whole_lines(path: Path) -> list[bytes]:
    """Lines of a journal, without one that a kill tore."""
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def blocks_in(lines: list[bytes]) -> list[int]:
    """Blocks that these lines say are done."""
    return [int(line.split()[1]) for line in lines if line.startswith(b"done ")]


def files_of(journal: Path) -> Iterator[Path]:
    """Files of the blocks of a journal, in the order of the blocks, where a block is a file."""
    if journal.name == SURVEY:
        yield from (block_file(journal.parent, n) for n in range(MOST_BLOCKS))
        return
    name = journal.name.removeprefix(".").removesuffix(".journal")
    product, level = journal.parent / name / "0", journal.parent / name
    array = journal.parent / "0" if name == "raw" else product if product.exists() else level
    if not (array / "zarr.json").exists():
        return
    try:
        opened = open_array(array)
    except DataError:
        if (array / "zarr.json").exists():
            raise
        return  # removed this moment by a run of which a worker was killed
    yield from (path for path, _ in array_files(array, opened))


def identity(path: Path) -> tuple[int, int] | None:
    """Inode and time of a file, None if it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
