"""Which products a folder holds, and the list of label images, which several runs may change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fibseg.volume import metadata
from fibseg.volume.lock import locked

LISTED = "labels"
WAIT_S = 60.0


def complete_names(folder: Path) -> list[str]:
    """Sorted names of the finished products in `folder`."""
    if not folder.is_dir():
        return []
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    return [n for n in names if (metadata.read_state(folder / n) or {}).get("complete")]


def names_of_kind(folder: Path, kind: str | None) -> list[str]:
    """Sorted names of the finished products of one `kind` in `folder`, or of all."""
    names = complete_names(folder)
    return [n for n in names if kind in (None, (metadata.read_state(folder / n) or {})["kind"])]


def make_index(folder: Path, *, ome_version: str) -> None:
    """Make the group ``labels/`` with an empty list if it is not there."""
    if metadata.read_group(folder) is None:
        with _alone(folder):
            if metadata.read_group(folder) is None:
                metadata.index_labels(folder, [], ome_version=ome_version)


@contextlib.contextmanager
def listed(product: Path, *, gone: bool = False) -> Iterator[None]:
    """Context in which a product comes or is `gone`; a label image is in the list, or out of it.

    Two runs that finish at once write the list one after the other, each from what is there: a
    run keeps it to itself until the product is as its list says.

    Raises
    ------
    BusyError
        If another run keeps the list for a minute.
    """
    folder = product.parent
    if folder.name != LISTED:
        yield
        return
    with _alone(folder):
        names = {*complete_names(folder), product.name} - ({product.name} if gone else set())
        volume = metadata.read_state(folder.parent) or {}
        metadata.index_labels(
            folder, sorted(names), ome_version=volume.get("ome_version", "0.5")
        )
        yield


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Context in which no other run changes the list; each does so for milliseconds."""
    return locked(folder, wait_s=WAIT_S)
