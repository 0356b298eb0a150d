"""How planes lie in a volume: orientations as rotations of its axes, in nm, not in voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fibseg.errors import UsageError
from fibseg.types import Spacing

Floats = NDArray[np.float64]

_AXES = "zyx"


@dataclass(frozen=True)
class Orientation:
    """A stack of parallel planes: which way it goes, and how the planes lie in it.

    Parameters
    ----------
    name
        Such as ``"z"`` or ``"x 30"``.
    matrix
        Nine numbers: unit vectors (z, y, x) of the normal, of rows downwards and of columns to the
        right, one after another; a rotation.

    Raises
    ------
    UsageError
        If the vectors are not orthogonal or not of length 1.
    """

    name: str
    matrix: tuple[float, ...]

    def __post_init__(self) -> None:
        m = self.axes
        if m.shape != (3, 3) or not np.allclose(m @ m.T, np.eye(3), atol=1e-9):
            raise UsageError(
                f"the axes {np.round(m, 3).tolist()} of the orientation {self.name!r} are no "
                "orthogonal unit vectors."
            )

    @property
    def axes(self) -> Floats:
        """(3, 3): normal, rows, columns, each as (z, y, x)."""
        return np.array(self.matrix, float).reshape(-1, 3)

    def to_stack(self, points_nm: Floats) -> Floats:
        """Points (…, 3), (z, y, x) in nm, as (along the normal, down the rows, along a row)."""
        return np.asarray(points_nm, float) @ self.axes.T

    def to_volume(self, points_nm: Floats) -> Floats:
        """The inverse of `to_stack`."""
        return np.asarray(points_nm, float) @ self.axes


def along(axis: str) -> Orientation:
    """Planes across one axis of the volume, rows and columns along the others in their order.

    >>> along("y").axes.astype(int).tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 1]]

    Raises
    ------
    UsageError
        If it is none of z, y, x.
    """
    if axis not in _AXES or len(axis) != 1:
        raise UsageError(f"axis {axis!r} is not known. Use one of: z, y, x.")
    order = axis + _AXES.replace(axis, "")
    return _named(axis, np.eye(3)[[_AXES.index(a) for a in order]])


def rotated(about: str, degrees: float) -> Orientation:
    """XY planes turned about the x or the y axis of the volume.

    >>> np.allclose(np.abs(rotated("x", 90).axes[0]), np.abs(along("y").axes[0]))
    True

    Raises
    ------
    UsageError
        If the axis is another one.
    """
    if about not in ("x", "y"):
        raise UsageError(f"planes are turned about x or y, not about {about!r}.")
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    about_x = [[c, s, 0], [-s, c, 0], [0, 0, 1]]
    turn = about_x if about == "x" else [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    return _named(f"{about} {degrees:g}", np.array(turn, float))


def study_orientations() -> tuple[Orientation, ...]:
    """The seven of the case study: 0°, 30°, 60° and 90° about X and about Y, 0° once."""
    turned = (rotated(about, d) for about in ("x", "y") for d in (30.0, 60.0, 90.0))
    return (along("z"), *turned)


def orthogonal_orientations() -> tuple[Orientation, ...]:
    """Planes across z, y and x."""
    return tuple(along(axis) for axis in _AXES)


def even_orientations(n: int) -> tuple[Orientation, ...]:
    """`n` orientations whose normals are spread evenly, the first of them z.

    A spherical Fibonacci lattice on the half sphere (Swinbank and Purser, Q J R Meteorol Soc
    132:1769, 2006), turned so that its first normal is z; rows turn by the golden angle from one
    to the next, so that no direction within planes is preferred.

    Raises
    ------
    UsageError
        If `n` is below 1.
    """
    if n < 1:
        raise UsageError(f"n_orientations={n}: use at least 1, such as 12.")
    golden = math.pi * (3 - math.sqrt(5))
    found = []
    for i in range(n):
        tilt = math.acos(1 - (i + 0.5) / n) if i else 0.0
        turn = Rotation.from_euler("ZYZ", [golden * i, tilt, golden * i])
        # Columns of SciPy's matrix are where x, y, z go, as (x, y, z).
        found.append(_named(f"oblique {i + 1} of {n}", turn.as_matrix().T[::-1, ::-1]))
    return tuple(found)


def random_orientation(random: np.random.Generator) -> Orientation:
    """One of all orientations, each as likely (Shoemake, Graphics Gems III, 1992)."""
    return _named("random", Rotation.random(random_state=random).as_matrix())


def finest_nm(spacing: Spacing) -> float:
    """Side of the square pixels of oblique planes: that of the finest axis.

    >>> finest_nm((25.0, 8.0, 8.0))
    8.0
    """
    return min(spacing)


def _named(name: str, matrix: Floats) -> Orientation:
    return Orientation(name, tuple(float(v) for v in np.asarray(matrix).ravel()))
