"""Takes the pictures of a report: planes of a store, with objects and errors over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import gray, overlay
from fibseg.pipeline.report_kinds import Kind
from fibseg.report import AXES, ObjectLayer, Panel, View, error_view, plane_view
from fibseg.volume import Volume

NORMAL = {"xy": 0, "xz": 1, "yz": 2}


@dataclass(frozen=True)
class Camera:
    """Takes pictures of planes of a store, from the pyramid level that fits."""

    store: Volume
    max_pixels: int
    invert: bool

    def views(self, kinds: Sequence[Kind], z: Sequence[int]) -> tuple[View, ...]:
        """Planes `z`, and one in the middle along y and along x."""
        _, ny, nx = self.store.shape
        wanted = [("xy", n) for n in z]
        if self.store.shape[0] > 1:
            wanted += [("xz", ny // 2), ("yz", nx // 2)]
        return tuple(self._view(kinds, plane, index) for plane, index in wanted)

    def error_views(self, evaluation: dict[str, Any], z: Sequence[int]) -> tuple[View, ...]:
        """The middle one of the planes `z`, or of the scored ones, with right and wrong voxels."""
        kind, _, labels = evaluation["prediction"].partition("/")
        truth = evaluation["truth"].removeprefix("labels/")
        names = self.store.label_names()
        if kind != "labels" or labels not in names or truth not in names:
            return ()
        by_class = list(evaluation["planes"].items())
        scored_z = sorted(int(k) for k in by_class[0][1]) if by_class else list(z)
        index = scored_z[len(scored_z) // 2]
        level, spacing = self._level("xy")
        raw, predicted, true = (
            self._read(a, "xy", index) for a in
            (self.store.raw(level), self.store.labels(labels, level),
             self.store.labels(truth, level))
        )
        info = self.store.labels_info(truth)
        painted = info.kind == "annotation"
        value = info.classes.get(by_class[0][0]) if painted else None
        return (
            error_view(
                raw, predicted > 0, true == value if painted else true > 0,
                scored=true > 0 if painted else None, title="XY", place=f"z = {index}",
                low=self.store.percentiles["p0.5"], high=self.store.percentiles["p99.5"],
                invert=self.invert, spacing=spacing,
            ),
        )

    def panels(self, kinds: Sequence[Kind], z: int) -> list[Panel]:
        """Plane `z` and the middle ones along y and x, objects drawn in: for the figure."""
        _, ny, nx = self.store.shape
        wanted = [("xy", z)]
        if self.store.shape[0] > 1:
            wanted += [("xz", ny // 2), ("yz", nx // 2)]
        return [self._panel(kinds, plane, index) for plane, index in wanted]

    def _panel(self, kinds: Sequence[Kind], plane: str, index: int) -> Panel:
        level, spacing = self._level(plane)
        low, high = (self.store.percentiles[p] for p in ("p0.5", "p99.5"))
        raw = self._read(self.store.raw(level), plane, index)
        picture = gray(raw, low=low, high=high, invert=self.invert)
        for kind in kinds:
            labels = self._read(self.store.labels(kind.name, level), plane, index)
            picture = overlay(picture, labels, color=kind.color, alpha=0 if kind.shell else 0.4)
        place = f"{plane.upper()}, {'zyx'[NORMAL[plane]]} = {index}"
        return Panel(picture, place, spacing)

    def _view(self, kinds: Sequence[Kind], plane: str, index: int) -> View:
        level, spacing = self._level(plane)
        layers = [
            ObjectLayer(
                self._read(self.store.labels(k.name, level), plane, index), k.color,
                filled=not k.shell,
            )
            for k in kinds
        ]
        axis = "zyx"[NORMAL[plane]]
        return plane_view(
            self._read(self.store.raw(level), plane, index), layers, title=plane.upper(),
            place=f"{axis} = {index}", low=self.store.percentiles["p0.5"],
            high=self.store.percentiles["p99.5"], invert=self.invert, spacing=spacing,
        )

    def _level(self, plane: str) -> tuple[int, tuple[float, float]]:
        """Finest pyramid level whose planes are small enough, and nm per pixel (rows, columns)."""
        rows, columns = AXES[plane]
        for level in range(self.store.n_levels):
            shape = self.store.raw(level).shape
            if max(shape[rows], shape[columns]) <= self.max_pixels:
                break
        # From the extent, since sizes of coarse levels are rounded.
        size = [n * s for n, s in zip(self.store.shape, self.store.spacing, strict=True)]
        return level, (size[rows] / shape[rows], size[columns] / shape[columns])

    def _read(self, array: Any, plane: str, index: int) -> NDArray[Any]:
        """Plane of a level at `index` of level 0; every n-th pixel if the level is too large."""
        axis = NORMAL[plane]
        at = min(index * array.shape[axis] // self.store.shape[axis], array.shape[axis] - 1)
        cut: list[int | slice] = [slice(None)] * 3
        cut[axis] = at
        found = np.asarray(array[tuple(cut)])
        return found[tuple(slice(None, None, -(-n // self.max_pixels)) for n in found.shape)]
