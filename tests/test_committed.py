"""Evidence of what was computed twice: it must be found where it is so, and only there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import block_work
import numpy as np
import pytest
from committed import Blocks, Steps

from fibseg.blocks import map_blocks
from fibseg.errors import PartlyDoneError
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.training.checkpoint import LAST, CrashSafeIO
from fibseg.volume import Product, Volume


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume.create(
        tmp_path / "a.ome.zarr", shape=(200, 20, 20), dtype=np.uint8, spacing=(20.0, 20.0, 20.0),
        polarity="dark",
    )
    volume.raw()[:] = np.random.default_rng(0).integers(1, 200, (200, 20, 20))
    finish_raw(volume)
    return volume


def work(volume: Volume, *, inputs: str = "i", **poison: tuple[int, ...]) -> Product:
    """A product of four blocks, one file each."""
    product = volume.create_labels("m", kind="labels", dtype=np.uint8, inputs="i")
    map_blocks(
        block_work.Poisoned(**poison), volume.raw(), product.array, fingerprint=inputs,
        block_shape=product.block_shape, journal=product.journal_path,
    )
    return product


def stopped(volume: Volume, tmp_path: Path) -> Blocks:
    """Evidence noted when three of four blocks are done."""
    with pytest.raises(PartlyDoneError):
        work(volume, fails=(1,))
    evidence = Blocks(volume.path, tmp_path / "journals")
    evidence.note()
    assert (evidence.committed, evidence.again, evidence.in_flight) == (3, 0, 0)
    return evidence


def test_a_run_that_goes_on_computes_nothing_again(volume, tmp_path):
    evidence = stopped(volume, tmp_path)
    product = work(volume)
    evidence.compare()
    finish_product(product)
    assert not product.journal_path.exists()
    evidence.compare()
    assert evidence.again == 0


def forget_the_journal(volume: Volume) -> None:
    (volume.path / "labels" / ".m.journal").unlink()
    work(volume)


def write_past_the_engine(volume: Volume) -> None:
    product = work(volume)
    product.array[:64] = product.array[:64]


@pytest.mark.parametrize(
    ("misdeed", "n"),
    [
        (lambda volume: work(volume, inputs="other"), 3),
        (forget_the_journal, 3),
        (write_past_the_engine, 1),
    ],
)
def test_what_is_computed_again_is_counted(
    volume: Volume, tmp_path: Path, misdeed: Callable[[Volume], object], n: int
) -> None:
    evidence = stopped(volume, tmp_path)
    misdeed(volume)
    evidence.compare()
    assert evidence.again == n
    evidence.compare()
    assert evidence.again == n


def test_a_block_that_is_written_but_not_marked_is_in_flight(volume, tmp_path):
    product = work(volume)
    lines = product.journal_path.read_bytes().splitlines(keepends=True)
    product.journal_path.write_bytes(b"".join(lines[:-2]) + lines[-2][:7])
    evidence = Blocks(volume.path, tmp_path / "journals")
    evidence.note()
    assert (evidence.committed, evidence.in_flight) == (2, 2)


@pytest.mark.parametrize(("begun", "again"), [(40, 0), (30, 10)])
def test_steps_behind_the_checkpoint_are_counted(tmp_path, begun, again):
    folder = tmp_path / "training"
    CrashSafeIO().save_checkpoint({"global_step": 40}, folder / "checkpoints" / LAST)
    (folder / "log.txt").write_text("going on from step 20\n")
    evidence = Steps(folder)
    evidence.note()
    evidence.compare()
    assert evidence.again == 0
    with (folder / "log.txt").open("a") as log:
        log.write(f"going on from step {begun} (last.ckpt)\n")
    evidence.compare()
    evidence.compare()
    assert (evidence.committed, evidence.again) == (40, again)
