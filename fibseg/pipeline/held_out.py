"""What a model has not seen of a store, and its predictions there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.data.planes import painted_planes
from fibseg.errors import DataError
from fibseg.export import load_spec
from fibseg.pipeline.scoring import Rectangle
from fibseg.volume import Volume


@dataclass(frozen=True)
class HeldOutPlanes:
    """Painted planes, or parts of them, that a model was not trained on."""

    annotation: str
    classes: tuple[str, ...]
    z: list[int]
    where: str
    boxes: dict[int, list[Rectangle]] = field(default_factory=dict)


def held_out_planes(store: Volume, model: str, truth: str | None) -> HeldOutPlanes:
    raise NotImplementedError


def class_values(store: Volume, held: HeldOutPlanes) -> dict[str, int]:
    raise NotImplementedError


def predictor(
    store: Volume, model: str, backend: Any
) -> Callable[[Sequence[int]], Iterator[NDArray[np.float32]]]:
    raise NotImplementedError
