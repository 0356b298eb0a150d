"""What the steps of ``fibseg pores`` ask of a store before they work."""

from __future__ import annotations

from collections.abc import Sequence
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
    store: Volume, names: Sequence[str], inputs: str, derived_from: str, *, overwrite: bool
) -> None:
    """Nothing, if label images of these names may be written: told before hours of work.

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


def measured_on(store: Volume, name: str, digest: str) -> bool:
    """Whether there is a table of that name, measured on labels of that digest."""
    if name not in store.table_names():
        return False
    return bool(store.table_info(name)["labels_digest"] == digest)
