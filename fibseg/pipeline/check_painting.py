"""Coverage of an annotation: voxels and painted objects by plane and class."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Grid, Runner, reduce_blocks
from fibseg.pipeline.check_pieces import SPECK_PIXELS, Paint, PaintBlock, Tally
from fibseg.volume import BACKGROUND, Volume


@dataclass(frozen=True)
class PaintedPlane:
    """One plane of an annotation that has paint on it.

    Attributes
    ----------
    voxels
        Painted voxels per class name, ``background`` included.
    objects
        Painted objects per class name: 8-connected pieces in the plane.
    specks
        Of these, pieces of less than 4 pixels.
    """

    plane: int
    voxels: dict[str, int]
    objects: dict[str, int]
    specks: int


@dataclass(frozen=True)
class Painting:
    """An annotation as it was painted."""

    name: str
    classes: list[str]
    planes: list[PaintedPlane]
    n_voxels: int

    def n_objects(self, word: str) -> int:
        """Painted objects of a class, summed over planes."""
        return sum(p.objects.get(word, 0) for p in self.planes)

    def voxels(self, word: str) -> int:
        """Painted voxels of a class, or of ``background``."""
        return sum(p.voxels.get(word, 0) for p in self.planes)

    def planes_with(self, word: str) -> list[int]:
        """Planes on which a class, or ``background``, is painted."""
        return [p.plane for p in self.planes if p.voxels.get(word)]

    def lines(self) -> list[str]:
        """Summary per class, then one line per plane."""
        words = [*self.classes, "background"]
        labelled = sum(self.voxels(w) for w in words)
        out = [
            f"{self.name}: {labelled} of {self.n_voxels} voxels painted "
            f"({100 * labelled / self.n_voxels:.2g} %) on {len(self.planes)} planes"
        ]
        for word in self.classes:
            out.append(
                f"  {word}: {self.n_objects(word)} objects on {len(self.planes_with(word))} "
                f"planes, {self.voxels(word)} voxels"
            )
        out.append(
            f"  background: {self.voxels('background')} voxels on "
            f"{len(self.planes_with('background'))} planes"
        )
        width = max(len(w) for w in words) + 9
        out.append("  plane  " + "".join(f"{w:>{width}}" for w in words))
        for p in self.planes:
            cells = [
                f"{p.voxels.get(w, 0)}" + (f" ({p.objects.get(w, 0)})" if w in self.classes else "")
                for w in words
            ]
            out.append(f"  {p.plane:>5}  " + "".join(f"{c:>{width}}" for c in cells))
        return out

    def warnings(self) -> list[str]:
        """What is likely to spoil a training on this annotation, and what to do about it."""
        found = []
        if not self.voxels("background"):
            found.append(
                f"{self.name}: no background is painted. A network that never sees background "
                "finds the class everywhere: paint some of it as 1, also inside look-alikes."
            )
        for word in self.classes:
            planes = self.planes_with(word)
            if not planes:
                found.append(
                    f"{self.name}: {word} is a class of it, but painted nowhere. Paint it, or "
                    "import again without that class."
                )
            elif len(planes) == 1:
                found.append(
                    f"{self.name}: {word} is painted on plane {planes[0]} only, so no plane can be "
                    "held out to test on. Paint a second plane far from it, or train with "
                    "data.split=boxes."
                )
        painted = [p.plane for p in self.planes]
        if len(painted) > 1 and painted[-1] - painted[0] == len(painted) - 1:
            found.append(
                f"{self.name}: only neighbouring planes are painted ({painted[0]} to "
                f"{painted[-1]}), which show the same objects. Spread them over the volume: every "
                "10th plane teaches more, and gives honest test planes."
            )
        specks = sum(p.specks for p in self.planes)
        if specks:
            where = [p.plane for p in self.planes if p.specks]
            found.append(
                f"{self.name}: {specks} painted objects have less than {SPECK_PIXELS} pixels "
                f"(planes {_some(where)}). They look like slips of the brush: erase them."
            )
        return found


def look_at_painting(volume: Volume, name: str, *, runner: Runner | None = None) -> Painting:
    """Coverage of the annotation `name`.

    Parameters
    ----------
    runner
        Where blocks are looked at.
    """
    classes = volume.labels_info(name).classes
    paint = paint_of(
        volume.labels(name), list(classes.values()), block_shape=volume.block_shape,
        runner=runner, label=name,
    )
    planes = [painted_plane(z, counts, paint.pieces, classes) for z, counts in
              sorted(paint.voxels.items())]
    return Painting(name, list(classes), planes, int(np.prod(volume.shape, dtype=np.int64)))


def paint_of(
    annotation: Any, values: Collection[int], *, block_shape: Sequence[int],
    runner: Runner | None = None, label: str = "paint",
) -> Paint:
    """Voxels and pieces of `values` in all planes of an annotation, whatever the blocks are."""
    grid = Grid.over(annotation.shape, block_shape)
    found: Paint = reduce_blocks(
        PaintBlock(grid, values), annotation, operator.add, block_shape=block_shape,
        runner=runner, label=label,
    )
    return found


def painted_plane(
    z: int, counts: NDArray[np.int64], pieces: Mapping[tuple[int, int], Tally],
    classes: Mapping[str, int],
) -> PaintedPlane:
    """Voxels and objects of one plane from its `counts` per value and the pieces of all planes."""
    words = {word: value for word, value in classes.items() if counts[value]}
    voxels = {word: int(counts[value]) for word, value in words.items()}
    if counts[BACKGROUND]:
        voxels["background"] = int(counts[BACKGROUND])
    objects = {word: pieces[z, value].n for word, value in words.items()}
    return PaintedPlane(z, voxels, objects, sum(pieces[z, v].specks for v in words.values()))


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")
