"""Objects as closed triangle meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """Triangles of many objects, each a closed surface.

    Attributes
    ----------
    vertices_um
        (n, 3), (z, y, x); the centre of the first voxel of the volume lies at 0.
    faces
        (m, 3), places of vertices, counter-clockwise seen from outside in (x, y, z).
    objects
        (n,), place in `labels` of the object that each vertex belongs to, never falling.
    labels
        (k,), label of each object, ascending.
    """

    vertices_um: NDArray[np.float32]
    faces: NDArray[np.uint32]
    objects: NDArray[np.uint32]
    labels: NDArray[np.uint32]
