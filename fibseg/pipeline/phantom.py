"""Write a synthetic cell as files that a real experiment would give: stack, painting, truth."""

from __future__ import annotations

import csv
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg import __version__
from fibseg.errors import ExistsError
from fibseg.phantom import Cell, dabbed_annotation, make_cell, sparse_annotation
from fibseg.types import Labels, Table
from fibseg.volume.files import write_bytes
from fibseg.volume.tiff import write_tiff, write_tiff_stack

logger = logging.getLogger("fibseg.pipeline.phantom")

RECORD = "phantom.json"
TRUTHS = ("mitochondria", "nucleus", "cell", "pores", "pockets")
PAINTED = ("mitochondria", "nucleus", "organelles", "cell")
UNLIKE = {"mitochondria": ("lysosomes", "nucleolus", "heterochromatin", "nucleus"), "nucleus": ()}


class Summary(dict[str, Any]):
    """What was written, by name; `text` is what the command prints."""

    def text(self) -> str:
        """One line per fact, then the next commands, each to be typed as it stands."""
        facts = [f"{key}: {value}" for key, value in self.items() if key != "next"]
        return "\n".join([*facts, "", "next:", *self["next"]])


def run(
    *,
    out: str | Path,
    shape: Sequence[int] = (176, 224, 224),
    seed: int = 0,
    spacing: Sequence[float] = (20.0, 20.0, 20.0),
    every: int = 10,
    fraction: float = 0.27,
    pores: bool = True,
    pore_gradient: bool = True,
    thickness_gradient: bool = True,
    overwrite: bool = False,
) -> Summary:
    """Write a synthetic cell to the folder `out`; returns what was written and what to type next.

    ``stack/plane_0000.tif …`` one plane each; ``painted_mitochondria.tif``,
    ``painted_nucleus.tif``, ``painted_organelles.tif`` (2 mitochondria, 3 nucleus, 4 cytosol) and
    ``painted_cell.tif`` (200 voxels) with 0 = unlabelled and 1 = background; ``truth_*.tif``
    numbered objects or 0/1, ``truth_organelles.tif`` with the numbers of its painting;
    ``pores.csv``; ``phantom.json`` with the settings. A finished phantom of the same settings is
    left as it is.

    Parameters
    ----------
    out
        Folder, new or empty.
    shape, seed, spacing, pores, pore_gradient, thickness_gradient
        As in `fibseg.phantom.make_cell`.
    every, fraction
        Distance between painted planes and painted part of each, as in
        `fibseg.phantom.sparse_annotation`.
    overwrite
        Whether a folder that is not empty may be replaced.

    Raises
    ------
    ExistsError
        If `out` holds anything else and `overwrite` is false.
    UsageError
        If a size or a fraction cannot be meant.
    """
    folder = Path(out)
    settings = {
        "shape": list(shape), "seed": seed, "spacing": [float(s) for s in spacing],
        "every": every, "fraction": fraction, "pores": pores, "pore_gradient": pore_gradient,
        "thickness_gradient": thickness_gradient, "version": __version__,
    }  # fmt: skip
    standing = _standing(folder, settings)
    if standing is not None and not overwrite:
        logger.info("this very phantom stands in %s already", folder)
        return standing
    if not _begun(folder, settings):
        _refuse_contents(folder, overwrite)
    cell = make_cell(
        shape, seed=seed, pores=pores, pore_gradient=pore_gradient,
        thickness_gradient=thickness_gradient, spacing=spacing,
    )  # fmt: skip
    paintings = paint(cell, every=every, fraction=fraction, seed=seed)
    # Only now, when nothing can be wrong with the settings any more.
    folder.mkdir(parents=True, exist_ok=True)
    _record(folder, settings, None)
    _clear(folder)
    write_tiff_stack(folder / "stack", cell.image, spacing=cell.spacing)
    for name, painting in paintings.items():
        write_tiff(folder / f"painted_{name}.tif", painting, spacing=cell.spacing)
    for name in TRUTHS:
        write_tiff(folder / f"truth_{name}.tif", _whole(cell.labels[name]), spacing=cell.spacing)
    write_tiff(folder / "truth_organelles.tif", _all_painted(cell), spacing=cell.spacing)
    _write_csv(folder / "pores.csv", cell.pores)
    summary = _summary(folder, cell, paintings)
    # Written last: a folder whose record has no summary is not finished.
    _record(folder, settings, summary)
    return summary


def _record(folder: Path, settings: dict[str, Any], summary: Summary | None) -> None:
    """Write down whose folder it is, and that it is finished."""
    text = json.dumps({"settings": settings, "summary": summary}, indent=1)
    write_bytes(folder / RECORD, (text + "\n").encode())


