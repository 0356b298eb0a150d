"""A graph from elsewhere in ONNX Runtime: windows in, probabilities out, the same for any threads.

Every window is a call of its own on one thread, and windows of a batch run side by side: what the
graph gives for one cannot depend on its neighbours in the batch, or on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.data import Normalisation
from fibseg.errors import DataError
from fibseg.export.foreign import ForeignModel
from fibseg.export.foreign.passport import CONSTANTS
from fibseg.inference.foreign_steps import applied, as_type, sigmoid, softmax
from fibseg.inference.plan import Plan
from fibseg.inference.symmetries import Symmetry, average
from fibseg.inference.windows import Windows

TOLERANCE = 1e-3
"""Probabilities may be so far outside 0 to 1, by rounding."""


class ForeignWindows(Windows):
    """A graph on the windows of one plan.

    Parameters
    ----------
    model
        The file.
    plan
        The grid.
    ways
        Symmetries whose probabilities are averaged.
    normalisation
        Of the volume, for graphs that take its grey values.
    """

    def __init__(
        self, model: ForeignModel, plan: Plan, ways: tuple[Symmetry, ...], *,
        normalisation: Normalisation,
    ) -> None:
        self.model = model
        self._run = _session(model, _constants(model, normalisation))
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="window")
        super().__init__(self._shares, plan, ways)

    def _predict(self, images: Tensor) -> Tensor:
        """Slots of some windows; none is added, since each is computed by itself."""
        return self.slots.fill(average(self._shares, images, self._ways))

    def _shares(self, images: Tensor) -> Tensor:
        """Probabilities of the classes, shape (b, classes, y, x), of the part that is needed."""
        found = self._pool.map(self.window, images.numpy())
        rows, columns = self.slots.needs
        return torch.from_numpy(np.stack(list(found)))[:, :, rows, columns]

    def window(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the classes in one window."""
        model = self.model
        values = _channels_first(self._run(_laid_out(image, model)), model, image.shape[1:])
        refuse_nan(values)
        shares = applied(model.after, values)
        if model.activation != "none":
            shares = (softmax if model.activation == "softmax" else sigmoid)(shares)
        shares = shares[[channel for channel, _ in model.classes]]
        low, high = float(shares.min()), float(shares.max())
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise DataError(
                f"the model gave values from {low:.4g} to {high:.4g}, which are no probabilities. "
                "Use a model for semantic segmentation, whose results are between 0 and 1."
            )
        return np.clip(shares, 0, 1)


def refuse_nan(values: NDArray[np.float32]) -> None:
    """Nothing, if all values are numbers.

    Raises
    ------
    DataError
        If one is NaN or infinite.
    """
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(
            f"the model gave {bad} NaN or infinite values. Check that the grey values of the "
            "volume are like those that it was made for, or use another model."
        )


def _session(
    model: ForeignModel, constants: dict[str, NDArray[np.float32]]
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The graph as a function of one image, laid out as it takes it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # an error is raised here, and need not be printed as well
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(
            model.graph, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has a dozen kinds with no common ancestor
        raise DataError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load the model ({_first(error)}). "
            "Have it exported for an older opset, such as 18."
        ) from error

    def run(image: NDArray[Any]) -> NDArray[Any]:
        """Result for an image."""
        try:
            (found,) = session.run([model.result], {model.image: image, **constants})
        except Exception as error:
            raise DataError(
                f"the model does not run on windows of shape {image.shape} ({_first(error)}). "
                "Use another model, or have it exported with the shapes that it takes."
            ) from error
        return np.asarray(found)

    return run


def _constants(
    model: ForeignModel, normalisation: Normalisation
) -> dict[str, NDArray[np.float32]]:
    """Grey values of the volume for a graph that takes them.

    A graph that turns dark stain bright does so for whatever it is given: where the stain of the
    volume is the other way round, the two ends change places.
    """
    if model.polarity is None:
        return {}
    ends = [normalisation.low, normalisation.high]
    if normalisation.invert != (model.polarity == "dark"):
        ends.reverse()
    return {name: np.array(v, np.float32) for name, v in zip(CONSTANTS, ends, strict=True)}


def _laid_out(image: NDArray[np.float32], model: ForeignModel) -> NDArray[Any]:
    """Image (c, y, x) in the order and type of the graph."""
    full = image[None].transpose(["bcyx".index(a) for a in _all(model.layout)])
    shape = [n for a, n in zip(_all(model.layout), full.shape, strict=True) if a in model.layout]
    return np.ascontiguousarray(as_type(full.reshape(shape), model.dtype))


def _channels_first(
    result: NDArray[Any], model: ForeignModel, window: tuple[int, ...]
) -> NDArray[np.float32]:
    """Result of the graph as (c, y, x)."""
    layout = model.result_layout
    sides = dict(zip(layout, result.shape, strict=len(layout) == result.ndim))
    if result.ndim != len(layout) or (sides["y"], sides["x"]) != window or sides.get("b", 1) != 1:
        raise DataError(
            f"the model gave a result of shape {result.shape} for a window of {window}: not a "
            "value for each pixel. Use a model for semantic segmentation."
        )
    full = result.reshape([sides.get(a, 1) for a in _all(layout)])
    return np.ascontiguousarray(
        full.transpose([_all(layout).index(a) for a in "bcyx"])[0], dtype=np.float32
    )


def _all(layout: str) -> str:
    """All four axes, those that are missing first."""
    return "".join(a for a in "bc" if a not in layout) + layout


def _first(error: BaseException) -> str:
    """A message in one line, without signs that steer a terminal."""
    text = " ".join(str(error).split())[:300]
    return "".join(c if c.isprintable() else "?" for c in text)
