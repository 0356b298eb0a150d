"""Results of blocks that are kept: the same answer, and none of them is computed again."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import block_work
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, shapes

from fibseg.blocks import Processes, Serial, reduce_blocks
from fibseg.blocks.kept_tables import load_table
from fibseg.blocks.survey_files import block_file
from fibseg.errors import DataError, PartlyDoneError

IMAGE = np.random.default_rng(0).integers(0, 9, (6, 7, 8))
N_BLOCKS = 8


def histogram(diary, *, fails=(), image=IMAGE, block_shape=(3, 4, 4), **more):
    diary.mkdir(exist_ok=True)
    return reduce_blocks(
        block_work.Histogram(str(diary), fails), image, block_work.both_histograms,
        block_shape=block_shape, **more,
    )


def calls(diary):
    return {int(path.name): len(path.read_text()) for path in diary.iterdir()}


def assert_whole(found, image=IMAGE, n_blocks=N_BLOCKS):
    values, counts = np.unique(image, return_counts=True)
    np.testing.assert_array_equal(found["value"], values)
    np.testing.assert_array_equal(found["count"], counts)
    np.testing.assert_array_equal(found["block"], np.arange(n_blocks))


@settings(deadline=None, max_examples=25)
@given(shapes(), block_shapes(), st.sets(st.integers(0, 40)))
def test_failed_blocks_alone_are_computed_again(shape, block_shape, fails):
    image = np.random.default_rng(1).integers(0, 5, shape)
    n_blocks = int(np.prod([-(-n // b) for n, b in zip(shape, block_shape, strict=True)]))
    failing = sorted(fails & set(range(1, n_blocks)))[:3]
    with tempfile.TemporaryDirectory() as name:
        told = {
            "diary": Path(name, "diary"), "image": image, "block_shape": block_shape,
            "scratch": Path(name, "kept"),
        }
        if failing:
            with pytest.raises(PartlyDoneError):
                histogram(fails=tuple(failing), **told)
        assert_whole(histogram(**told), image, n_blocks)
        assert calls(told["diary"]) == {k: 1 + (k in failing) for k in range(n_blocks)}
        assert_whole(histogram(**told), image, n_blocks)
        assert sum(calls(told["diary"]).values()) == n_blocks + len(failing)


@pytest.mark.parametrize("runner", [Serial(), Processes(2)])
def test_a_killed_run_goes_on(tmp_path, runner):
    kept = tmp_path / "kept"
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_stopped_at, args=(tmp_path / "diary", kept))
    child.start()
    child.join()
    assert child.exitcode == -9
    before = calls(tmp_path / "diary")
    assert before.keys() >= {0, 1, 2, 3}
    assert_whole(histogram(tmp_path / "diary", scratch=kept, runner=runner))
    after = calls(tmp_path / "diary")
    assert [after[k] for k in range(3)] == [1, 1, 1]
    assert sum(after.values()) <= N_BLOCKS + 3  # those that were in flight


def _stopped_at(diary, kept):
    """In another process: reduce until block 3, then die as by SIGKILL."""
    import os
    import signal

    def combine(first, second):
        if 3 in second["block"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return block_work.both_histograms(first, second)

    diary.mkdir()
    reduce_blocks(
        block_work.Histogram(str(diary)), IMAGE, combine, block_shape=(3, 4, 4), scratch=kept
    )


def test_other_inputs_start_afresh(tmp_path, caplog):
    histogram(tmp_path / "a", scratch=tmp_path / "kept", fingerprint="a")
    other = IMAGE + 1
    found = histogram(tmp_path / "b", scratch=tmp_path / "kept", fingerprint="b", image=other)
    assert_whole(found, other)
    assert len(calls(tmp_path / "b")) == N_BLOCKS
    assert "all blocks start afresh" in caplog.text


def test_a_damaged_table_is_named(tmp_path):
    kept = tmp_path / "kept"
    histogram(tmp_path / "diary", scratch=kept)
    path = block_file(kept, 5)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"block 5 in .* is damaged. Remove {kept} and run again"):
        histogram(tmp_path / "diary", scratch=kept)
    path.unlink()
    with pytest.raises(DataError, match=r"block 5 in .* is missing"):
        histogram(tmp_path / "diary", scratch=kept)


def test_every_flipped_bit_is_found(tmp_path):
    histogram(tmp_path / "diary", scratch=tmp_path)
    path = block_file(tmp_path, 5)
    content = path.read_bytes()
    assert load_table(tmp_path, 5)["block"] == [5]
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(DataError, match="damaged"):
            load_table(tmp_path, 5)


def test_only_tables_can_be_kept(tmp_path):
    with pytest.raises(PartlyDoneError, match=r"returned int, but only tables"):
        reduce_blocks(
            block_work.Sum(), IMAGE, max, block_shape=(6, 7, 8), scratch=tmp_path / "kept"
        )


def test_without_a_folder_nothing_is_kept(tmp_path):
    for _ in range(2):
        assert_whole(histogram(tmp_path / "diary"))
    assert set(calls(tmp_path / "diary").values()) == {2}