def _recorded(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a phantom of these settings, None where there is no such one."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("settings") == settings
    return dict(record) if same else None


def _begun(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether this very command was stopped in the folder: what it left may be replaced."""
    record = _recorded(folder, settings)
    return record is not None and record.get("summary") is None


def _standing(folder: Path, settings: dict[str, Any]) -> Summary | None:
    """The summary of a finished phantom of these settings, None where there is no such one."""
    record = _recorded(folder, settings)
    if record is None or not record.get("summary"):
        return None
    names = {*(f"truth_{n}.tif" for n in (*TRUTHS, "organelles")), "pores.csv",
             *(f"painted_{n}.tif" for n in PAINTED)}  # fmt: skip
    whole = all((folder / name).is_file() for name in names)
    n_planes = len(list((folder / "stack").glob("*.tif")))
    same = whole and n_planes == settings["shape"][0] and record["summary"]["out"] == str(folder)
    return Summary(record["summary"]) if same else None


def paint(
    cell: Cell, *, every: int, fraction: float, seed: int
) -> Mapping[str, NDArray[np.uint8]]:
    """The paintings that the verb writes, by name."""
    labels = cell.labels
    done = {}
    for name, unlike in UNLIKE.items():
        alike = np.zeros(cell.image.shape, bool)
        for other in unlike:
            alike |= labels[other] > 0
        done[name] = sparse_annotation(
            labels[name], every=every, fraction=fraction, lookalikes=alike, seed=seed
        )
    done["organelles"] = sparse_annotation(
        organelles(cell), every=every, fraction=fraction, seed=seed
    )
    done["cell"] = dabbed_annotation(labels["cell"], seed=seed, spacing=cell.spacing)
    return done


def organelles(cell: Cell) -> dict[str, Labels]:
    """The classes 2, 3, 4 of the painting with several classes; cytosol is what surrounds."""
    mitochondria = cell.labels["mitochondria"] > 0
    return {
        "mitochondria": mitochondria,
        "nucleus": cell.labels["nucleus"],
        "cytosol": cell.labels["cytoplasm"] & ~mitochondria,
    }


def _all_painted(cell: Cell) -> NDArray[np.uint8]:
    """Truth of the painting with several classes: every voxel has its class."""
    truth = np.ones(cell.image.shape, np.uint8)
    for number, mask in enumerate(organelles(cell).values(), start=2):
        truth[mask] = number
    return truth


def _refuse_contents(folder: Path, overwrite: bool) -> None:
    """Stop before any work where `folder` holds something that is not to be replaced."""
    if folder.is_dir() and (overwrite or not any(folder.iterdir())):
        return
    if folder.exists():
        raise ExistsError(
            f"{folder} exists and is not an empty folder. Choose another out=…, or say "
            "overwrite=true for a folder that an earlier phantom filled."
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier phantom left in `folder`, and nothing else."""
    for path in [*(folder / "stack").glob("plane_*.tif"), *folder.glob("painted_*.tif"),
                 *folder.glob("truth_*.tif")]:  # fmt: skip
        path.unlink()


def _whole(labels: Labels) -> Labels:
    """Masks as 0/1 bytes; numbered objects as they are."""
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def _write_csv(path: Path, table: Table) -> None:
    """One row per pore, units in the column names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        for row in zip(*(column.tolist() for column in table.values()), strict=True):
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])


def _summary(
    folder: Path, cell: Cell, paintings: Mapping[str, NDArray[np.uint8]]
) -> Summary:
    """What a person wants to know, and the next commands of the walk."""
    steps = "[" + ",".join(f"{s:g}" for s in cell.spacing) + "]"
    painted = paintings["mitochondria"]
    planes = [int(z) for z in np.flatnonzero(painted.any(axis=(1, 2)))]
    mitochondria = cell.labels["mitochondria"]
    return Summary({
        "out": str(folder),
        "shape": list(cell.image.shape),
        "spacing": list(cell.spacing),
        "polarity": "dark",
        "mitochondria": int(mitochondria.max()),
        "mitochondria_share": round(
            float(np.count_nonzero(mitochondria) / max(1, cell.labels["cytoplasm"].sum())), 4
        ),
        "pores": len(cell.pores["label"]),
        "painted_planes": planes,
        "next": _next_commands(folder, steps),
    })  # fmt: skip


def _next_commands(folder: Path, steps: str) -> list[str]:
    """The walk from these files to measured mitochondria, as it can be typed."""
    store = "volume=cell.ome.zarr"

    def source(name: str) -> str:
        """One of the files as a word of a command."""
        return shlex.quote(f"source={folder / name}")

    return [
        f"fibseg import {source('stack')} {store} spacing={steps} polarity=dark",
        f"fibseg import {source('painted_mitochondria.tif')} {store} "
        "kind=annotation name=mitochondria",
        f"fibseg check {store}",
        f"fibseg train experiment=mitochondria {store} annotation=mitochondria "
        "out=models/mitochondria trainer.max_time=00:00:05:00",
        f"fibseg infer model=models/mitochondria {store} name=mitochondria",
        f"fibseg import {source('truth_mitochondria.tif')} {store} "
        "kind=labels name=truth_mitochondria",
        f"fibseg evaluate {store} labels=mitochondria truth=truth_mitochondria",
    ]
