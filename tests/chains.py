"""A chain of clean-up operators on a whole array in memory, and the same block by block."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from benches import MemoryBench

from fibseg.blocks import Serial
from fibseg.measure import shape
from fibseg.pipeline.chain import OWN, arrays_of, function_of, without_arrays
from fibseg.pipeline.operators import Sheet, Work, find_objects
from fibseg.postprocess import filter_objects


def blockwise(array, operators, spacing, block_shape, arrays=None):
    with tempfile.TemporaryDirectory() as folder:
        work = Work(
            bench=MemoryBench(array.shape, Path(folder)), block_shape=block_shape,
            runner=Serial(), spacing=spacing, arrays=arrays or {},
        )
        out = np.full(array.shape, 99, dtype=np.uint32)
        target = Sheet(out, None, Path(folder) / "labels")
        n = find_objects(array, target, operators, work=work, inputs="")
    assert n == out.max(initial=0)
    return out


def whole(array, operators, spacing, arrays=None):
    """The array functions, one after the other; a table is measured where one is needed."""
    named, current = {**(arrays or {}), OWN: array}, array
    for name, fn in operators.items():
        if function_of(fn) is filter_objects and fn.keywords["column"] is None:
            continue
        others = {key: named[value] for key, value in arrays_of(name, fn).items()}
        if function_of(fn) is filter_objects:
            others = {"table": shape.measure(current, others.get("image"), spacing=spacing)}
        current = functools.partial(without_arrays(fn, spacing=spacing), **others)(current)
    return current


def check(array, operators, spacing, block_shape, arrays=None):
    """Both agree; returns the result."""
    expected = whole(array, operators, spacing, arrays)
    np.testing.assert_array_equal(
        blockwise(array, operators, spacing, block_shape, arrays), expected
    )
    return expected
