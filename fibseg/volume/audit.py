"""Which images a store holds, and whether what is recorded of them is what fibseg wrote.

Every metadata file is covered: that of a group holds a seal (a hash of itself), which covers the
hashes of the files of its arrays and of the list of digests.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fibseg.errors import DataError
from fibseg.volume import layout, metadata
from fibseg.volume.digests import FILE, Records, read_records, total
from fibseg.volume.files import read_json, seal_holds
from fibseg.volume.metadata import State

FOLDERS = ("labels", "probabilities", "distances")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which product, where in it, what, and what to do."""

    product: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.product}: {self.where} {self.what}. {self.remedy}."


@dataclass
class Image:
    """The raw image, a label image, a probability or a distance map, as it lies in a store.

    Attributes
    ----------
    state
        What is recorded of it; empty where that is damaged or was not written by fibseg.
    levels
        Records of the boxes of every pyramid level; empty where they are damaged.
    findings
        What is wrong with its metadata.
    """

    name: str
    path: Path
    state: State = field(default_factory=dict)
    levels: list[Records] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether it is finished, and its metadata can be trusted."""
        return bool(self.state and self.state["complete"])

    @property
    def unfinished(self) -> bool:
        """Whether the command that makes it will continue it."""
        return bool(self.state and not self.state["complete"])

    @property
    def derived_from(self) -> str | None:
        """Name of the product that it was derived from, if any."""
        origin = self.state.get("derived_from")
        return None if origin is None else str(origin)

    @property
    def foreign(self) -> bool:
        """Whether it was not made by fibseg."""
        return not self.state and not self.findings

    def found(self, where: str, what: str, remedy: str | None = None) -> Finding:
        """Finding about this image, with the remedy that fits it."""
        return Finding(self.name, where, what, remedy or self.remedy)

    @property
    def remedy(self) -> str:
        """What to do when it is damaged."""
        copy = "Take the store from a copy"
        if self.name == "raw":
            return f"{copy}, or import the source into a new one"
        if self.name.startswith("probabilities/"):
            again = "run fibseg infer"
        elif self.name.startswith("distances/"):
            again = "run fibseg distance"
        elif not self.state:
            again = "make it"
        else:
            again = "run fibseg objects" if self.derived_from else "import it"
        return f"{copy}, or remove {shlex.quote(str(self.path))} and {again} again"


def images(root: Path) -> list[Image]:
    """All images of the store at `root`, their metadata checked.

    Raises
    ------
    DataError
        If there is no store.
    """
    if not root.exists():
        raise DataError(f"There is no volume at {root}. Give the path of a store.")
    found = [checked("raw", root)]
    if found[0].foreign:
        raise DataError(f"{root} is no volume of fibseg. Give the path of a store.")
    for folder in FOLDERS:
        if (root / folder).is_dir():
            products = (p for p in (root / folder).iterdir() if p.is_dir() and p.name[0] != ".")
            found += [checked(f"{folder}/{p.name}", p) for p in sorted(products)]
    return found


def checked(name: str, path: Path) -> Image:
    """The image at `path`, trusted no further than its seals hold."""
    image = Image(name, path)
    try:
        state = metadata.read_state(path)
        intact = state is None or _sealed(path)
    except (DataError, OSError):
        state, intact = None, False
    if not intact or (state is None and (path / FILE).exists()):
        what = "is missing, damaged, or was changed by another program"
        image.findings.append(image.found("its metadata", what))
    elif state is not None:
        image.state = state
        if image.complete:
            _check_arrays(image)
    return image


def _sealed(path: Path) -> bool:
    """Whether the metadata of a group is, to the bit, what fibseg wrote."""
    if (path / "zarr.json").is_file():
        return seal_holds((path / "zarr.json").read_bytes())
    group = metadata.group_documents({}, ome_version="0.4")[".zgroup"]
    return read_json(path / ".zgroup") == group and seal_holds((path / ".zattrs").read_bytes())


def _check_arrays(image: Image) -> None:
    """Fill in the records of the boxes, and what is wrong with the metadata of the levels."""
    recorded, dtype = image.state["levels"], np.dtype(image.state["dtype"])
    for number, level in enumerate(recorded):
        if layout.metadata_digest(image.path / str(number)) != level["metadata"]:
            image.findings.append(
                image.found(f"the metadata of level {number}", "is missing or was changed")
            )
    try:
        levels = read_records(image.path, [level["shape"] for level in recorded])
        if all(
            total(level["shape"], dtype, records["digest"]) == level["digest"]
            for level, records in zip(recorded, levels, strict=True)
        ):
            image.levels = levels
    except DataError:
        pass
    if not image.levels:
        what = "is missing, damaged, or of other voxels"
        image.findings.append(image.found(f"the list of digests ({FILE})", what))
