"""Values that labels and paintings may have, checked before anything is stored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from fibseg.errors import DataError, UsageError
from fibseg.volume import BACKGROUND, UNLABELLED
from fibseg.volume.files import checked_name
from fibseg.volume.sources import Source, Survey

LARGEST_LABEL = np.iinfo(np.uint32).max
_log = logging.getLogger("fibseg.pipeline")


def class_values(
    name: str, classes: Mapping[str, int] | Sequence[str] | None
) -> dict[str, int]:
    """Class names with their values.

    >>> class_values("mitochondria", None), class_values("cell", ["nucleus", "golgi"])
    ({'mitochondria': 2}, {'nucleus': 2, 'golgi': 3})

    Raises
    ------
    UsageError
        For values below 2 or above 255, values and names given twice, a class called background,
        and a name that no product can bear.
    """
    if classes is None:
        classes = [name.removeprefix("annotation_")]
    if not isinstance(classes, Mapping):
        if len(set(map(str, classes))) < len(classes):
            raise UsageError(f"classes={list(classes)} names one twice. Each needs its own name.")
        classes = {str(word): k for k, word in enumerate(classes, start=BACKGROUND + 1)}
    values = {
        checked_name(str(word), what="class"): int(value) for word, value in classes.items()
    }
    if "background" in values:
        raise UsageError(
            "A class cannot be called background: that is the value 1 of every painting. Give "
            "another name=, or other names in classes=."
        )
    numbers = list(values.values())
    if not numbers or min(numbers) <= BACKGROUND or max(numbers) > 255 or (
        len(set(numbers)) < len(numbers)
    ):
        raise UsageError(
            f"classes={values} cannot be: 0 is unlabelled and 1 background, so each class needs "
            "its own value from 2 to 255, e.g. classes={mitochondria:2,nucleus:3}."
        )
    return values


def check_painting(source: Source, found: Survey, classes: Mapping[str, int]) -> None:
    """`DataError` unless the values are 0, 1 and known classes, and a class is painted."""
    check_integers(source, found)
    counts = found.counts
    known = {UNLABELLED, BACKGROUND, *classes.values()}
    rule = (
        f"0 is unlabelled, 1 background, and here "
        f"{', '.join(f'{v} {k}' for k, v in classes.items())}"
    )
    if counts is None:
        raise DataError(
            f"{source.path} has more than 256 different values, so it is no painting of classes "
            f"({rule}). Numbered objects are imported with kind=labels."
        )
    unknown = {v: n for v, n in counts.items() if v not in known}
    if unknown:
        listed = ", ".join(f"{v} ({n} voxels)" for v, n in sorted(unknown.items())[:6])
        raise DataError(
            f"{source.path} has the class values {listed}, which are not known: {rule}. Change "
            "the values, or name the classes, e.g. classes={mitochondria:2,nucleus:3}."
        )
    if set(counts) <= {UNLABELLED}:
        raise DataError(
            f"{source.path} is all 0: nothing is labelled. Paint background as 1 and "
            "classes from 2 on some planes."
        )
    if set(counts) <= {UNLABELLED, BACKGROUND}:
        raise DataError(
            f"{source.path} has only the values {sorted(counts)}: background is painted, but no "
            f"class ({rule}). If it is a mask, add 1 to it where the background is known as well."
        )


def check_labels(source: Source, found: Survey, objects: str | None) -> None:
    """`DataError` unless the voxels are object numbers that uint32 holds."""
    check_integers(source, found)
    if found.highest > LARGEST_LABEL:
        raise DataError(
            f"{source.path} has labels up to {found.highest:.0f}; fibseg stores them up to "
            f"{LARGEST_LABEL}. Renumber them (e.g. fastremap.renumber)."
        )
    n_values = None if found.counts is None else len(set(found.counts) - {0})
    if objects and (n_values is None or n_values > 1):
        raise DataError(
            f"{source.path} has {n_values or 'more than 256'} values besides 0, so it is no mask "
            "and its objects are numbered already. Leave objects= out."
        )
    if found.highest == 0:
        _log.warning("%s is all 0: there is no object in it", source.path)


def check_integers(source: Source, found: Survey) -> None:
    """`DataError` unless the voxels are whole numbers from 0."""
    if source.dtype.kind not in "iub":
        raise DataError(
            f"{source.path} has voxels of type {source.dtype}, but labels are whole numbers. Save "
            "it as uint8, uint16 or uint32 without interpolation."
        )
    if found.lowest < 0:
        raise DataError(
            f"{source.path} has negative labels, down to {found.lowest:.0f}. 0 is nothing, "
            "objects and classes count upwards from 1: renumber them."
        )
