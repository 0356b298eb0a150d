"""Settings of training on rotated planes of a densely labelled part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fibseg.data.sparse import SparseData
from fibseg.errors import UsageError
from fibseg.geometry import Box, Orientation, study_orientations

PLANES = ("rotated", "oblique", "z")
"""As in the case study, at any angle, or the planes of the stack."""


@dataclass(frozen=True)
class ObliqueData(SparseData):
    """How patches are drawn from planes at an angle, and what is held out: parts of the space.

    Of `SparseData`, `pixel_nm`, `spacing`, `fold`, `fraction`, `reserved`, `held_out`, `leave_out`
    and `unlabelled` mean nothing here and keep their defaults: planes are sampled with pixels as
    large as the finest side of a voxel.
    """

    splits: ClassVar[tuple[str, ...]] = ("space", "none")

    split: str = "space"
    """What is held out: ``"space"``, a part for validation and one for the test, or ``"none"``."""
    planes: str = "oblique"
    """`rotated`: by 0°, 30°, 60° and 90° about X and about Y; `oblique`: any angle, evenly; `z`."""
    every: int = 0
    """Planes of one orientation are this many pixels apart; 0 for planes anywhere."""
    region: tuple[int, int, int, int, int, int] | None = None
    """Part to train on, [z0, y0, x0, z1, y1, x1] in voxels of level 0; None: a share of it all."""
    test_planes: int = 12
    """Planes of the held-out part that the test predicts."""

    def __post_init__(self) -> None:
        if self.folds < 3:
            raise UsageError(
                f"data.folds={self.folds}: one part in so many is for validation, another for the "
                "test. Use 3 or more."
            )
        fixed = {
            "pixel_nm": None, "spacing": None, "fold": None, "fraction": 1.0, "unlabelled": 0,
            "reserved": None, "held_out": None, "leave_out": None,
        }
        given = [name for name, value in fixed.items() if getattr(self, name) != value]
        if given:
            raise UsageError(
                f"{', '.join(f'data.{name}' for name in given)}: rotated planes have pixels as "
                "large as the finest side of a voxel, patches around labels, and a part of every "
                "volume held out. Leave it out."
            )
        if self.planes not in PLANES:
            raise UsageError(f"data.planes={self.planes!r} is none of {', '.join(PLANES)}.")
        if self.every < 0 or self.test_planes < 1:
            raise UsageError(
                f"data.every={self.every} has to be 0 or more, data.test_planes="
                f"{self.test_planes} 1 or more."
            )
        if self.region is not None:
            object.__setattr__(self, "region", _region(self.region))
        super().__post_init__()

    @property
    def box(self) -> Box | None:
        """The region as a box."""
        return None if self.region is None else Box(self.region[:3], self.region[3:])

    @property
    def orientations(self) -> tuple[Orientation, ...] | None:
        """Those of the planes; None for any."""
        if self.planes == "oblique":
            return None
        return study_orientations() if self.planes == "rotated" else study_orientations()[:1]


def _region(values: tuple[int, ...]) -> tuple[int, ...]:
    """Six voxel numbers.

    Raises
    ------
    UsageError
        If they span no box.
    """
    region = tuple(int(v) for v in values)
    if len(region) != 6 or min(region) < 0 or any(
        a >= b for a, b in zip(region[:3], region[3:], strict=True)
    ):
        raise UsageError(
            f"data.region={list(values)} is no box [z0,y0,x0,z1,y1,x1] in voxels, with each first "
            "number below the second of its axis."
        )
    return region
