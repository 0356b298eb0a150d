"""Closed surfaces of objects as STL or PLY: one file, or a folder with a file for each object."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.blocks.room import free_memory
from fibseg.errors import DataError, RoomError
from fibseg.pictures import object_colors
from fibseg.pipeline.object_surfaces import Surfaces, object_surfaces
from fibseg.pipeline.travel_plan import UNITS, Journey
from fibseg.progress import track
from fibseg.report.meshes import simplified
from fibseg.report.triangles import is_closed, unpinched, with_volumes
from fibseg.types import Spacing
from fibseg.volume.files import built, remove_tree
from fibseg.volume.mesh_files import MeshFile, PlyFile, StlFile

BYTES_A_TRIANGLE = 400
"""Memory for one triangle of the object that is being finished: 250 measured, and some room."""
_FILES: dict[str, type[StlFile] | type[PlyFile]] = {"stl": StlFile, "ply": PlyFile}
Finished = tuple[int, NDArray[np.float64], NDArray[np.int64]]
"""Number of an object, its vertices and its triangles."""
Add = Callable[[Finished], None]


def write_meshes(journey: Journey, *, runner: Runner) -> str:
    """Write the surfaces of all objects; returns what they are.

    Each encloses the volume of its voxels. What is found block by block is kept beside the file
    until that is whole, so that an interrupted run goes on.

    Raises
    ------
    DataError
        If there is no such object on the level.
    RoomError
        If the surface of one object alone is more than the memory holds.
    """
    own = journey.scratch / journey.key
    for other in journey.scratch.glob("*"):
        if other != own:
            shutil.rmtree(other)
    surfaces = object_surfaces(
        journey.array, folder=own, block_shape=journey.block_shape, runner=runner,
        inputs=journey.key, spacing=journey.spacing,
    )
    _check(journey, surfaces)
    n_triangles, n_open = 0, 0
    with _adding(journey) as add:
        for one in track(
            _finished(surfaces, journey), total=len(surfaces), label="export", unit="object"
        ):
            add(one)
            n_triangles += len(one[2])
            n_open += not is_closed(one[2])
    told = f"{len(surfaces):,} objects, {n_triangles:,} triangles, (x, y, z) in {journey.unit}"
    del surfaces
    shutil.rmtree(journey.scratch)
    return told + (f"; {n_open} objects are not closed" if n_open else "")


def finished(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], *, n_voxels: int,
    max_faces: int | None = None, spacing: Spacing,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of one object without pinches, simpler if wanted, of the volume of its voxels.

    Parameters
    ----------
    vertices, faces
        (n, 3) in nm, (z, y, x), and (m, 3).
    n_voxels
        Voxels of the object.
    max_faces
        Triangles at most, about; all if left out.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    unit = min(spacing)
    places = vertices / unit
    if not is_closed(faces):
        faces, source = unpinched(faces)
        places = places[source]
    if max_faces is not None:
        places, faces = simplified(places, faces, max_faces)
    volume = np.array([n_voxels * math.prod(spacing) / unit**3])
    objects = np.zeros(len(places), np.int64)
    return with_volumes(places, faces, objects, volume, farthest=0.5) * unit, faces


def _finished(surfaces: Surfaces, journey: Journey) -> Iterator[Finished]:
    """Label, vertices in the unit of the file, and triangles of each object."""
    first = np.array(journey.first_nm)
    for label, n_voxels, (vertices, faces) in zip(
        surfaces.label, surfaces.n_voxels, surfaces, strict=True
    ):
        vertices, faces = finished(
            vertices, faces, n_voxels=int(n_voxels), max_faces=journey.max_faces,
            spacing=journey.spacing,
        )
        yield int(label), (vertices + first) * UNITS[journey.unit], faces


def _check(journey: Journey, surfaces: Surfaces) -> None:
    """Refuse what is not there, and what memory does not hold."""
    there = set(surfaces.label.tolist())
    missing = [n for n in journey.numbers or () if n not in there]
    if missing or not there:
        objects = f"objects {missing}" if missing else "any object"
        raise DataError(
            f"{journey.what} does not have {objects} on this level. Choose others, or a finer "
            "level=: small objects vanish on coarse ones."
        )
    needed, free = surfaces.largest * BYTES_A_TRIANGLE, free_memory()
    if needed > free:
        raise RoomError(
            f"the largest object of {journey.what} has {surfaces.largest:,} triangles, which take "
            f"{needed / 1e9:.3g} GB of memory; {free / 1e9:.3g} GB are free. Use a coarser level=."
        )


@contextlib.contextmanager
def _adding(journey: Journey) -> Iterator[Add]:
    """Context with a function that adds an object to the file, or to the folder of files."""
    kind = _FILES[journey.kind]
    title = f"{journey.note} {journey.unit}"

    def add_to(file: MeshFile, one: Finished) -> None:
        """Append one object to a file."""
        label, vertices, faces = one
        red, green, blue = object_colors(np.array(label)).tolist()
        file.add(vertices, faces, label=label, color=(red, green, blue))

    if not journey.separate:
        with kind(journey.path, title=title) as file:
            yield lambda one: add_to(file, one)
        return
    with built(journey.path) as folder:
        folder.mkdir()

        def add(one: Finished) -> None:
            """Write one object to a file of its own."""
            path = folder / f"{journey.name}_{one[0]:06d}.{journey.kind}"
            with kind(path, title=title) as file:
                add_to(file, one)

        yield add
        remove_tree(journey.path)
