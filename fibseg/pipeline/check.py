"""`fibseg check`: what is in a volume, and what to mend before training on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fibseg.blocks import Runner
from fibseg.pipeline.check_image import ImageLook, look_at
from fibseg.pipeline.check_painting import Painting, look_at_painting
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume

BARS = 16
BAR_WIDTH = 40
FEW_GREYS = 24
CLIPPED = 0.05


@dataclass(frozen=True)
class CheckReport:
    """What `fibseg check` found; `text` is what it prints.

    Attributes
    ----------
    n_bad_voxels
        NaN and infinite voxels: always 0, for an import refuses them and stores integers.
    labels
        One line per label image, probability map and table.
    """

    path: Path
    shape: Shape
    spacing: Spacing
    n_levels: int
    dtype: str
    polarity: str
    look: ImageLook
    paintings: list[Painting]
    labels: list[str]
    warnings: list[str]
    n_bad_voxels: int = 0

    @property
    def size_um(self) -> tuple[float, float, float]:
        """Edges of the volume in µm, (z, y, x)."""
        z, y, x = (n * s / 1000 for n, s in zip(self.shape, self.spacing, strict=True))
        return z, y, x

    def text(self) -> str:
        """Report as it is printed."""
        constant = self.look.constant_planes
        lines = [
            f"volume     {self.path}",
            f"shape      {' x '.join(map(str, self.shape))} voxels (z, y, x), {self.dtype}, "
            f"{int(np.prod(self.shape, dtype=np.int64)) / 1e6:.4g} Mvoxel",
            f"spacing    {' x '.join(f'{s:g}' for s in self.spacing)} nm",
            f"size       {' x '.join(f'{s:.3g}' for s in self.size_um)} µm",
            f"levels     {self.n_levels}",
            f"polarity   stain is {self.polarity}; the image looks {self.look.guess} "
            f"(line score {self.look.dark_lines:+.2f})",
            f"NaN        {self.n_bad_voxels} voxels",
            f"constant   {len(constant)} planes{f' ({_some(constant)})' if constant else ''}",
            "intensities",
            *bars(self.look.counts),
        ]
        for painting in self.paintings:
            lines += ["", *painting.lines()]
        if self.labels:
            lines += ["", *self.labels]
        lines += ["", *(f"warning: {w}" for w in self.warnings)]
        return "\n".join(lines if self.warnings else [*lines, "no warnings"])


def run(*, volume: str | Path, blocks: Runner | None = None) -> CheckReport:
    """Report on a volume; nothing in it is changed.

    Parameters
    ----------
    volume
        The store.
    blocks
        Where blocks are computed, serially by default.

    Raises
    ------
    DataError
        If there is no whole volume.
    PartlyDoneError, InterruptedRunError
        As in `fibseg.blocks.reduce_blocks`.
    """
    opened = Volume.open(volume)
    look = look_at(opened, runner=blocks)
    paintings = [
        look_at_painting(opened, name, runner=blocks)
        for name in opened.label_names(kind="annotation") if not _made_of(opened, name)
    ]
    warnings = image_warnings(look, opened.polarity)
    for painting in paintings:
        warnings += painting.warnings()
    return CheckReport(
        path=opened.path, shape=opened.shape, spacing=opened.spacing, n_levels=opened.n_levels,
        dtype=str(opened.dtype), polarity=opened.polarity, look=look, paintings=paintings,
        labels=_other_products(opened), warnings=warnings,
    )  # fmt: skip


def image_warnings(look: ImageLook, polarity: str) -> list[str]:
    """What looks wrong with the raw image, and what to do about it."""
    found = []
    if look.guess not in ("unsure", polarity):
        found.append(
            f"stain was stated to be {polarity}, but thin lines in the image are {look.guess}. If "
            f"membranes look {look.guess}, import into a new store with polarity={look.guess}."
        )
    if look.constant_planes:
        found.append(
            f"{len(look.constant_planes)} planes have a single grey value "
            f"({_some(look.constant_planes)}): lost or blanked sections. Objects are cut there; "
            "replace such a plane by its neighbour."
        )
    if look.span < FEW_GREYS:
        found.append(
            f"99 % of the voxels lie within {look.span} grey values. Detail is lost: export again "
            "with more contrast, or import the 16-bit original."
        )
    for share, end in zip(look.clipped, ("darkest", "brightest"), strict=True):
        if share > CLIPPED:
            found.append(
                f"{100 * share:.2g} % of the voxels have the {end} value. That is padding "
                "(harmless) or clipped contrast: then export again with a wider range."
            )
    return found


def bars(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    """Histogram of up to 16 lines: lowest grey value of the bar, share of voxels, bar.

    >>> bars(np.array([0, 4, 0, 4]))[0].split()[:3]
    ['1', '50.00', '%']
    """
    there = np.flatnonzero(counts)
    if not there.size:
        return []
    edges = np.unique(np.linspace(there[0], there[-1] + 1, BARS + 1).astype(int))
    sums = np.add.reduceat(counts[: edges[-1]], edges[:-1])
    total, top = sums.sum(), sums.max()
    return [
        f"{edge:>8} {100 * n / total:>7.2f} % {'#' * round(BAR_WIDTH * n / top)}".rstrip()
        for edge, n in zip(edges, sums, strict=False)
    ]


def _made_of(volume: Volume, name: str) -> str | None:
    """What an annotation was made of, such as pseudo-labels of pockets; None if it is painted."""
    return volume.labels_info(name).derived_from


def _other_products(volume: Volume) -> list[str]:
    """Label images, probabilities, distances and tables, one line each."""
    made = {n: _made_of(volume, n) for n in volume.label_names(kind="annotation")}
    kinds = {
        "annotations": [f"{n} (made of {source})" for n, source in made.items() if source],
        "labels": volume.label_names(kind="labels"),
        "probabilities": volume.probability_names(),
        "distances": volume.distance_names(),
        "tables": volume.table_names(),
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "")
