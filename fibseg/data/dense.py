"""What a network learns from: an annotation, or numbered objects, which are labelled everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError

if TYPE_CHECKING:
    from fibseg.volume import Volume

OBJECTS = "labels/"
"""What the name of a label image of objects begins with, where an annotation could be meant."""


def is_objects(name: str) -> bool:
    """Whether a name says numbered objects: ``labels/NAME``.

    >>> is_objects("labels/pores"), is_objects("pores")
    (True, False)
    """
    return name.startswith(OBJECTS)


def painting_name(volume: Volume, name: str) -> str:
    """Full name of an annotation, or ``labels/NAME`` of objects.

    Raises
    ------
    DataError
        If there is no such annotation or label image.
    """
    if not is_objects(name):
        return volume.annotation_name(name)
    own = name.removeprefix(OBJECTS)
    there = volume.label_names(kind="labels")
    if own not in there:
        raise DataError(
            f"{volume.path} has no objects {name}; it has {', '.join(there) or 'none'}."
        )
    return name


def painting(volume: Volume, name: str) -> Any:
    """The array of a full name, (z, y, x), read-only."""
    return volume.labels(name.removeprefix(OBJECTS))


def painting_classes(volume: Volume, name: str) -> dict[str, int]:
    """Value of each class in what `as_annotation` makes of it."""
    if is_objects(name):
        return {name.removeprefix(OBJECTS): 2}
    return dict(volume.labels_info(name).classes)


def painting_digest(volume: Volume, name: str) -> str:
    """Digest of a full name."""
    return volume.labels_info(name.removeprefix(OBJECTS)).digest


def as_annotation(labels: NDArray[Any], *, objects: bool) -> NDArray[np.uint8]:
    """Labels as values of an annotation: of objects, 0 is background (1), anything else 2.

    >>> as_annotation(np.array([0, 7]), objects=True).tolist()
    [1, 2]
    """
    if not objects:
        return labels.astype(np.uint8, copy=False)
    return np.where(labels > 0, 2, 1).astype(np.uint8)
