"""Settings of the training data: patches, split, balance, augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from fibseg.errors import UsageError
from fibseg.types import Spacing


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the random changes that a patch goes through; 0 switches one off.

    Intensities are in units of the normalised image, whose standard deviation is near 1.
    """

    rotate: bool = True
    """Any angle, and mirror images."""
    scale: float = 0.35
    """Zoom by exp(±scale)."""
    stretch: float = 0.15
    """Stretch by exp(±stretch) along a random axis, and the reverse across it."""
    elastic: float = 3.0
    """Displacement of a 7 x 7 grid of nodes, pixels."""
    contrast: float = 0.1
    """Multiply by exp(±contrast)."""
    brightness: float = 0.1
    """Add ±brightness."""
    gamma: float = 0.15
    """Power of exp(±gamma)."""
    shading: float = 0.1
    """Add a field that varies slowly over the patch."""
    noise: float = 0.3
    """Standard deviation of added Gaussian noise."""
    blur: float = 1.2
    """Largest standard deviation of a Gaussian blur (or sharpening), pixels."""
    curtain: float = 0.15
    """Stripes along y or x, as the ion beam leaves them."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise UsageError(f"data.augmentation.{name}={value} is negative. Use 0 for none.")


@dataclass(frozen=True)
class SparseData:
    """How patches are drawn from sparsely annotated planes, and what is held out."""

    splits: ClassVar[tuple[str, ...]] = ("planes", "boxes", "none")
    balances: ClassVar[tuple[str, ...]] = ("cell", "planes", "voxels")

    patch: int = 128
    """Height and width of a patch, working pixels."""
    batch: int = 8
    """Patches per step that are centred near a labelled voxel, of all processes together."""
    unlabelled: int = 0
    """Further patches per step from anywhere, for the consistency term."""
    foreground: float = 0.25
    """Share of patches centred on a class (each class as often) instead of background."""
    balance: str = "cell"
    """Of several volumes: each as often (`cell`), or by its painted `planes`, or its `voxels`."""
    spacing: Spacing | None = None
    """Working spacing (z, y, x), nm; None: the first volume's own, or by `pixel_nm`."""
    pixel_nm: float | None = None
    """Average pixels by the largest whole factor that keeps them no coarser than this, nm."""
    split: str = "planes"
    """What is held out: `planes`, `boxes` (painted regions) or `none`."""
    folds: int = 5
    """One part in this many is held out."""
    fold: int | None = None
    """Which part, from 0; None: the one whose classes are nearest to the whole."""
    held_out: Sequence[int] | Sequence[Sequence[int]] | None = None
    """Planes to hold out, [17,18], of several volumes [[17,18],[5]]; None chooses by the folds."""
    leave_out: str | None = None
    """Name of a volume that is not trained on but tested; None: part of each, by `split`."""
    gap_nm: float = 100.0
    """Planes nearer than this to a held-out plane are not trained on."""
    fraction: float = 1.0
    """Share of the planes left that is trained on, evenly spread; smaller ones lie in larger."""
    reserved: Sequence[int] | Sequence[Sequence[int]] | None = None
    """Planes kept for a later test, [17,18], of several volumes [[17,18],[5]]; None for none."""
    memory_gb: float = 4.0
    """Planes that take more than this stay on disk."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name in ("held_out", "reserved"):
            object.__setattr__(self, name, _planes(name, getattr(self, name)))
        if self.held_out and (self.split != "planes" or self.fold is not None):
            raise UsageError(
                "data.held_out names planes, which goes with data.split=planes and without "
                "data.fold. Leave one of them out."
            )
        if self.leave_out is not None:
            object.__setattr__(self, "leave_out", str(self.leave_out))
            self._refuse_beside_leave_out()
        if self.balance not in self.balances:
            raise UsageError(
                f"data.balance={self.balance!r} is none of {', '.join(self.balances)}."
            )
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _spacing(self.spacing))
        if self.split not in self.splits:
            raise UsageError(f"data.split={self.split!r} is none of {', '.join(self.splits)}.")
        if self.folds < 2:
            raise UsageError(f"data.folds={self.folds} leaves nothing to train on. Use 2 or more.")
        if self.fold is not None and not 0 <= self.fold < self.folds:
            raise UsageError(
                f"data.fold={self.fold} is not one of the {self.folds} folds 0 to {self.folds - 1}."
            )
        for name, least in (("patch", 1), ("batch", 1), ("unlabelled", 0), ("gap_nm", 0),
                            ("memory_gb", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"data.{name}={getattr(self, name)} is less than {least}.")
        if not 0 < self.fraction <= 1:
            raise UsageError(
                f"data.fraction={self.fraction} is not a share above 0 and up to 1. Use e.g. 0.5."
            )
        if not 0 <= self.foreground <= 1:
            raise UsageError(f"data.foreground={self.foreground} is not a share from 0 to 1.")
        if self.pixel_nm is not None and self.pixel_nm <= 0:
            raise UsageError(f"data.pixel_nm={self.pixel_nm} is not a size. Use e.g. 20.")

    def _refuse_beside_leave_out(self) -> None:
        """A whole cell is held out, hence nothing else is."""
        beside = {"held_out": None, "reserved": None, "fold": None, "split": "planes"}
        given = [name for name, value in beside.items() if getattr(self, name) != value]
        if given:
            raise UsageError(
                f"data.leave_out={self.leave_out} holds out a whole volume, and so goes without "
                f"{', '.join(f'data.{name}' for name in given)}. Leave that out."
            )


def _planes(
    name: str, values: Sequence[int] | Sequence[Sequence[int]] | None
) -> tuple[tuple[int, ...], ...] | None:
    """Plane numbers of each volume, sorted; None where there is no plane at all."""
    lists = [v for v in values or () if not isinstance(v, int)]
    alone = [v for v in values or () if isinstance(v, int)]
    if lists and alone:
        raise UsageError(f"data.{name}={values} mixes planes and lists. Use e.g. [[17,18],[5]].")
    planes = tuple(tuple(sorted(set(one))) for one in (lists or [alone]))
    return planes if any(planes) else None


def _spacing(values: Sequence[float]) -> Spacing:
    """The three values as a spacing."""
    if len(values) != 3 or min(values) <= 0:
        raise UsageError(
            f"data.spacing={list(values)} is not three sizes (z, y, x) in nm. Use e.g. [20,20,20]."
        )
    z, y, x = (float(v) for v in values)
    return z, y, x
