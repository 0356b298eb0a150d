"""What can be compared in a store: label images, classes of painting, planes with truth."""

from __future__ import annotations

from collections.abc import Sequence

from fibseg.errors import DataError, UsageError
from fibseg.metrics import Scores
from fibseg.volume import ProductInfo, Volume


def label_info(store: Volume, name: str, key: str) -> ProductInfo:
    """What is known of a label image.

    Raises
    ------
    DataError
        If it is missing, or lies on another grid.
    """
    names = store.label_names()
    if name not in names:
        raise DataError(
            f"{key}={name}: {store.path} has no such labels; it has {names or 'none'}."
        )
    shape = tuple(store.labels(name).shape)
    if shape != store.shape:
        raise DataError(
            f"labels/{name} has shape {shape} but the raw {store.shape}. Import it again."
        )
    return store.labels_info(name)


def truth_info(store: Volume, name: str) -> ProductInfo:
    """What is known of the truth; an annotation may be named without its prefix."""
    if name not in store.label_names() and f"annotation_{name}" in store.label_names():
        name = store.annotation_name(name)
    return label_info(store, name, "truth")


def painted_class(
    truth: ProductInfo, class_name: str | None, labels: str
) -> tuple[str, int]:
    """Name and value of the class of truth that labels are compared with.

    Raises
    ------
    UsageError
        If it is not clear which.
    """
    if truth.kind == "labels":
        return labels, 2
    classes = {n: v for n, v in truth.classes.items() if v >= 2}
    wanted = class_name or (labels if labels in classes else None)
    if wanted is None and len(classes) == 1:
        wanted = next(iter(classes))
    if wanted not in classes:
        raise UsageError(
            f"labels/{truth.name} has the classes {sorted(classes)}, not "
            f"{wanted or 'one alone'}. Say which with class_name=…."
        )
    return wanted, classes[wanted]


def chosen_planes(
    numbers: Sequence[int], planes: Sequence[int] | None, store: Volume, truth: str
) -> list[int]:
    """Planes to score.

    Raises
    ------
    DataError
        If there is none, or one is asked for that has no truth.
    """
    if len(numbers) == 0:
        raise DataError(f"labels/{truth} of {store.path} is empty: there is nothing to score.")
    if planes is None:
        return list(numbers)
    unknown = sorted(set(planes) - set(numbers))
    if unknown:
        raise DataError(
            f"planes={list(planes)}: labels/{truth} of {store.path} has no truth on {unknown}. "
            f"It has it on {in_short(numbers)}."
        )
    return sorted(set(planes))


def require_truth(scores: Scores, what: str) -> None:
    """Pass only if there is a voxel of the class in the truth.

    Raises
    ------
    DataError
        Naming `what` is empty.
    """
    if scores.overlap.true_positive + scores.overlap.false_negative == 0:
        raise DataError(f"{what} has no voxel of the class: there is nothing to compare with.")


def in_short(numbers: Sequence[int]) -> str:
    """Plane numbers as part of a sentence, the middle left out where there are many.

    >>> in_short(range(40))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 … 39'
    """
    shown = ", ".join(str(n) for n in numbers[:12])
    return f"{shown} … {numbers[-1]}" if len(numbers) > 12 else shown
