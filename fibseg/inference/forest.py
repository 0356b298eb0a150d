"""A forest at work: ONNX Runtime on rows of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.export import INPUT, OUTPUT

ROWS = 16384
"""Voxels that are asked at a time: their features stay in the cache of a core."""


class Forest:
    """Trees of an ONNX file, ready to be asked.

    One thread: blocks are computed side by side, and sums over trees keep their order.

    Parameters
    ----------
    data
        ONNX file of `fibseg.export.forest_to_onnx`.

    Raises
    ------
    DataError
        If ONNX Runtime cannot use it.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors have no common class of their own
            raise DataError(
                f"ONNX Runtime cannot use the forest ({str(error).splitlines()[0]}). Copy the "
                "model folder again, or train again with fibseg classify."
            ) from error

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the values, shape (values, voxels), of features (features, voxels)."""
        parts = [
            self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(rows.T)})[0]
            for rows in np.split(features, range(ROWS, features.shape[1], ROWS), axis=1)
        ]
        return np.ascontiguousarray(np.concatenate(parts).T)
