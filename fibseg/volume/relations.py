"""Whether the products of a store fit each other: lists, tables, derived labels, runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fibseg.errors import DataError
from fibseg.volume import metadata
from fibseg.volume.audit import FOLDERS, Finding, Image
from fibseg.volume.files import read_json, seal_holds
from fibseg.volume.tables import load_info, load_table

GROUP_FILES = (".zattrs", ".zgroup", "zarr.json")
VERBS = {"labels": "objects", "distances": "distance"}


def index_findings(root: Path, found: list[Image]) -> Iterator[Finding]:
    """Groups of images, such as ``labels/``, whose metadata does not fit what is in them."""
    for folder in FOLDERS:
        finished = {i.path.name for i in found if i.path.parent == root / folder and i.complete}
        try:
            good = not (root / folder).is_dir() or _index_holds(root / folder, finished)
        except DataError:
            good = False
        if not good:
            files = [str(p) for p in sorted((root / folder).iterdir()) if p.name in GROUP_FILES]
            yield Finding(
                folder, "its metadata", "is damaged, or does not list what is there",
                f"Remove it: rm -f {shlex.join(files)}; the next product made in {folder}/ "
                "writes it anew",
            )


def _index_holds(folder: Path, finished: set[str]) -> bool:
    """Whether the group is what fibseg writes, and lists all that is finished and no ghosts."""
    version = "0.4" if (folder / ".zgroup").is_file() else "0.5"
    attributes = metadata.read_group(folder)
    listed: list[str] = []
    if folder.name == "labels":
        try:
            ome = (attributes or {}) if version == "0.4" else (attributes or {})["ome"]
            listed = [str(name) for name in ome["labels"]]
        except (KeyError, TypeError):
            return False
    expected = metadata.labels_index(listed, version) if folder.name == "labels" else {}
    documents = metadata.group_documents(expected, ome_version=version)
    return (
        all(read_json(folder / name) == document for name, document in documents.items())
        and all((folder / name).is_dir() for name in listed)
        and (folder.name != "labels" or finished <= set(listed))
    )


def stale_findings(found: list[Image]) -> Iterator[Finding]:
    """Products that were derived from one that has changed since."""
    digests = finished_digests(found)
    for image in found:
        source = image.derived_from
        changed = source in digests and digests[source] != image.state.get("source_digest")
        if image.complete and changed:
            yield image.found(
                "stale:", f"{source} has changed since it was derived from it",
                f"Run fibseg {_verb_of(image, str(source))} again",
            )


def _verb_of(image: Image, source: str) -> str:
    """What derives such an image again: of labels, only pores and pockets are labels again."""
    folder = image.path.parent.name
    return "pores" if folder == "labels" == source.partition("/")[0] else VERBS[folder]


def orphans(found: list[Image]) -> Iterator[str]:
    """Lines about products whose source is gone: whole, but not to be derived again."""
    names = {image.name for image in found}
    for image in found:
        source = image.derived_from
        if image.complete and source is not None and source not in names:
            yield f"{image.name}: {source}, which it was derived from, is not in the store"


def finished_digests(found: list[Image]) -> dict[str | None, str]:
    """Digest of every finished image by its name."""
    return {image.name: image.state["digest"] for image in found if image.complete}


def table_findings(root: Path, found: list[Image]) -> Iterator[Finding]:
    """Tables that are damaged, or were measured on what is not in the store any more."""
    digests, names = finished_digests(found), {image.name for image in found}
    for path in table_paths(root):
        name, labels = f"tables/{path.stem}", f"labels/{path.stem}"
        again = f"Remove {shlex.quote(str(path))} and run fibseg objects again"
        info = _info(path)
        if info is None:
            yield Finding(name, "the file", "is damaged, or was changed by another program", again)
            continue
        measured_on, sources = info["labels_digest"], info.get("measured", {}).get("sources", {})
        changed = [source for source, digest in sources.items()
                   if digests.get(source, digest) != digest]
        if labels in digests and measured_on != digests[labels]:
            yield Finding(name, "stale:", f"it was measured on other {labels}", again)
        elif labels not in names and measured_on not in digests.values():
            yield Finding(name, "stale:", "the labels it was measured on are not there", again)
        elif changed:
            yield Finding(
                name, "stale:", f"it was measured against other {', '.join(changed)}",
                f"Run fibseg {_verbs(info['measured'])} again",
            )


def _verbs(measured: dict[str, Any]) -> str:
    """The verb that made a table, or those that it was extended by.

    >>> _verbs({"sources": {}, "inputs": "x", "distribution": {}}), _verbs({"distribution": {}})
    ('measure and fibseg distribution', 'distribution')
    """
    known = {"inputs": "measure", "distribution": "distribution"}
    found = [verb for key, verb in known.items() if key in measured]
    return measured.get("verb") or " and fibseg ".join(found) or "measure"


def table_paths(root: Path) -> list[Path]:
    """Files of all tables."""
    return sorted((root / "tables").glob("[!.]*.parquet"))


def _info(path: Path) -> dict[str, Any] | None:
    """What is recorded of a table; None if it is damaged."""
    try:
        if not seal_holds(path.read_bytes()):
            return None
        load_table(path)
        return load_info(path)
    except DataError:
        return None


def run_findings(root: Path) -> Iterator[Finding]:
    """Records of runs that are damaged."""
    for path in sorted((root / "runs").glob("*/run.json")):
        if not seal_holds(path.read_bytes()):
            yield Finding(
                f"runs/{path.parent.name}", "its record", "is damaged or was changed",
                "Take it from a copy; no product depends on it",
            )
