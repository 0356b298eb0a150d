"""Whether an ONNX file gives what a network gives in torch: both run on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fibseg.data import Normalisation, normalise
from fibseg.errors import DataError
from fibseg.export.certificate import Compared
from fibseg.export.passport import HIGH, IMAGE, LOW
from fibseg.inference.backends import Backend

Images = NDArray[np.float32]
"""Raw grey values, shape (batch, planes, y, x)."""


@dataclass(frozen=True)
class Batch:
    """Images to compare, and of what kind they are.

    Parameters
    ----------
    kind
        As in `fibseg.export.certificate.Compared`.
    images
        Raw grey values, shape (batch, planes, y, x).
    range
        Grey values to normalise by, where they are given with the images.
    """

    kind: str
    images: Images
    range: tuple[float, float] | None = None


class OnnxFile:
    """A graph in ONNX Runtime on the CPU.

    Parameters
    ----------
    data
        The file.

    Raises
    ------
    DataError
        If ONNX Runtime cannot use it.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors have no common class of their own
            raise DataError(
                f"ONNX Runtime cannot use the exported file ({str(error).splitlines()[0]}). "
                "Install the releases of constraints.txt."
            ) from error

    def __call__(self, image: NDArray[np.float32], **scalars: float) -> NDArray[np.float32]:
        """What comes out for an image, and for scalar inputs by name."""
        given = {IMAGE: np.ascontiguousarray(image)}
        given |= {name: np.array(value, np.float32) for name, value in scalars.items()}
        out: NDArray[np.float32] = self._session.run(None, given)[0]
        return out


def raw_runner(data: bytes) -> Callable[[Batch], NDArray[np.float32]]:
    """Probabilities of a batch by a file that takes raw grey values."""
    file = OnnxFile(data)

    def run(batch: Batch) -> NDArray[np.float32]:
        """Of one batch."""
        scalars = {} if batch.range is None else dict(zip((LOW, HIGH), batch.range, strict=True))
        return file(batch.images, **scalars)

    return run


def unit_runner(data: bytes, largest: int) -> Callable[[Batch], NDArray[np.float32]]:
    """Probabilities of a batch by a file that takes one tile, values 0 to 1, channels last."""
    file = OnnxFile(data)

    def run(batch: Batch) -> NDArray[np.float32]:
        """Of one batch, tile by tile."""
        tiles = (batch.images / np.float32(largest)).transpose(0, 2, 3, 1)
        return np.concatenate([file(tile[None]) for tile in tiles]).transpose(0, 3, 1, 2)

    return run


def torch_runner(
    network: nn.Module, values: Normalisation, *, multiple: int
) -> Callable[[Batch], NDArray[np.float32]]:
    """Probabilities of a batch by the network itself, normalised and run as `fibseg infer` does.

    Sides that are no multiples of `multiple` are continued by the last row and column.
    """
    logits = Backend("torch", "float32").compile(network, (1, 1, multiple, multiple))

    def run(batch: Batch) -> NDArray[np.float32]:
        """Of one batch."""
        own = values
        if batch.range is not None:
            own = Normalisation(*batch.range, values.invert)
        height, width = batch.images.shape[2:]
        missing = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
        images = np.pad(normalise(batch.images, own), missing, mode="edge")
        probs = logits(torch.from_numpy(images)).softmax(1)
        out: NDArray[np.float32] = probs[:, :, :height, :width].numpy()
        return out

    return run


def compare(
    found: Callable[[Batch], NDArray[np.float32]], wanted: Callable[[Batch], NDArray[np.float32]],
    batches: Iterable[Batch],
) -> list[Compared]:
    """How far both are apart, one entry per kind of images, in the order of the kinds."""
    kinds: dict[str, Compared] = {}
    for batch in batches:
        one = _compared(batch, found(batch), wanted(batch))
        before = kinds.get(batch.kind)
        kinds[batch.kind] = one if before is None else _added(before, one)
    return list(kinds.values())


def releases() -> dict[str, str]:
    """Releases of what computes both sides."""
    return {name: version(name) for name in ("torch", "onnxruntime")}


def _compared(batch: Batch, found: NDArray[Any], wanted: NDArray[Any]) -> Compared:
    """Both answers to one batch."""
    if found.shape != wanted.shape:
        raise DataError(
            f"The file gives the shape {found.shape} where the model gives {wanted.shape}. "
            "Install the releases of constraints.txt."
        )
    n, _, height, width = found.shape
    return Compared(
        batch.kind, n, n * height * width, float(np.abs(found - wanted).max()),
        int((found.argmax(1) == wanted.argmax(1)).sum()),
    )


def _added(a: Compared, b: Compared) -> Compared:
    """Two comparisons as one."""
    return Compared(
        a.kind, a.n_windows + b.n_windows, a.n_pixels + b.n_pixels,
        float(np.maximum(a.max_dp, b.max_dp)), a.n_agree + b.n_agree,
    )
