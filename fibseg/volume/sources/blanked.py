"""A source parts of which do not count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.types import Shape
from fibseg.volume.sources.source import Source


class BlankedSource(Source):
    """The voxels of `source`, 0 in some boxes."""

    def __init__(self, source: Source, boxes: Sequence[Box]) -> None:
        super().__init__(
            source.path, shape=source.shape, dtype=source.dtype, spacing=source.spacing,
            plane_wise=source.plane_wise, palette=source.palette,
        )  # fmt: skip
        self._source = source
        self._boxes = list(boxes)

    @property
    def unit(self) -> Shape:
        """That of the source."""
        return self._source.unit

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`."""
        voxels = self._source.read(box).copy()  # a source may hand out what it keeps
        for blank in self._boxes:
            both = blank.intersect(box)
            if both.size:
                voxels[both.relative_to(box).slices] = 0
        return voxels

    def close(self) -> None:
        """Close the source."""
        self._source.close()
