"""An import killed with SIGKILL goes on with the blocks that are left, to the very same bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import block_work
import numpy as np
import pytest
import tifffile

from fibseg.pipeline import ingest, ingest_memory
from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume
from fibseg.volume.sources.tiff import TiffStack

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")

SHAPE = (70, 520, 530)  # 2 slabs of 4 shards each
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8) // 64 * 60
IMAGE[:, ::2] = 9
GIVEN: dict[str, Any] = {"spacing": [20, 10, 10], "polarity": "dark"}
CODE = """
import sys, time
from fibseg.pipeline import ingest, ingest_blocks, ingest_memory
ingest_memory.LEAST_BYTES = 1.0  # blocks of one shard
convert = ingest_blocks.ConvertBlock.__call__
def slow(self, voxels, *, block):
    time.sleep(0.5)  # time for the test to pull the plug
    return convert(self, voxels, block=block)
ingest_blocks.ConvertBlock.__call__ = slow
ingest.run(source=sys.argv[1], volume=sys.argv[2], memory_gb=0.1, **eval(sys.argv[3]))
"""


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one shard, as in `CODE`."""
    monkeypatch.setattr(ingest_memory, "LEAST_BYTES", 1.0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "stack.tif"
    tifffile.imwrite(path, IMAGE, compression="zlib", photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, stack: Path) -> Path:
    """The same, imported at one go, in whole slabs."""
    path = tmp_path_factory.mktemp("calm") / "cell.ome.zarr"
    ingest.run(source=stack, volume=path, **GIVEN)
    return path


def contents(store: Path, within: str = "") -> dict[str, bytes]:
    """All files but the records of runs, which tell the time."""
    return {
        name: p.read_bytes() for p in sorted((store / within).rglob("*"))
        if p.is_file() and not (name := str(p.relative_to(store))).startswith("runs")
    }  # fmt: skip


def shards(folder: Path) -> dict[str, tuple[int, int]]:
    """When and as which file each shard was written."""
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns)
        for p in (folder / "0" / "c").rglob("*") if re.fullmatch(r"\d+", p.name) and p.is_file()
    }  # fmt: skip


def start_and_kill(source: Path, store: Path, journal: Path, n_done: int, **keys: Any) -> None:
    """Run until `n_done` blocks are marked, then kill."""
    process = subprocess.Popen([sys.executable, "-c", CODE, source, store, repr(keys)])
    block_work.kill_at(process, journal, n_done=n_done)


def test_a_killed_import_goes_on(
    tmp_path: Path, stack: Path, calm: Path, small_blocks: None, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    store = tmp_path / "cell.ome.zarr"
    for n_done in (1, 6):
        start_and_kill(stack, store, store / ".raw.journal", n_done, **GIVEN)
        assert not Volume(store).complete
    journal = (store / ".raw.journal").read_text()
    done = [int(number) for number in re.findall(r"^done (\d+) ", journal, re.MULTILINE)]
    assert len(done) == len(set(done)) >= 6  # the second run did not write those of the first
    before = shards(store)
    with caplog.at_level("INFO", logger="fibseg"):
        summary = ingest.run(source=stack, volume=store, memory_gb=0.1, **GIVEN)
    assert summary["status"] == "imported"
    assert f"goes on after {len(done)} of 8 blocks" in caplog.text
    after = shards(store)
    names = ["/".join(map(str, ("0", "c", k // 4, k // 2 % 2, k % 2))) for k in done]
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert contents(store) == contents(calm)  # nothing is left over, either
    assert [r["status"] for r in Volume.open(store).runs()] == ["running", "running", "done"]


@pytest.mark.parametrize("objects", [None, "components"])
def test_a_killed_import_of_labels_goes_on(
    objects: str | None, tmp_path: Path, calm: Path, small_blocks: None
) -> None:
    source = tmp_path / "mask.tif"
    mask = (IMAGE[:, ::-1] > 150).astype(np.uint8)
    tifffile.imwrite(source, mask, compression="zlib", photometric="minisblack")
    keys = {"kind": "labels", "name": "truth", "objects": objects}
    once, killed = tmp_path / "once.ome.zarr", tmp_path / "killed.ome.zarr"
    for store in (once, killed):
        raw = np.zeros(SHAPE, np.uint8)
        volume = Volume.create(
            store, shape=SHAPE, dtype=raw.dtype, spacing=(20, 10, 10), polarity="dark"
        )
        volume.raw()[:] = raw
        finish_raw(volume)
    ingest.run(source=source, volume=once, **keys)
    journal = killed / "labels" / ".truth.journal"
    if objects:
        journal = killed / ".scratch" / ".labels=truth=import.blocks" / "survey.journal"
    start_and_kill(source, killed, journal, 4, **keys)
    before, done = shards(killed / "labels" / "truth"), journal.read_text().count("done ")
    assert done >= 4
    ingest.run(source=source, volume=killed, memory_gb=0.1, **keys)
    assert contents(killed) == contents(once)
    after = shards(killed / "labels" / "truth")
    kept = sum(after[name] == before[name] for name in before)
    assert kept >= (0 if objects else done)


def test_planes_are_decoded_twice_however_small_the_blocks_are(
    tmp_path: Path, stack: Path, calm: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to survey them, once to store them."""
    decoded: list[int] = []
    plane = TiffStack.plane

    def noted(self: TiffStack, index: int) -> Any:
        decoded.append(index)
        return plane(self, index)

    monkeypatch.setattr(TiffStack, "plane", noted)
    store = tmp_path / "cell.ome.zarr"
    ingest.run(source=stack, volume=store, memory_gb=0.1, **GIVEN)
    assert sorted(decoded) == sorted([*range(SHAPE[0])] * 2)
    assert contents(store) == contents(calm)


def test_a_changed_source_starts_afresh(
    tmp_path: Path, stack: Path, small_blocks: None
) -> None:
    store = tmp_path / "cell.ome.zarr"
    start_and_kill(stack, store, store / ".raw.journal", 3, **GIVEN)
    other = IMAGE.copy()
    other[0, 0, 0] += 1
    tifffile.imwrite(
        tmp_path / "other.tif", other, compression="zlib", photometric="minisblack"
    )
    ingest.run(source=tmp_path / "other.tif", volume=store, memory_gb=0.1, **GIVEN)
    np.testing.assert_array_equal(Volume.open(store).raw()[:], other)
