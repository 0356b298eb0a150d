"""Blocks that memory cannot hold are refused before any work."""

from __future__ import annotations

import block_work
import numpy as np
import psutil
import pytest
import zarr

from fibseg.blocks import Cluster, Processes, Serial, label_blocks, map_blocks, reduce_blocks
from fibseg.blocks import room as room_module
from fibseg.blocks.grid import Grid
from fibseg.blocks.room import free_memory, refuse_without_room
from fibseg.errors import RoomError

HUGE = np.broadcast_to(np.uint8(0), (2**14, 2**14, 2**14))
"""4.4 TB that nobody holds."""


def test_each_verb_refuses_blocks_that_memory_cannot_hold():
    with pytest.raises(RoomError, match=r"infer: 1 blocks of \(16384, .* take 8.8e\+03 GB"):
        map_blocks(block_work.plus_one, HUGE, HUGE, block_shape=HUGE.shape, label="infer")
    with pytest.raises(RoomError, match=r"sum: .* 4.4e\+03 GB .*smaller blocks or fewer workers"):
        reduce_blocks(block_work.Sum(), HUGE, max, block_shape=HUGE.shape, label="sum")
    with pytest.raises(RoomError, match="components"):
        label_blocks(HUGE, HUGE, block_shape=HUGE.shape)


def test_small_blocks_of_a_huge_volume_have_room():
    grid = Grid.over(HUGE.shape, (64, 512, 512))
    refuse_without_room("x", grid, None, [HUGE], [HUGE], runner=Serial())


def test_all_that_is_held_at_once_counts(monkeypatch):
    grid = Grid.over((40, 10, 10), (10, 10, 10))  # 4 blocks
    arrays = [np.zeros((40, 10, 10), np.uint8)], [np.zeros((40, 10, 10), np.float32)]

    def refused(free, runner, *, halo=0, threads=1):
        monkeypatch.setattr(room_module, "free_memory", lambda: free)
        try:
            refuse_without_room(
                "x", grid, lambda box: box.grow((halo,) * 3), *arrays, runner=runner,
                threads=threads,
            )
        except RoomError:
            return True
        return False

    assert refused(4999, Serial())
    assert not refused(5000, Serial())
    assert refused(5000, Serial(), halo=1)
    assert not refused(4000 + 12**3, Serial(), halo=1)
    assert refused(9999, Processes(2))
    assert not refused(10_000, Processes(2))
    assert not refused(20_000, Processes(100))  # there are 4 blocks
    assert refused(19_999, Processes(100))
    assert not refused(5000, Processes(), threads=10**6)
    assert refused(9999, Cluster(2))
    assert not refused(0, Cluster(2, address="tcp://node7:8786"))


def test_an_empty_volume_needs_nothing(monkeypatch):
    monkeypatch.setattr(room_module, "free_memory", lambda: 0.0)
    target = np.zeros((0, 5, 5))
    map_blocks(block_work.plus_one, target, target, block_shape=(1, 5, 5))


def test_free_memory_is_part_of_the_machine():
    assert 1e7 < free_memory() <= psutil.virtual_memory().total


def test_nothing_is_written_before(tmp_path, monkeypatch):
    monkeypatch.setattr(room_module, "free_memory", lambda: 10.0)
    target = zarr.create_array(tmp_path / "t", shape=(8, 8, 8), chunks=(8, 8, 8), dtype="u1")
    journal = tmp_path / "journal"
    with pytest.raises(RoomError):
        map_blocks(
            block_work.plus_one, target, target, block_shape=(8, 8, 8), journal=journal,
            runner=Processes(2),
        )
    assert not journal.exists()
    assert not list((tmp_path / "t").glob("c*"))
