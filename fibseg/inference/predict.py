"""A network on one volume: raw voxels of any box or plane in, probabilities on level 0 out.

Between the two all is done on the device of the backend: raw values go there, and probabilities of
one byte come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fibseg.data import Normalisation, refuse_not_finite
from fibseg.data.normalise import OUTSIDE, WIDTH
from fibseg.export import ModelSpec
from fibseg.geometry import Box
from fibseg.inference.axis import mirrored, resample
from fibseg.inference.backends import Backend
from fibseg.inference.plan import Plan
from fibseg.inference.symmetries import symmetries
from fibseg.inference.transfer import Computed, landing, place_of, to_device
from fibseg.inference.windows import Windows
from fibseg.types import Mask

Reader = Callable[[Box], NDArray[Any]]
"""Gives the voxels of a box of the source."""

Ready = Callable[[NDArray[Any]], Tensor]
"""Makes what a network sees of the voxels of a plane, float32, on the device of the network."""


class Predictor:
    """Network, plan and intensities, ready to compute.

    Parameters
    ----------
    network, spec
        As `fibseg.export.load_network` gives them.
    plan
        From `fibseg.inference.make_plan`.
    normalisation
        That of the volume.
    backend
        What runs the network.
    tta
        Name of a set of symmetries.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, *, plan: Plan, normalisation: Normalisation,
        backend: Backend, tta: str = "none",
    ) -> None:
        compiled = backend.compile(network, plan.batch_shape(spec.in_channels))
        windows = Windows(compiled, plan, symmetries(tta))
        device = place_of(backend.device)

        def ready(plane: NDArray[Any]) -> Tensor:
            """The plane on the device, normalised there."""
            return normalised(to_device(plane, device), normalisation)

        self._set(windows, len(spec.classes), ready, on_gpu=device.type == "cuda")

    @classmethod
    def over(
        cls, windows: Windows, *, n_classes: int, ready: Ready, on_gpu: bool = False
    ) -> Predictor:
        """Predictor of any windows.

        Parameters
        ----------
        windows
            What gives probabilities, with its plan.
        n_classes
            How many it gives for a pixel.
        ready
            Makes what it wants of the voxels of a plane, each by itself.
        on_gpu
            Whether that is on a GPU: then planes are taken from there a batch later.
        """
        made = cls.__new__(cls)
        made._set(windows, n_classes, ready, on_gpu=on_gpu)
        return made

    def _set(
        self, windows: Windows, n_classes: int, ready: Ready, *, on_gpu: bool
    ) -> None:
        self.plan = windows.plan
        self._behind = self.plan.batch if on_gpu else 0
        self.n_classes = n_classes
        self._ready = ready
        self._windows = windows

    def box(
        self, read: Reader, write: Box, *, wanted: Mask | None = None
    ) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities, uint8, 0 to 255, of the voxels `write` of level 0, one array per class.

        Parameters
        ----------
        read
            Gives voxels of the source; asked only for parts of ``plan.read_box(write)``.
        wanted
            Voxels of `write` to be computed, others are 0; all if left out.
        """
        first = write.start[0]
        out = np.zeros((self.n_classes, *write.shape), np.uint8)
        if wanted is None:
            planes = list(range(first, write.stop[0])) if write.size else []
        else:
            planes = [first + int(k) for k in np.flatnonzero(wanted.any((1, 2)))]
        for z, probs in self._landed(read, planes, write, wanted):
            out[:, z - first] = probs if wanted is None else probs * wanted[z - first]
        return tuple(out)

    def planes(self, read: Reader, z: list[int]) -> Iterator[NDArray[np.uint8]]:
        """Probabilities, uint8, shape (classes, y, x), of the whole planes `z`, in that order.

        The very values that `box` has there.
        """
        order = sorted(set(z))
        stream = self._landed(read, order, Box.whole(self.plan.shape))
        if order == list(z):
            return (probs for _, probs in stream)
        found = dict(stream)
        return iter([found[k] for k in z])

    def _landed(
        self, read: Reader, z: list[int], write: Box, wanted: Mask | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield planes of level 0; a GPU computes a batch of them meanwhile."""
        return landing(self._planes(read, z, write, wanted), behind=self._behind)

    def _planes(
        self, read: Reader, z: list[int], write: Box, wanted: Mask | None = None
    ) -> Iterator[tuple[int, Computed]]:
        """Yield planes of level 0, uint8, each between the two working planes that it lies between.

        Parameters
        ----------
        wanted
            Voxels of `write` that are to be computed.
        """
        axis = self.plan.z
        below, weight = axis.neighbours(np.array(z, np.int64))
        pairs = [
            (min(max(int(k), 0), axis.n_work - 1), min(int(k) + 1, axis.n_work - 1))
            for k in below
        ]
        uses = [_used(pair, float(w)) for pair, w in zip(pairs, weight, strict=True)]
        needed = sorted({k for used in uses for k in used})
        where = None
        if wanted is not None:
            rows = (wanted[k - write.start[0]] for k in z)
            where = _windows_wanted(self.plan, rows, write, uses)
        self._windows.bad = None
        stream = self._working_planes(read, needed, write, where)
        held: dict[int, Tensor] = {}
        for plane, used, w in zip(z, uses, weight, strict=True):
            while used[-1] not in held:
                number, probs = next(stream)
                held[number] = probs
            held = {k: p for k, p in held.items() if k >= used[0]}
            probs = held[used[0]]
            if len(used) == 2:
                probs = torch.lerp(probs, held[used[1]], float(w))
            # Probabilities end at 1, so that nothing but the half is to be cut off.
            yield plane, Computed(probs.mul(255).add_(0.5).to(torch.uint8), self._windows.bad)

    def _working_planes(
        self, read: Reader, numbers: list[int], write: Box, where: Mapping[int, Mask] | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield working planes with their probabilities in y and x of `write`, (classes, y, x)."""
        plan, (_, y0, x0), (_, y1, x1) = self.plan, write.start, write.stop
        ranges = [
            a.windows(p, q, blended=plan.blended)
            for a, p, q in ((plan.y, y0, y1), (plan.x, x0, x1))
        ]
        first = (
            ranges[0][0] * plan.y.core - plan.y.margin, ranges[1][0] * plan.x.core - plan.x.margin
        )
        images = _Planes(read, plan, self._ready, ranges)
        for at in range(0, len(numbers), plan.batch):
            part = numbers[at : at + plan.batch]
            slots = self._windows.run(
                torch.stack([images.stack(k) for k in part]),
                None if where is None else np.stack([where[k] for k in part]),
            )
            probs = self._windows.slots.read(slots, first, (y0, x0), (y1, x1))
            yield from zip(part, probs, strict=True)


@dataclass
class _Planes:
    """Working planes as the network sees them: resampled, normalised, mirrored at the border."""

    read: Reader
    plan: Plan
    ready: Ready
    ranges: list[tuple[int, int]]

    def __post_init__(self) -> None:
        self._held: dict[int, Tensor] = {}
        axes = (self.plan.y, self.plan.x)
        self._pixels = [a.pixels(*r) for a, r in zip(axes, self.ranges, strict=True)]
        self._low = [int(p.min()) for p in self._pixels]
        self._inner = [np.arange(p.min(), p.max() + 1) for p in self._pixels]
        self._source = [a.source_range(p) for a, p in zip(axes, self._pixels, strict=True)]

    def stack(self, number: int) -> Tensor:
        """Working plane and its neighbours, shape (channels, y, x)."""
        c = self.plan.context
        wanted = mirrored(np.arange(number - c, number + c + 1), self.plan.z.n_work)
        self._held = {k: p for k, p in self._held.items() if k in wanted}
        for k in wanted:
            if int(k) not in self._held:
                self._held[int(k)] = self._load(int(k))
        return torch.stack([self._held[int(k)] for k in wanted])

    def _load(self, number: int) -> Tensor:
        """One working plane, shape (y, x)."""
        index, weights = self.plan.z.taps(np.array([number]))
        (y0, y1), (x0, x1) = self._source
        box = Box((int(index.min()), y0, x0), (int(index.max()) + 1, y1, x1))
        raw = self.read(box)
        refuse_not_finite(raw, box)
        plane = resample(raw, index - box.start[0], weights, axis=0)[0]
        for axis, grid, inner, low in zip(
            (0, 1), (self.plan.y, self.plan.x), self._inner, (y0, x0), strict=True
        ):
            taps, share = grid.taps(inner)
            plane = resample(plane, taps - low, share, axis=axis)
        ready = self.ready(plane)
        for axis, (pixels, low) in enumerate(zip(self._pixels, self._low, strict=True)):
            ready = ready.index_select(axis, to_device(pixels - low, ready.device))
        return ready


def _windows_wanted(
    plan: Plan, wanted: Iterable[Mask], write: Box, uses: Sequence[tuple[int, ...]]
) -> dict[int, Mask]:
    """Windows (rows, columns) of each working plane that wanted voxels depend on.

    A voxel depends on the window in whose step it lies, and on no other.

    Parameters
    ----------
    wanted
        Voxels (y, x) of some planes of `write`.
    uses
        Working planes that each of these planes is made of.
    """
    owners = [
        np.arange(a, b) // axis.step
        for a, b, axis in zip(write.start[1:], write.stop[1:], (plan.y, plan.x), strict=True)
    ]
    first = [np.flatnonzero(np.diff(owner, prepend=-1)) for owner in owners]
    where: dict[int, Mask] = {}
    for plane, used in zip(wanted, uses, strict=True):
        rows = np.logical_or.reduceat(plane, first[0], axis=0)
        found = np.logical_or.reduceat(rows, first[1], axis=1)
        for number in used:
            where[number] = where.get(number, False) | found
    return where


def normalised(image: Tensor, spec: Normalisation) -> Tensor:
    """The image as `fibseg.data.normalise` makes it, to the last bit, on the device that it is on.

    >>> normalised(torch.tensor([0, 100, 200]), Normalisation(0, 200, invert=True)).tolist()
    [2.5, 0.0, -2.5]
    """
    share = image.to(torch.float32, copy=True)
    share.sub_(float(np.float32(spec.low))).mul_(float(np.float32(1 / (spec.high - spec.low))))
    if spec.invert:
        share.neg_().add_(1)
    return share.clamp_(-OUTSIDE, 1 + OUTSIDE).sub_(0.5).mul_(WIDTH)


def _used(pair: tuple[int, int], weight: float) -> tuple[int, ...]:
    """Working planes that count: one where the weight of the other is 0, or both are the same."""
    return pair[:1] if weight == 0 or pair[0] == pair[1] else pair
