"""How far the surface of digitised shapes is from the truth, by fibseg and by other methods.

    python benchmarks/surface.py [--orientations 50]

Balls, ellipsoids, capsules and tori, their smallest radius 8 voxels along the finest and at least 3
along the coarsest axis, each at random orientations and offsets, at voxels of 1:1:1, 2.5:1:1 and
5:1:1; boxes apart, turned and along the grid. A cell is the mean error in percent ± its standard
deviation (mean without signs). The last line of a spacing is the volume, voxels times their size.

Targets for smooth shapes: mean error of the volume 1 %, of the surface 2.5 % (5 % at 5:1:1), its
standard deviation 1.5 %. zmesh (GPL) and SimpleITK are left out where they are not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import sys
from collections.abc import Callable

import numpy as np
from analytic import BOX, SMOOTH, Analytic
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.measure import marching_cubes, mesh_surface_area

from fibseg.measure import surface
from fibseg.types import Spacing

SPACINGS: tuple[Spacing, ...] = ((1.0, 1.0, 1.0), (2.5, 1.0, 1.0), (5.0, 1.0, 1.0))
Mask = NDArray[np.uint8]


def fibseg_surface(mask: Mask, spacing: Spacing) -> float:
    return float(surface.measure(mask, spacing=spacing)["surface_area_um2"][0]) * 1e6


def crofton(mask: Mask, spacing: Spacing) -> float:
    """13 directions, each weighted by the part of the sphere that is nearest to it."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if s > (0, 0, 0)]
    vectors = np.array(steps) * spacing
    length = np.linalg.norm(vectors, axis=1)
    sphere = np.random.default_rng(0).normal(size=(200_000, 3))
    nearest = np.abs(sphere @ (vectors / length[:, None]).T).argmax(axis=1)
    weight = np.bincount(nearest, minlength=len(steps)) / len(sphere)
    here = mask > 0
    total = 0.0
    for step, w, d in zip(steps, weight, length, strict=True):
        leaving = here & ~np.roll(here, [-s for s in step], axis=(0, 1, 2))
        total += 4 * w * leaving.sum() * math.prod(spacing) / d
    return total


def co_area(mask: Mask, spacing: Spacing) -> float:
    """∫|∇(G∗mask)|, the gaussian one voxel wide along every axis."""
    squares = np.zeros(mask.shape)
    for axis, size in enumerate(spacing):
        part = mask.astype(np.float64)
        for other in range(3):
            part = gaussian_filter1d(part, 1.0, axis=other, order=int(other == axis))
        squares += (part / size) ** 2
    return float(np.sqrt(squares).sum()) * math.prod(spacing)


def cubes(mask: Mask, spacing: Spacing) -> float:
    """Marching cubes of the mask, as skimage has it."""
    vertices, faces, _, _ = marching_cubes(mask, 0.5, spacing=spacing)
    return float(mesh_surface_area(vertices, faces))


def zmesh_surface(mask: Mask, spacing: Spacing) -> float:
    from zmesh import Mesher

    mesher = Mesher(spacing)
    mesher.mesh(mask.astype(np.uint32))
    mesh = mesher.get(1, normals=False)
    return float(mesh_surface_area(np.asarray(mesh.vertices, float), mesh.faces))


def itk(mask: Mask, spacing: Spacing) -> float:
    """SimpleITK's perimeter (Crofton)."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(mask)
    image.SetSpacing(spacing[::-1])
    found = SimpleITK.LabelShapeStatisticsImageFilter()
    found.ComputePerimeterOn()
    found.Execute(image)
    return float(found.GetPerimeter(1))


def faces(mask: Mask, spacing: Spacing) -> float:
    """All faces between a voxel of the mask and one that is none."""
    areas = [math.prod(spacing) / size for size in spacing]
    inside = mask.astype(np.int8)
    return float(
        sum(area * np.abs(np.diff(inside, axis=axis)).sum() for axis, area in enumerate(areas))
    )


METHODS: dict[str, Callable[[Mask, Spacing], float]] = {
    "fibseg": fibseg_surface, "Crofton, 13 directions": crofton, "SimpleITK": itk,
    "co-area, σ 1 voxel": co_area, "marching cubes": cubes, "zmesh": zmesh_surface,
    "voxel faces": faces,
}


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def methods() -> dict[str, Callable[[Mask, Spacing], float]]:
    """Those that can be run here."""
    needs = {"zmesh": "zmesh", "SimpleITK": "SimpleITK"}
    there = {}
    for name, method in METHODS.items():
        if name in needs and importlib.util.find_spec(needs[name]) is None:
            say(f"{name} is not installed: left out")
        else:
            there[name] = method
    return there


def cell(errors: list[float]) -> str:
    """Mean ± standard deviation (mean without signs) of relative errors, in percent."""
    percent = 100 * np.array(errors)
    return f"{percent.mean():+.2f} ± {percent.std():.2f} ({np.abs(percent).mean():.2f})"


def table(spacing: Spacing, orientations: int, there: dict[str, Callable[..., float]]) -> None:
    """Print the errors of all methods on all shapes at one spacing."""
    radius = max(8 * min(spacing), 3 * max(spacing))
    shapes: dict[str, tuple[Analytic, bool]] = {name: (s, True) for name, s in SMOOTH.items()}
    shapes |= {"box, turned": (BOX, True), "box along the grid": (BOX, False)}
    cells: dict[str, list[str]] = {name: [] for name in (*there, "volume")}
    for shape, turned in shapes.values():
        errors: dict[str, list[float]] = {name: [] for name in cells}
        for seed in range(orientations):
            mask = shape.digitised(radius, spacing, seed=seed, turned=turned)
            for name, method in there.items():
                found = method(mask, spacing)
                errors[name].append(found / (shape.surface * radius**2) - 1)
            found = float(mask.sum()) * math.prod(spacing)
            errors["volume"].append(found / (shape.volume * radius**3) - 1)
        for name, each in errors.items():
            cells[name].append(cell(each))
    ratio = ":".join(f"{s:g}" for s in spacing)
    say(f"\nspacing {ratio}, smallest radius {radius:g}, {orientations} orientations, in %\n")
    say("| | " + " | ".join(shapes) + " |")
    say("|" + "---|" * (len(shapes) + 1))
    for name, row in cells.items():
        say(f"| {name} | " + " | ".join(row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--orientations", type=int, default=50)
    given = parser.parse_args()
    there = methods()
    for spacing in SPACINGS:
        table(spacing, given.orientations, there)


if __name__ == "__main__":
    main()
