"""Planes at their place in a volume; planes that are decoded once, however they are cut."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fibseg.geometry import Box
from fibseg.volume.layout import boxes
from fibseg.volume.sources import PlacedPlanes, Source, UnpackedPlanes, open_source
from fibseg.volume.sources.source import PlaneSource

IMAGE = np.random.default_rng(0).integers(1, 200, (11, 30, 20), dtype=np.uint8)


class Counting(PlaneSource):
    """Planes of `IMAGE` that say how often each was decoded."""

    def __init__(self) -> None:
        super().__init__(Path("image"), shape=IMAGE.shape, dtype=IMAGE.dtype, plane_wise=True)
        self.decoded: Counter[int] = Counter()
        self._lock = threading.Lock()

    def plane(self, index: int) -> np.ndarray[Any, np.dtype[Any]]:
        with self._lock:
            self.decoded[index] += 1
        return IMAGE[index]


def test_placed_planes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(1, 9, (2, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "a.npy", data)
    with open_source(tmp_path / "a.npy") as source:
        placed = PlacedPlanes(source, depth=9, at={7: 0, 2: 1})
        whole = placed.read(Box.whole(placed.shape))
        np.testing.assert_array_equal(whole[7], data[0])
        np.testing.assert_array_equal(whole[2], data[1])
        assert np.flatnonzero(whole.any(axis=(1, 2))).tolist() == [2, 7]
        part = Box((2, 1, 2), (8, 4, 5))
        np.testing.assert_array_equal(placed.read(part), whole[part.slices])


@pytest.mark.parametrize("block", [(4, 8, 8), (11, 30, 1), (1, 7, 20), (3, 40, 40)])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_plane_is_decoded_once(
    block: tuple[int, int, int], threads: int, tmp_path: Path
) -> None:
    source = Counting()
    found = np.zeros_like(IMAGE)
    keep = 2 * block[0] if threads == 1 else 11  # a thread may fall behind as far as it likes

    def read(box: Box) -> None:
        found[box.slices] = planes[box.slices]

    with (
        UnpackedPlanes(source, tmp_path / "planes", keep=keep) as planes,
        ThreadPoolExecutor(threads) as pool,
    ):
        assert not planes.plane_wise
        list(pool.map(read, boxes(IMAGE.shape, block)))
    np.testing.assert_array_equal(found, IMAGE)
    assert set(source.decoded.values()) == {1}
    assert not list(tmp_path.iterdir())


def test_planes_far_away_are_removed_and_come_back(tmp_path: Path) -> None:
    source = Counting()
    with UnpackedPlanes(source, tmp_path / "planes", keep=2) as planes:
        for z in (*range(11), 0):
            box = Box((z, 3, 5), (z + 1, 9, 20))
            np.testing.assert_array_equal(planes.read(box), IMAGE[box.slices])
            there = {int(path.name) for path in (tmp_path / "planes").iterdir()}
            assert there <= set(range(z - 2, z + 3))
    assert source.decoded == {z: 2 if z == 0 else 1 for z in range(11)}


def test_two_processes_share_the_files(tmp_path: Path) -> None:
    """A copy that travelled to another process finds what the first has unpacked."""
    np.save(tmp_path / "a.npy", IMAGE)
    with (
        open_source(tmp_path / "a.npy") as source,
        UnpackedPlanes(source, tmp_path / "planes", keep=9) as planes,
    ):
        planes.read(Box((0, 0, 0), (4, 5, 5)))
        other = pickle.loads(pickle.dumps(planes))
        (tmp_path / "a.npy").write_bytes(b"")  # so it cannot have decoded them itself
        np.testing.assert_array_equal(
            other.read(Box((0, 9, 0), (4, 30, 20))), IMAGE[:4, 9:30]
        )


def test_a_killed_import_leaves_its_planes_to_nobody(tmp_path: Path) -> None:
    """A source may not take over the folder of another."""
    with (
        UnpackedPlanes(Counting(), tmp_path / "planes", keep=9),
        pytest.raises(FileExistsError),
    ):
        UnpackedPlanes(Counting(), tmp_path / "planes", keep=9)


def test_slices_cut_like_those_of_an_array() -> None:
    source: Source = Counting()
    for cut in (np.s_[:, :, :], np.s_[2:5, 1:, :7], np.s_[4:4, :, :]):
        np.testing.assert_array_equal(source[cut], IMAGE[cut])
