"""The passes over blocks that paint pores, close pockets onto the membrane, and annotate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import OwnBox
from fibseg.pipeline.pocket_passes import load_rows, rows_near
from fibseg.pseudolabel import (
    Bridge,
    PoreBody,
    Sureness,
    annotate,
    close_onto_membrane,
    paint_pores,
)
from fibseg.types import Labels, Spacing


@dataclass(frozen=True)
class PaintPores(OwnBox):
    """Block function: `fibseg.pseudolabel.paint_pores` of a table, a file."""

    pores: Path
    body: PoreBody
    spacing: Spacing

    def __call__(self, pockets: NDArray[Any], *, block: Block) -> Labels:
        """Numbers of the pores."""
        reach = float(np.hypot(self.body.radius_nm, self.body.half_height_nm))
        z, y, x = block.write.start
        deep, high, wide = block.write.shape
        return paint_pores(
            rows_near(load_rows(self.pores), block.write, reach, self.spacing), body=self.body,
            shape=(deep, high, wide), start=(z, y, x), spacing=self.spacing,
        )


@dataclass(frozen=True)
class ClosePores:
    """Block function: what a closing adds to the pockets of sure pores, by number of the pore."""

    pores: Path
    bridge: Bridge
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and how far a closing looks."""
        return write.grow(halo_voxels(self.bridge.reach_nm, self.spacing)).clip(shape)

    def __call__(
        self, pockets: NDArray[Any], nucleus: NDArray[Any], *, block: Block
    ) -> Labels:
        """Numbers of the pores."""
        table = load_rows(self.pores)
        number = np.zeros(int(max(pockets.max(initial=0), table["pocket"].max(initial=0))) + 1,
                          np.uint32)
        number[table["pocket"]] = table["label"]
        found = close_onto_membrane(
            number[pockets], nucleus, bridge=self.bridge, spacing=self.spacing
        )
        return found[block.write.relative_to(block.read).slices]


@dataclass(frozen=True)
class Annotate:
    """Block function: `fibseg.pseudolabel.annotate`."""

    unsure: Path
    rule: Sureness
    body: PoreBody
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and how far the distance to the border is known."""
        far = self.rule.far_nm + max(self.spacing)
        return write.grow(halo_voxels(far, self.spacing)).clip(shape)

    def __call__(
        self, pores: NDArray[Any], nucleus: NDArray[Any], *, block: Block
    ) -> NDArray[np.uint8]:
        """Classes."""
        reach = float(np.hypot(self.body.radius_nm, self.body.half_height_nm)) + (
            2 * self.rule.rim_nm
        )
        z, y, x = block.read.start
        found = annotate(
            pores, nucleus,
            unsure=rows_near(load_rows(self.unsure), block.write, reach, self.spacing),
            rule=self.rule, body=self.body, start=(z, y, x), spacing=self.spacing,
        )
        return found[block.write.relative_to(block.read).slices]
