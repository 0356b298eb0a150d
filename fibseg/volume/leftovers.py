"""What killed runs left in a store: half-written files, journals, scratch arrays, locks."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from fibseg.volume.audit import FOLDERS, Finding, Image
from fibseg.volume.files import PARTIAL, WRITER, being_written
from fibseg.volume.lock import READER, read_holder

SCRATCH = ".scratch"
JOURNAL = ".journal"
LOCK = ".lock"


def leftovers(root: Path, found: list[Image]) -> Iterator[Finding]:
    """What no run will use or remove any more.

    Journals, scratch arrays, locks and what was begun inside of a product are none as long as the
    product is unfinished: the command that makes it goes on with them, or clears them away. Nor is
    what belongs to a table that is being measured.
    """
    unfinished = {image.name for image in found if image.unfinished}
    unfinished |= {
        _owner(path, root) for path in (root / "tables").glob(f".*{LOCK}") if _in_use(path)
    }
    known = {image.name for image in found}
    for path in _candidates(root):
        owner = _owner(path, root)
        inside = root if owner == "raw" else root / owner
        beside = WRITER.fullmatch(path.name) and path.parent != inside
        goes_on = owner in unfinished and not beside
        if not goes_on and not _in_use(path):
            yield Finding(
                owner if owner in known else "the store", str(path.relative_to(root.parent)),
                "was left by a run that is gone", f"Remove it: rm -r {shlex.quote(str(path))}",
            )


def running(root: Path) -> Iterator[str]:
    """Lines about runs that are writing into the store at this moment."""
    for path in _candidates(root):
        writing = path.name.endswith(LOCK) and not path.name.startswith(f".{READER}")
        holder = read_holder(path) if writing else None
        if holder is not None and not holder.gone:
            yield f"{_owner(path, root)}: is being written by {holder}; verify again after that"


def _candidates(root: Path) -> Iterator[Path]:
    """Files and folders that can be leftovers, those beside the store included."""
    yield from sorted(root.parent.glob(f".{glob.escape(root.name)}.*{PARTIAL}"))
    yield from root.parent.glob(f".{glob.escape(root.name)}{LOCK}")
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if here == root / SCRATCH:
            yield from (here / name for name in sorted([*folders, *files]))
            folders.clear()
            continue
        yield from (here / name for name in sorted([*folders, *files]) if _suspicious(name))
        folders[:] = [name for name in folders if not _suspicious(name)]


def _suspicious(name: str) -> bool:
    return name.endswith(PARTIAL) or (name[0] == "." and name.endswith((JOURNAL, LOCK)))


def _owner(path: Path, root: Path) -> str:
    """Name of the product that something belongs to, as far as place and name tell."""
    if path.parent == root.parent:
        return "raw"
    first, *rest = path.relative_to(root).parts
    if first == SCRATCH:  # FOLDER=NAME=STEP, or .FOLDER=NAME=STEP.something
        return "/".join(rest[0].lstrip(".").split("=")[:2])
    if first in FOLDERS:
        return f"{first}/{rest[0] if len(rest) > 1 else _plain(rest[0])}"
    if _plain(first) in FOLDERS or first.startswith(f".{READER}"):
        return ""
    if first == "tables" and rest:
        return f"tables/{_plain(rest[0])}"
    return "" if first in ("tables", "runs") else "raw"


def _plain(name: str) -> str:
    """Name of the product that a hidden file lies beside."""
    partial = WRITER.fullmatch(name)
    name = f".{partial[1]}" if partial else name
    return name.removeprefix(".").removesuffix(JOURNAL).removesuffix(LOCK)


def _in_use(path: Path) -> bool:
    """Whether the process that has written this is alive."""
    if path.name.endswith(LOCK):
        holder = read_holder(path)
        return holder is not None and not holder.gone
    return being_written(path)
