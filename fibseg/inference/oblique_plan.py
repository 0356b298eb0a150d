"""How a 2D network runs along several plane orientations of one volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibseg.errors import UsageError
from fibseg.export import ModelSpec
from fibseg.geometry import (
    Box,
    Orientation,
    along,
    even_orientations,
    orthogonal_orientations,
)
from fibseg.inference.lattice import Lattice, halo_of
from fibseg.inference.plan import TOLERANCE, Pyramid
from fibseg.types import Shape, Spacing

FUSIONS = ("mean", "median")
CORE, CORE_NEAR = 64, 48
"""Largest side in pixels of the part of a window that counts, everywhere and near a border.

Sides of blocks are multiples of 64, so that windows of planes across an axis end where blocks do;
near a border they are small, as few windows hold what is wanted then.
"""
_BATCH_PIXELS = 2**18


@dataclass(frozen=True)
class ObliquePlan:
    """How one model runs on one volume along several orientations; nothing depends on blocks.

    Parameters
    ----------
    shape, spacing
        Of the volume.
    pixel_nm
        Side of a pixel, and distance of planes.
    core, margin
        Pixels of a window that count, and those on each side that are only seen.
    context
        Neighbouring planes on each side, as channels.
    batch
        Windows that the network sees at once; a smaller last batch is padded.
    orientations
        Those of the planes.
    fusion
        How probabilities of the orientations become one: ``"mean"`` or ``"median"``.
    within_nm
        Only voxels whose signed distance to the border of a label image (negative inside) lies in
        this range are computed; None for all. A range from None on takes in all that is inside.
    """

    shape: Shape
    spacing: Spacing
    pixel_nm: float
    core: int
    margin: int
    context: int
    batch: int
    orientations: tuple[Orientation, ...]
    fusion: str = "mean"
    within_nm: tuple[float | None, float] | None = None

    @property
    def level(self) -> int:
        """Pyramid level that is read: planes are sampled from the voxels themselves."""
        return 0

    @property
    def window(self) -> int:
        """Pixels on each side of a window."""
        return self.core + 2 * self.margin

    @property
    def halo(self) -> tuple[int, int, int]:
        """Voxels beside a block that its windows see, or that tell how far the border is."""
        across = self.core + self.margin + 1
        seen = math.ceil(math.hypot(self.context + 1, across, across)) + 1
        z, y, x = halo_of(seen, self.pixel_nm, self.spacing)
        if self.within_nm is None:
            return z, y, x
        far = max(abs(v) for v in self.within_nm if v is not None)
        near = [math.ceil(far / s) + 1 for s in self.spacing]
        return max(z, near[0]), max(y, near[1]), max(x, near[2])

    def lattice(self, orientation: Orientation) -> Lattice:
        """Pixels of one orientation."""
        return Lattice(orientation, self.shape, self.spacing, self.pixel_nm)

    def batch_shape(self, channels: int) -> tuple[int, int, int, int]:
        """What the network sees at once, (b, c, y, x)."""
        return self.batch, channels, self.window, self.window

    def block_shape(self, shards: Sequence[int]) -> Shape:
        """Voxels per block: one shard."""
        z, y, x = shards
        return z, y, x

    def read_box(self, write: Box) -> Box:
        """Voxels of the level that the voxels `write` depend on."""
        if write.size == 0:
            return Box(write.start, write.start)
        return write.grow(self.halo).clip(self.shape)


def make_oblique_plan(
    spec: ModelSpec, volume: Pyramid, *, orientations: Sequence[Orientation],
    fusion: str = "mean", within_nm: tuple[float | None, float] | None = None,
) -> ObliquePlan:
    """Plan for `spec` on `volume`.

    Raises
    ------
    UsageError
        If the fusion is unknown, or the model works on coarser pixels or on planes farther apart.
    """
    if fusion not in FUSIONS:
        raise UsageError(f"fusion={fusion!r} is unknown. Use one of: {', '.join(FUSIONS)}.")
    pixel_nm, finest = min(spec.spacing[1:]), min(volume.spacing)
    if pixel_nm > finest * (1 + TOLERANCE):
        raise UsageError(
            f"the model was trained on pixels of {pixel_nm:g} nm, the volume has voxels of "
            f"{finest:g} nm: oblique planes are sampled from level 0 and not averaged. Use "
            "orientations=z, or a model that was trained on finer pixels."
        )
    if spec.context and abs(spec.spacing[0] / pixel_nm - 1) > TOLERANCE:
        raise UsageError(
            f"the model sees neighbouring planes {spec.spacing[0]:g} nm apart as channels, with "
            f"pixels of {pixel_nm:g} nm; oblique planes lie one pixel apart. Train it with "
            "network.context=0, or on rotated planes."
        )
    multiple = spec.stride_multiple
    largest = CORE if within_nm is None or within_nm[0] is None else CORE_NEAR
    core = max(min(*spec.window.core, largest) // multiple, 1) * multiple
    window = core + 2 * spec.window.margin
    return ObliquePlan(
        volume.shape, volume.spacing, pixel_nm=pixel_nm, core=core,
        margin=spec.window.margin, context=spec.context,
        batch=max(1, min(16, round(_BATCH_PIXELS / window**2))),
        orientations=tuple(orientations), fusion=fusion, within_nm=within_nm,
    )


def orientations_named(name: str, n: int) -> tuple[Orientation, ...]:
    """Orientations by the word for them: ``z``, ``orthogonal``, or `n` of ``oblique``.

    Raises
    ------
    UsageError
        If the word is unknown or `n` below 1.
    """
    if name in ("z", "y", "x"):
        return (along(name),)
    if name == "orthogonal":
        return orthogonal_orientations()
    if name == "oblique":
        return even_orientations(n)
    raise UsageError(
        f"orientations={name!r} is unknown. Use z, y or x, orthogonal (all three) or oblique."
    )
