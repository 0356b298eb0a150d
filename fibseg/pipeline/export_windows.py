"""The images that an exported model is compared on: windows of a volume, and made-up ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.export import ModelSpec
from fibseg.export.bioimageio import example_side
from fibseg.export.constants import Constants
from fibseg.inference import make_plan
from fibseg.inference.axis import mirrored
from fibseg.inference.parity import Batch, Images
from fibseg.phantom import make_cell
from fibseg.volume import Volume

N_REAL = 16
"""Windows of a volume that are compared."""

SIDE = 64
"""Least side of those that a file for any size is given, px; as much as a network looks at."""

PHANTOM = (32, 160, 160)

_BATCH = 3


@dataclass(frozen=True)
class Scene:
    """Planes to cut windows from.

    Attributes
    ----------
    raw
        Grey values as stored, indexed (z, y, x).
    shape
        Of `raw`.
    text
        In words, what it is.
    """

    raw: Any
    shape: tuple[int, ...]
    text: str

    def windows(self, spec: ModelSpec, *, side: int, n: int = N_REAL) -> NDArray[Any]:
        """Windows spread over all planes, shape (n, planes, side, side), as stored.

        A window that is larger than a plane is continued by mirroring, as in inference.
        """
        random = np.random.default_rng(0)
        depth, *plane = self.shape
        found = []
        for z in np.linspace(0, depth - 1, n).round().astype(int):
            planes = mirrored(np.arange(z - spec.context, z + spec.context + 1), depth)
            corner = [int(random.integers(max(length - side, 0) + 1)) for length in plane]
            rows, columns = (
                mirrored(np.arange(c, c + side), length)
                for c, length in zip(corner, plane, strict=True)
            )
            # Read as one box: a store is read by slices, and mirrored in memory.
            inside = tuple(slice(int(i.min()), int(i.max()) + 1) for i in (rows, columns))
            window = np.stack([np.asarray(self.raw[(int(k), *inside)]) for k in planes])
            found.append(window[:, (rows - rows.min())[:, None], columns - columns.min()])
        return np.stack(found)


def scene_of(spec: ModelSpec, constants: Constants, store: Volume | None) -> Scene:
    """Planes of a store at the level that the model reads, else of the built-in phantom.

    Parameters
    ----------
    constants
        Grey values of the file: the phantom is brought to them.
    store
        The volume, None if there is none.

    Raises
    ------
    DataError
        If volume and model do not go together.
    """
    if store is not None:
        raw = store.raw(make_plan(spec, store).level)
        return Scene(raw, tuple(raw.shape), f"the volume {store.name}, raw {store.raw_digest}")
    image = make_cell(PHANTOM, seed=0).image.astype(np.float64)
    low, high = np.percentile(image, (0.5, 99.5))
    share = (image - low) / (high - low)
    if not constants.invert:  # stain is dark in the phantom
        share = 1 - share
    grey = constants.low + share * (constants.high - constants.low)
    raw = np.clip(np.rint(grey), 0, constants.largest).astype(constants.dtype)
    return Scene(
        raw, raw.shape, "the built-in phantom, brought to the grey values of the file: no volume "
        "was given, and that of training is not at its place"
    )


def training_store(spec: ModelSpec) -> Volume | None:
    """The store that a model was trained on, if it still stands where it was."""
    sources = spec.training.get("volumes", [])
    digests = {s.get("raw_digest") for s in sources if isinstance(s, Mapping)}
    for path in _typed(spec.training.get("overrides", [])):
        try:
            store = Volume.open(path)
            if store.raw_digest in digests:
                return store
        except (DataError, OSError):
            continue
    return None


def _typed(overrides: Any) -> Iterator[str]:
    """Paths that were typed for ``volume=``."""
    for override in overrides if isinstance(overrides, list) else []:
        key, _, value = str(override).partition("=")
        if key == "volume":
            yield from (path.strip(" '\"") for path in value.strip("[]'\"").split(",") if path)


def image_batches(
    scene: Scene, spec: ModelSpec, constants: Constants, *, adjustable: bool
) -> list[Batch]:
    """Images for a file that takes raw values of any size."""
    multiple = spec.stride_multiple
    side = -(-max(SIDE, example_side(spec)) // multiple) * multiple
    real = scene.windows(spec, side=side).astype(np.float32)
    small = real[:, :, : 4 * multiple, : 4 * multiple]
    batches = [Batch("real", part) for part in _parts(real)]
    batches += [Batch(kind, part) for kind, part in made_up(real[:1], constants)]
    # Instance norm needs two pixels at the bottom of the network: (1, 1) is no image for it.
    odd = [(1, 2 * multiple + 1), (multiple + 1, 4 * multiple - 1), (side - 3, 5), (7, side - 1),
           (side - 1, 3)]
    batches += [Batch("odd-sized", real[:1, :, :y, :x]) for y, x in odd]
    if adjustable:
        width = constants.high - constants.low
        for low, high in ((0.0, float(constants.largest)), (constants.low - width / 4,
                                                            constants.high + width / 3)):
            batches.append(Batch("other grey values", small[:2], (low, high)))
    return batches


def tile_batches(scene: Scene, spec: ModelSpec, constants: Constants, *, side: int) -> list[Batch]:
    """Images for a file that takes one tile; odd-sized ones lie in a corner, zeros around."""
    real = scene.windows(spec, side=side).astype(np.float32)
    batches = [Batch("real", part) for part in _parts(real)]
    batches += [Batch(kind, part) for kind, part in made_up(real[:1], constants)]
    for y, x in ((1, 1), (side - 1, side // 2 + 1), (side // 3, side - 3)):
        tile = np.zeros_like(real[:1])
        tile[:, :, :y, :x] = real[:1, :, :y, :x]
        batches.append(Batch("odd-sized", tile))
    return batches


def made_up(like: Images, constants: Constants) -> Iterator[tuple[str, Images]]:
    """Yield images of one value, and extreme ones, as large as `like`, each with its kind."""
    largest = np.float32(constants.largest)
    middle = (constants.low + constants.high) / 2
    for value in (0.0, constants.low, middle, constants.high, float(largest)):
        yield "constant", np.full_like(like, value)
    y, x = np.indices(like.shape[2:])
    yield "extreme", np.broadcast_to((y + x) % 2 * largest, like.shape).astype(np.float32)
    noise = np.random.default_rng(0).integers(0, constants.largest + 1, like.shape)
    yield "extreme", noise.astype(np.float32)
    spike = np.zeros_like(like)
    spike[..., like.shape[2] // 2, like.shape[3] // 2] = largest
    yield "extreme", spike
    # Programs may give values beyond the type, after a filter of theirs.
    yield "extreme", (noise - largest / 2).astype(np.float32) * 8


def _parts(images: Images) -> Iterator[Images]:
    """Batches of several sizes."""
    for at in range(0, len(images), _BATCH):
        yield images[at : at + _BATCH]
