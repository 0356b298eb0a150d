from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fibseg.geometry import Box
from fibseg.volume.sources import BlankedSource, open_source

BLANKS = [Box((0, 1, 2), (1, 4, 5)), Box((2, 0, 0), (3, 6, 7)), Box((1, 5, 6), (2, 6, 7))]


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 9, (3, 6, 7)).astype(np.uint8)


def test_boxes_are_0_however_they_are_read(voxels: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", voxels)
    want = voxels.copy()
    for box in BLANKS:
        want[box.slices] = 0
    with open_source(tmp_path / "a.npy") as source:
        blanked = BlankedSource(source, BLANKS)
        assert blanked.shape == source.shape
        assert blanked.unit == source.unit
        assert blanked.path == source.path
        for box in (
            Box.whole(voxels.shape), Box((0, 0, 0), (1, 2, 3)), Box((1, 2, 2), (3, 6, 7)),
            Box((1, 0, 0), (2, 2, 2)),
        ):
            np.testing.assert_array_equal(blanked.read(box), want[box.slices])
        # What the source holds is as it was.
        np.testing.assert_array_equal(source.read(Box.whole(voxels.shape)), voxels)
