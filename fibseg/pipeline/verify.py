"""`fibseg verify`: whether everything in a store is still what fibseg wrote.

Every voxel, table and metadata file is read again and compared with what was recorded when it was
written. A missing chunk, which Zarr reads as zeros without a word, is found by its missing file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fibseg.blocks import Runner
from fibseg.errors import DataError
from fibseg.pipeline.verify_voxels import voxel_findings
from fibseg.volume.audit import Finding, Image, images
from fibseg.volume.leftovers import leftovers, running
from fibseg.volume.relations import (
    index_findings,
    orphans,
    run_findings,
    stale_findings,
    table_findings,
    table_paths,
)


@dataclass
class VerifyReport:
    """What `fibseg verify` read and found; `text` is what it prints.

    Attributes
    ----------
    checked
        What was read of each product, by its name.
    notes
        What is no damage, but should be known: unfinished products, runs at work.
    findings
        What is wrong, one finding per box, file or product.
    """

    path: Path
    checked: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def text(self) -> str:
        """Report as it is printed: what was read, notes, findings."""
        width = max(map(len, self.checked), default=0)
        lines = [f"{name:<{width}}  {what}" for name, what in self.checked.items()]
        lines += ["", *(f"note: {note}" for note in self.notes), *map(str, self.findings)]
        return "\n".join([*lines, self.verdict])

    @property
    def verdict(self) -> str:
        """How many findings there are."""
        n = len(self.findings)
        found = f"{n} finding{'s' * (n != 1)}" if n else "everything is as it was written"
        return f"{self.path}: {found}"


def run(*, volume: str | Path, blocks: Runner | None = None) -> VerifyReport:
    """Report on a store in which everything is as it was written; nothing in it is changed.

    Parameters
    ----------
    volume
        Path of the store.
    blocks
        Where blocks are read; in this process if left out.

    Raises
    ------
    DataError
        If anything is damaged, changed or stale: every finding is a line of the message. Or if
        there is no store.
    """
    report = verify(volume, runner=blocks)
    if report.findings:
        raise DataError("\n".join([report.verdict, *map(str, report.findings)]))
    return report


def verify(volume: str | Path, *, runner: Runner | None = None) -> VerifyReport:
    """Report on a store, whatever is found in it.

    Raises
    ------
    DataError
        If there is no store.
    """
    root = Path(volume).resolve()
    found = images(root)
    report = VerifyReport(Path(volume), notes=[*running(root), *orphans(found)])
    for image in found:
        report.findings += image.findings
        if image.complete:
            report.findings += voxel_findings(image, runner=runner)
            report.checked[image.name] = _extent(image)
        elif image.foreign:
            report.notes.append(f"{image.name}: was not made by fibseg, and is not checked")
        elif image.unfinished:
            report.notes.append(f"{image.name}: is not finished; its command continues there")
    for path in table_paths(root):
        report.checked[f"tables/{path.stem}"] = f"{path.stat().st_size / 1e6:.3g} MB"
    report.findings += [
        *table_findings(root, found), *stale_findings(found), *index_findings(root, found),
        *run_findings(root), *leftovers(root, found),
    ]
    return report


def _extent(image: Image) -> str:
    """How much was read of an image."""
    levels = image.state["levels"]
    many = f"{len(levels)} level{'s' * (len(levels) != 1)}"
    return f"{sum(level['bytes'] for level in levels) / 1e6:.3g} MB in {many}"
