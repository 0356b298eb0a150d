"""What the steps of ``fibseg pores`` ask of a store before they work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.volume import Volume


def nucleus_inputs(store: Volume, nucleus: str, *, made: Sequence[str]) -> dict[str, Any]:
    """Digests of image and nucleus, and how the image is to be read, for a fingerprint.

    Parameters
    ----------
    made
        Label images that are made of them.

    Raises
    ------
    DataError
        If there is no such nucleus, or nothing in it, or nothing but it.
    UsageError
        If it is a painting, or one of those that are made.
    """
    if nucleus in made:
        raise UsageError(
            f"labels/{nucleus} is made here and cannot be the nucleus too. Choose nucleus=…"
        )
    if nucleus not in store.label_names():
        there = ", ".join(store.label_names(kind="labels")) or "none"
        raise DataError(
            f"{store.path} has no labels {nucleus!r} of the nucleus; it has {there}. Make them "
            f"with 'fibseg infer model=… volume={store.path} name=nucleus', import them with kind="
            "labels, or choose others with nucleus=…"
        )
    info = store.labels_info(nucleus)
    if info.kind == "annotation":
        raise UsageError(
            f"labels/{nucleus} is painting: nobody knows what its unlabelled voxels are. Give "
            "labels of the nucleus."
        )
    return {
        "raw": store.raw_digest, "polarity": store.polarity, "spacing": list(store.spacing),
        "nucleus": info.digest,
    }


def refuse_foreign(
    store: Volume, names: Sequence[str], inputs: str | None, derived_from: str, *, overwrite: bool
) -> None:
    """Nothing, if label images of these names may be written: told before hours of work.

    Parameters
    ----------
    inputs
        Fingerprint of what they are to be made of; None where that is not known yet.
    derived_from
        What older ones of the same were made of.

    Raises
    ------
    ExistsError
        If one comes from elsewhere and is not to be replaced.
    """
    for name in names:
        if name not in store.label_names() or overwrite:
            continue
        info = store.labels_info(name)
        if info.inputs != inputs and info.derived_from != derived_from:
            raise ExistsError(
                f"labels/{name} stands already and comes from other data or settings. "
                "Use overwrite=true to replace it."
            )


def refuse_foreign_tables(
    store: Volume, tables: Mapping[str, str], *, overwrite: bool
) -> None:
    """Nothing, if tables may be written: those of labels that were ever made by a run.

    Parameters
    ----------
    tables
        Name of a table to that of its labels.

    Raises
    ------
    DataError
        If something stands there that is no table of fibseg: that is never replaced.
    ExistsError
        If one comes from elsewhere and is not to be replaced.
    """
    for name, labels in tables.items():
        if name in store.table_names() and not _measured_here(store, name, labels) and (
            not overwrite
        ):
            raise ExistsError(
                f"tables/{name} stands already and was not measured on any labels/{labels} made "
                "in this store. Use overwrite=true to replace it."
            )


def _measured_here(store: Volume, name: str, labels: str) -> bool:
    """Whether a table is of labels as they are now, or as a run has made them before.

    Raises
    ------
    DataError
        If it is no table of fibseg.
    """
    digest = store.table_info(name)["labels_digest"]
    if labels not in store.label_names():
        if (store.path / "labels" / labels).exists():  # a run was killed that made them anew
            return True
    elif store.labels_info(labels).digest == digest:
        return True
    made = [run.get("products") or {} for run in store.runs(skip_damaged=True)]
    return any(products.get(f"labels/{labels}") == digest for products in made)


def measured_on(store: Volume, name: str, digest: str) -> bool:
    """Whether there is a table of that name, measured on labels of that digest."""
    if name not in store.table_names():
        return False
    return bool(store.table_info(name)["labels_digest"] == digest)
