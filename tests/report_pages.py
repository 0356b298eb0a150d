"""Pages to test with: a cell of ellipsoids, whose places and measurements are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.report import (
    CellSection,
    ClassTable,
    Fact,
    Figure,
    Mesh,
    ObjectLayer,
    ObjectSection,
    ObjectTable,
    Page,
    Scene,
    SceneMesh,
    plane_view,
    png_uri,
    svg_uri,
    volume_histogram,
)

CLASSES = {
    "perinuclear": (213, 94, 0), "intermediate": (0, 158, 115), "peripheral": (86, 180, 233),
}


@dataclass(frozen=True)
class Ellipsoids:
    """Centres and half axes in µm, (n, 3), (z, y, x)."""

    centers_um: NDArray[np.float64]
    radii_um: NDArray[np.float64]

    def labels(self, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> NDArray:
        """Label image, 1 to n."""
        out = np.zeros(shape, np.uint32)
        grid = [np.arange(n) * s / 1000 for n, s in zip(shape, spacing, strict=True)]
        for label, (center, radius) in enumerate(zip(self.centers_um, self.radii_um, strict=True)):
            at = [np.abs(g - c) <= r for g, c, r in zip(grid, center, radius, strict=True)]
            box = tuple(slice(*np.flatnonzero(a)[[0, -1]] + (0, 1)) for a in at)
            z, y, x = ((g[b] - c) / r for g, b, c, r in zip(grid, box, center, radius, strict=True))
            out[box][z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= 1] = label + 1
        return out

    def mesh(self, *, n: int = 16) -> Mesh:
        """Every ellipsoid as 2 n meridians by n parallels."""
        theta, phi = np.meshgrid(
            np.linspace(0, np.pi, n + 1), np.linspace(0, 2 * np.pi, 2 * n, endpoint=False),
            indexing="ij",
        )
        unit = np.stack([np.cos(theta), np.sin(theta) * np.sin(phi), np.sin(theta) * np.cos(phi)])
        unit = unit.reshape(3, -1).T
        a = np.arange(n)[:, None] * 2 * n + np.arange(2 * n)
        b = np.arange(n)[:, None] * 2 * n + (np.arange(2 * n) + 1) % (2 * n)
        quads = np.stack([a, a + 2 * n, b + 2 * n, b], axis=-1).reshape(-1, 4)
        faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        k, m = len(self.centers_um), len(unit)
        vertices = self.centers_um[:, None] + unit * self.radii_um[:, None]
        return Mesh(
            vertices_um=vertices.reshape(-1, 3).astype(np.float32),
            faces=(faces + np.arange(k)[:, None, None] * m).reshape(-1, 3).astype(np.uint32),
            objects=np.repeat(np.arange(k), m).astype(np.uint32),
            labels=np.arange(1, k + 1, dtype=np.uint32),
        )


def cell(n_mitochondria: int, *, seed: int = 0) -> dict[str, Ellipsoids]:
    """A cell of 10 µm with a nucleus and mitochondria around it that do not overlap much."""
    rng = np.random.default_rng(seed)
    middle = np.array([3.0, 5.0, 5.0])
    found: list[NDArray[np.float64]] = []
    while len(found) < n_mitochondria:
        place = rng.uniform(-1, 1, 3)
        if 0.62 < np.linalg.norm(place) < 0.9:
            place = middle + place * (2.8, 4.7, 4.7)
            if all(np.linalg.norm(place - other) > 0.5 for other in found):
                found.append(place)
    radii = 0.16 * np.exp(rng.normal(0, 0.35, (n_mitochondria, 3)))
    return {
        "cell": Ellipsoids(middle[None], np.array([[2.8, 4.7, 4.7]])),
        "nucleus": Ellipsoids(middle[None], np.array([[1.5, 2.6, 2.4]])),
        "mitochondria": Ellipsoids(np.array(found), radii),
    }


def measured(mitochondria: Ellipsoids) -> dict[str, NDArray]:
    """A table as `fibseg measure` writes it, but for the shapes of ellipsoids."""
    a, b, c = mitochondria.radii_um.T
    volume = 4 / 3 * np.pi * a * b * c
    mean = ((a * b) ** 1.6 + (a * c) ** 1.6 + (b * c) ** 1.6) / 3
    area = 4 * np.pi * mean ** (1 / 1.6)
    away = np.linalg.norm((mitochondria.centers_um - (3, 5, 5)) / (2.8, 4.7, 4.7), axis=1)
    n = len(a)
    distance = (away - 0.55) * 4
    border = np.arange(n) % 17 == 3
    return {
        "label": np.arange(1, n + 1), "volume_um3": volume, "surface_area_um2": area,
        "surface_to_volume_per_um": np.where(border, np.nan, area / volume),
        "sphericity": (36 * np.pi * volume**2) ** (1 / 3) / area,
        "distance_nucleus_um": distance,
        "spatial_class": np.array(list(CLASSES))[np.digitize(distance, (0.6, 1.0))],
        "touches_border": border, "n_voxels": (volume / 8e-6).astype(int),
        "surface_neighbour_1": np.roll(np.arange(1, n + 1), 1),
        "surface_neighbour_1_um": np.full(n, 0.2),
    }


def cell_page(
    *, n_mitochondria: int = 40, voxel_um: float = 0.05, name: str = "cell 4",
    kind: str = "mitochondria", color_by: str = "surface_to_volume_per_um",
) -> Page:
    """A page with all that a page can have."""
    parts = cell(n_mitochondria)
    shape = tuple(round(n / voxel_um) for n in (6, 10, 10))
    spacing = (1000 * voxel_um,) * 3
    labels = {k: v.labels(shape, spacing) for k, v in parts.items()}
    colors = {"cell": (86, 180, 233), "nucleus": (204, 121, 167), "mitochondria": None}
    raw = np.random.default_rng(1).normal(70, 14, shape)
    for k, gain in (("cell", 40), ("nucleus", 25), ("mitochondria", 60)):
        raw[labels[k] > 0] += gain
    views = []
    for title, axis in (("XY", 0), ("XZ", 1), ("YZ", 2)):
        index = (shape[axis] * 4) // 9

        def plane(array: NDArray, axis: int = axis, index: int = index) -> NDArray:
            return np.take(array, index, axis=axis)

        views.append(plane_view(
            plane(raw), [ObjectLayer(plane(labels[k]), colors[k]) for k in parts], title=title,
            place=f"{'zyx'[axis]} = {index}", low=20, high=240, spacing=spacing[:2],
        ))
    table = measured(parts["mitochondria"])
    drawing = svg_uri(volume_histogram(table["volume_um3"], color="#5b8db8"))
    sections = [
        ObjectSection(k, colors[k], (Fact("1", "object"), Fact("120 µm³", "volume")))
        for k in ("cell", "nucleus")
    ]
    sections.append(ObjectSection(
        kind, None, (Fact(str(n_mitochondria), "objects"),), histogram=drawing,
        columns=("label", "volume (µm³)"), rows=(("1", "0.02"), ("2", "0.01")),
        figures=(Figure("Surface to volume by distance", drawing), Figure("Another", drawing)),
        classes=ClassTable(
            ("class", "objects", "volume (µm³)"),
            tuple((c, str(int((table["spatial_class"] == c).sum())), "0.02") for c in CLASSES),
            colors=tuple(CLASSES.values()),
            note="Classes by distance_nucleus_um: up to 0.6, from 1 µm on.",
        ),
        table=ObjectTable(
            table, color_by=color_by, classes={"spatial_class": CLASSES},
            shown=("label", "volume_um3", "surface_to_volume_per_um", "sphericity",
                   "distance_nucleus_um", "spatial_class", "touches_border"),
        ),
    ))
    still = np.full((90, 160, 3), (12, 19, 26), np.uint8)
    still[30:60, 50:110] = (86, 180, 233)
    return Page(
        name=name, subtitle="Segmentation of a volume electron microscopy stack",
        facts=(Fact("120 × 200 × 200", "voxels (z × y × x)"), Fact("50 nm, isotropic", "voxel")),
        headline=(Fact("40", "mitochondria", "4.1 µm³ in all"), Fact("9.6 %", "of the cytoplasm")),
        cell=CellSection(
            facts=(Fact("258 µm³", "cell"), Fact("39 µm³", "nucleus")),
            figures=(Figure("Shares of the cell", drawing), Figure("Raw, shaded", png_uri(still))),
            note="In HeLa cells mitochondria take about 10 % of the cytoplasm (Posakony 1977).",
        ),
        scene=Scene(
            tuple(SceneMesh(i, parts[k].mesh(n=24 if i < 2 else 10), opacity)
                  for i, (k, opacity) in enumerate(zip(parts, (0.22, 0.55, 1.0), strict=True))),
            size_um=(6.0, 10.0, 10.0), picture=png_uri(still),
            caption="Meshes of 30 000 triangles.",
        ),
        views=tuple(views), objects=tuple(sections), made_with="Made with fibseg",
        methods=("The image stack was stored as OME-Zarr.", "Objects were numbered."),
        pictures_note="stain is bright; click a name to hide it",
    )


def until(tab: Any, script: str) -> None:
    """Waits for a condition; playwright's own way is what the policy of the page forbids: eval."""
    for _ in range(200):
        if tab.evaluate(script):
            return
        tab.wait_for_timeout(25)
    raise AssertionError(f"{script} did not come true")
