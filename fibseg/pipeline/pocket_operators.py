"""Pockets by the operators of the case study, one after the other, on a volume no memory holds.

::

    shell       so deep to so deep inside of the nucleus
    smooth      the image, normalised by its percentiles, pockets bright
    mask        brighter than its surroundings (adaptive threshold), in the shell
    particles   how much each place looks like a ball of a pocket's size, in the mask
    parts       what is above a threshold, numbered, split at its necks
    grown       parts grown beyond the arbitrary border of the shell within intensity limits
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, layout_key, map_blocks, reduce_blocks
from fibseg.data.normalise import OUTSIDE, RULE, Normalisation
from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.pipeline.bench import Array, OwnBox, Voxelwise, Work, as_mask, result_type
from fibseg.pipeline.chain import describe, function_of, settings, without_arrays
from fibseg.pipeline.fused import Operator, in_sequence
from fibseg.pipeline.objectwise import grow_regions
from fibseg.pipeline.operators import find_objects
from fibseg.postprocess import mask_by
from fibseg.pseudolabel import envelope_shell
from fibseg.types import Spacing

MASKING = ("smooth", "adaptive_threshold", "enhance_particles")
NUMBERING = ("threshold", "components", "watershed")
GROWING = "grow_regions"
WHOLE = 255
"""What 1 is in the normalised image."""
OPTIONAL = ("smooth", "watershed", GROWING)


@dataclass(frozen=True)
class Chain:
    """The operators and what they are told.

    Attributes
    ----------
    operators
        By the names in `MASKING`, `NUMBERING` and `GROWING`; None leaves one of `OPTIONAL` out.
    depth_nm
        From and to which depth the shell reaches.
    share
        Pockets grow into what is brighter than the shell by that share of their contrast, where
        `grow_regions` is given no limit itself. Those limits lie from 0 to 1, as all levels do: the
        whole range of `pockets_bright`.

    Raises
    ------
    UsageError
        If an operator is missing or unknown.
    """

    operators: Mapping[str, Operator | None]
    depth_nm: Sequence[float] = (40.0, 200.0)
    share: float = 0.3
    layers: dict[str, Array] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        names = (*MASKING, *NUMBERING, GROWING)
        unknown = [name for name in self.operators if name not in names]
        lacking = [
            name for name in names if name not in OPTIONAL and self.operators.get(name) is None
        ]
        if unknown or lacking:
            raise UsageError(
                f"operators of pockets are {', '.join(names)}; {', '.join(OPTIONAL)} may be null. "
                f"Unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(lacking) or 'none'}."
            )
        if len(self.depth_nm) != 2 or not 0 <= self.depth_nm[0] < self.depth_nm[1]:
            raise UsageError(f"depth_nm={list(self.depth_nm)} is no range from low to high.")
        for name, fn in self.operators.items():
            if fn is not None and function_of(fn).__name__ != name:
                raise UsageError(f"operator {name} is {function_of(fn).__name__}: use {name}.")

    @property
    def about(self) -> dict[str, Any]:
        """Plain data of all that the result depends on, beside the arrays."""
        return {
            "operators": describe(self.operators), "depth_nm": list(map(float, self.depth_nm)),
            "share": self.share, "normalised": {**RULE, "outside": OUTSIDE},
        }

    def run(
        self, raw: Array, nucleus: Array, *, seen: Normalisation, work: Work, inputs: str
    ) -> Array:
        """Grown parts, uint32, numbered; every intermediate goes to `layers`.

        Parameters
        ----------
        raw, nucleus
            Arrays of one shape.
        seen
            Which values of the raw are dark and bright.
        """
        low, high = map(float, self.depth_nm)
        key, spacing = layout_key(before=inputs, chain=self.about), work.spacing

        def stored(name: str, fn: Operator, *sources: Array) -> Array:
            """Result of an operator, kept as a layer of that name."""
            self.layers[name] = _stored(name, fn, sources, inputs=key, work=work)
            return self.layers[name]

        image = Voxelwise(raw, functools.partial(pockets_bright, seen=seen))
        shell = stored(
            "shell",
            functools.partial(envelope_shell, from_nm=low, to_nm=high, spacing=spacing), nucleus,
        )
        smooth = self._bound("smooth", spacing)
        even = image if smooth is None else stored("smooth", smooth, image)
        mask = stored("mask", self._masked("adaptive_threshold", spacing), even, shell)
        particles = stored("particles", self._masked("enhance_particles", spacing), even, mask)
        sheet = work.bench.sheet("parts", dtype=np.uint32, inputs=key)
        numbering = {name: self.operators.get(name) for name in NUMBERING}
        find_objects(particles, sheet, numbering, work=work, inputs=key)
        self.layers["parts"] = sheet.array
        if self.operators.get(GROWING) is None:
            return sheet.array
        self.layers["grown"] = self._grown(sheet.array, image, nucleus, shell, key, work)
        return self.layers["grown"]

    def _grown(
        self, parts: Array, image: Array, nucleus: Array, shell: Array, inputs: str, work: Work
    ) -> Array:
        """Parts grown into what is as bright as they are, inside of the nucleus."""
        given = settings(self._bound(GROWING, work.spacing))
        low, high = (None if v is None else v * WHOLE for v in (given["low"], given["high"]))
        if low is None and high is None:
            sums: NDArray[np.int64] | None = reduce_blocks(
                Brightness(), [image, parts, shell], np.add, block_shape=work.block_shape,
                runner=work.runner, label="pockets: brightness",
            )
            low = _limit(sums, self.share)
        sheet = work.bench.sheet("grown", dtype=np.uint32, inputs=inputs)
        grow_regions(
            parts, sheet, within=nucleus, image=None if low is None else image,
            distance_nm=given["distance_nm"], low=low, high=high, block_shape=work.block_shape,
            runner=work.runner, spacing=work.spacing, inputs=inputs,
        )
        return sheet.array

    def _bound(self, name: str, spacing: Spacing) -> Any:
        """An operator with the spacing, None if it is left out."""
        fn = self.operators.get(name)
        return None if fn is None else without_arrays(fn, spacing=spacing)

    def _masked(self, name: str, spacing: Spacing) -> Operator:
        """An operator whose result is 0 outside of a mask, the second array."""
        steps = ((self._bound(name, spacing), ()), (mask_by, ("other",)))
        return functools.partial(in_sequence, steps=steps, spacing=spacing)


@reach(lambda: 0.0)
def pockets_bright(raw: NDArray[Any], *, seen: Normalisation) -> NDArray[np.uint8]:
    """The image with stain dark, its contrast that of the volume, whatever the range of its values.

    From 0 to 255, between them what a network is given. As a quotient of differences it is the
    same, to the bit, for values that were scaled and shifted; and medians of bytes are fast.

    >>> seen = Normalisation(100, 300, invert=True)
    >>> pockets_bright(np.array([80, 100, 200, 300, 900]), seen=seen).tolist()
    [0, 21, 128, 234, 255]
    """
    dark, bright = (seen.low, seen.high) if seen.invert else (seen.high, seen.low)
    share = np.clip((raw - np.float64(dark)) / (bright - dark), -OUTSIDE, 1 + OUTSIDE)
    found: NDArray[np.uint8] = np.rint((share + OUTSIDE) / (1 + 2 * OUTSIDE) * WHOLE).astype(
        np.uint8
    )
    return found


@dataclass(frozen=True)
class Brightness(OwnBox):
    """Block function: sum and number of the voxels of an image in parts, and in all of a shell."""

    def __call__(
        self, image: NDArray[Any], parts: NDArray[Any], shell: NDArray[Any], *, block: Block
    ) -> NDArray[np.int64]:
        """Shape (4,)."""
        found = [(image[where].sum(dtype=np.int64), np.count_nonzero(where))
                 for where in (parts > 0, shell != 0)]
        return np.array(found, np.int64).ravel()


def _limit(sums: NDArray[np.int64] | None, share: float) -> float | None:
    """Brightness between that of the shell and that of the parts; None where there are none."""
    if sums is None or not sums[1] or not sums[3]:
        return None
    parts, shell = sums[0] / sums[1], sums[2] / sums[3]
    return float(shell + share * (parts - shell))


def _stored(
    name: str, fn: Operator, sources: Sequence[Array], *, inputs: str, work: Work
) -> Array:
    """Result of a local operator in a scratch array."""
    kind = result_type(fn, *sources)
    is_mask = kind == np.dtype(bool)
    sheet = work.bench.sheet(name, dtype=np.uint8 if is_mask else kind, inputs=inputs)
    map_blocks(
        fn, list(sources), sheet.array, block_shape=work.block_shape, runner=work.runner,
        journal=sheet.journal, fingerprint=inputs, label=f"pockets: {name}",
    )
    return as_mask(sheet.array) if is_mask else sheet.array
