"""Pyramids through the engine: what the kernels make of the whole, killed or not."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import block_work
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import block_reduce

from fibseg.blocks import Serial, map_blocks
from fibseg.errors import DataError, InterruptedRunError, PartlyDoneError, UsageError
from fibseg.pipeline import pyramid, verify
from fibseg.pipeline.pyramid import Reduced, finish_product, finish_raw
from fibseg.volume import Volume
from fibseg.volume.pyramid import KERNELS

SHAPE = (70, 530, 20)
KINDS = ["image", "labels", "annotation", "probabilities"]


def painting(shape=SHAPE, seed=0, dtype="uint8", top=5):
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def unfinished(path: Path, data: np.ndarray, version: str = "0.5") -> Volume:
    volume = Volume.create(
        path, shape=data.shape, dtype=data.dtype, spacing=(10, 10, 10), polarity="dark",
        ome_version=version, inputs="a",
    )
    if not volume.complete:
        volume.raw()[:] = data
    return volume


def create(volume: Volume, kind: str, name: str = "m"):
    if kind == "probabilities":
        return volume.create_probabilities(name, inputs="a")
    return volume.create_labels(
        name, kind=kind, dtype="uint8" if kind == "annotation" else "uint32", inputs="a"
    )


@st.composite
def cases(draw):
    shape = draw(st.tuples(*[st.integers(1, 19)] * 3))
    factors = draw(st.tuples(*[st.sampled_from([1, 2])] * 3))
    block = draw(st.tuples(*[st.integers(1, 11)] * 3))
    return shape, factors, block, draw(st.sampled_from(KINDS)), draw(st.integers(0, 99))


@settings(max_examples=60)
@given(case=cases())
def test_blocks_of_any_shape_make_what_the_kernel_makes_of_the_whole(case):
    shape, factors, block, kind, seed = case
    fine = painting(shape, seed, top=4)
    coarse = np.zeros(tuple(-(-n // f) for n, f in zip(shape, factors, strict=True)), np.uint8)
    map_blocks(Reduced(fine, KERNELS[kind], factors), [], coarse, block_shape=block)
    np.testing.assert_array_equal(coarse, KERNELS[kind](fine, factors=factors))


@settings(max_examples=20)
@given(rows=st.integers(1, 70), kind=st.sampled_from(KINDS))
def test_bands_of_any_height_make_the_same(rows, kind):
    fine = painting((6, 139, 9), top=4)
    coarse = np.zeros((3, 70, 5), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reduced, "_rows", lambda self, shape: rows)
        map_blocks(Reduced(fine, KERNELS[kind], (2, 2, 2)), [], coarse, block_shape=coarse.shape)
    np.testing.assert_array_equal(coarse, KERNELS[kind](fine, factors=(2, 2, 2)))


class Watched:
    """An endless array of zeros that remembers the largest part that was asked for."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.largest = shape, np.dtype(dtype), 0

    def __getitem__(self, slices):
        shape = [s.stop - s.start for s in slices]
        self.largest = max(self.largest, int(np.prod(shape)) * self.dtype.itemsize)
        return np.zeros(shape, self.dtype)


@pytest.mark.parametrize(("dtype", "bound"), [("uint8", 2**25), ("uint32", 2**25), ("u8", 2**26)])
def test_a_worker_reads_little_at_a_time_whatever_the_volume(dtype, bound):
    finer = Watched((128, 1000, 1024), dtype)
    target = np.zeros((64, 500, 512), dtype)
    map_blocks(
        Reduced(finer, KERNELS["labels"], (2, 2, 2)), [], target, block_shape=target.shape
    )
    assert 0 < finer.largest <= bound


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_levels_in_the_store_are_those_of_the_whole(tmp_path, kind, version):
    data = painting(top=4)
    volume = unfinished(tmp_path / "v.ome.zarr", data, version)
    finish_raw(volume)
    levels = [volume.raw(n)[:] for n in range(volume.n_levels)]
    if kind != "image":
        product = create(volume, kind)
        product.array[:] = data
        finish_product(product)
        levels = [zarr.open_array(product.path / str(n), mode="r")[:] for n in range(len(levels))]
    assert [level.shape for level in levels] == [SHAPE, (35, 265, 10), (18, 133, 5), (9, 67, 3)]
    for fine, coarse in itertools.pairwise(levels):
        np.testing.assert_array_equal(coarse, KERNELS[kind](fine, factors=(2, 2, 2)))
    if kind in ("image", "probabilities"):
        mean = block_reduce(data[:, :, :], (2, 2, 2), np.mean)
        np.testing.assert_array_equal(levels[1], np.floor(mean + 0.5))


@pytest.fixture
def reference(tmp_path):
    volume = unfinished(tmp_path / "serial.ome.zarr", painting(top=250))
    finish_raw(volume)
    product = create(volume, "labels")
    product.array[:] = painting(seed=1)
    finish_product(product)
    return volume


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_a_histogram_is_counted_or_taken(tmp_path, reference):
    data = painting(top=250)
    volume = unfinished(tmp_path / "v.ome.zarr", data)
    with pytest.raises(UsageError, match="256 voxels, but the image has"):
        finish_raw(volume, histogram=np.ones(256, np.int64))
    assert not volume.complete
    finish_raw(volume, histogram=np.bincount(data.ravel(), minlength=256))
    assert volume.percentiles == reference.percentiles
    assert volume.percentiles["p50"] == np.median(data)


def test_finishing_without_the_levels_is_refused(reference):
    product = create(reference, "labels", "n")
    product.array[:] = 1
    with pytest.raises(DataError, match="not every box of its level 0 is noted"):
        product.finish()
    pyramid.note_finest(product.pyramid)
    with pytest.raises(DataError, match="it has 1 of its 4 pyramid levels"):
        product.finish()
    assert reference.label_names() == ["m"]
    assert finish_product(product).complete


def test_nothing_is_left_beside_a_finished_image(reference):
    names = {p.name for p in reference.path.rglob(".*")}
    assert names == {".digests"}
    assert verify.run(volume=reference.path).findings == []


# --- stopped and resumed ---------------------------------------------------------------------


class Dying:
    """Runner that fails, or is stopped, at the nth block that it gets."""

    in_process = True

    def __init__(self, after: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.after, self.error, self.seen = after, error, 0

    def at_once(self, threads=1):
        return 1

    def outcomes(self, task, blocks, *, ordered=False):
        for block in blocks:
            if self.seen == self.after:
                raise self.error
            self.seen += 1
            yield from Serial().outcomes(task, [block])


def n_blocks(volume: Volume) -> int:
    """Blocks of all coarser levels."""
    plan = volume.pyramid
    shapes = [(level.shape, plan.block_shape(n)) for n, level in enumerate(plan.levels)][1:]
    return sum(
        int(np.prod([-(-n // b) for n, b in zip(shape, block, strict=True)]))
        for shape, block in shapes
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_pyramid_goes_on_where_it_was(tmp_path, reference, kind):
    data = painting((280, 530, 20), top=4)
    calm = unfinished(tmp_path / "calm.ome.zarr", data)
    volume = unfinished(tmp_path / "v.ome.zarr", data)
    image, other, finish = volume, calm, functools.partial(
        finish_raw, histogram=np.bincount(data.ravel(), minlength=256)
    )
    if kind != "image":
        finish(volume)
        finish(calm)
        image, other, finish = create(volume, kind), create(calm, kind), finish_product
        image.array[:] = other.array[:] = data
    pyramid.note_finest(image.pyramid)  # so that all blocks below are those of the levels
    finish(other)
    total, seen = n_blocks(image), []
    assert total > 5
    for _ in range(2 * total):
        runner = Dying(after=2)
        try:
            finish(image, runner=runner)
        except KeyboardInterrupt:
            seen.append(runner.seen)
            continue
        seen.append(runner.seen)
        break
    assert sum(seen) == total, "no block is computed twice"
    folders = (Path(image.path), Path(other.path))
    assert contents(folders[0]) == contents(folders[1])


def test_a_changed_level_0_starts_the_pyramid_afresh(reference):
    product = create(reference, "labels", "n")
    product.array[:] = 1
    with pytest.raises(KeyboardInterrupt):
        finish_product(product, runner=Dying(after=5))
    product.array[:] = painting(seed=1)
    again = create(reference, "labels", "n")
    runner = Dying(after=10**9)
    finish_product(again, runner=runner)
    assert contents(again.path / "3") == contents(reference.path / "labels" / "m" / "3")
    assert again.info.digest == reference.labels_info("m").digest


KILLED = """
import sys, time
from fibseg.blocks import Processes
from fibseg.pipeline import pyramid
from fibseg.volume import Volume
class Slow(pyramid.Reduced):
    def __call__(self, *, block):
        time.sleep(0.2)
        return super().__call__(block=block)
if __name__ == "__main__":
    pyramid.Reduced = Slow
    volume = Volume(sys.argv[1])
    product = volume.create_labels("m", kind="labels", dtype="uint32", inputs="a")
    pyramid.finish_product(product, runner=Processes(2))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("level", [1, 2])
def test_a_killed_pyramid_is_finished_to_the_byte(tmp_path, level):
    data = painting((280, 530, 20))
    calm = unfinished(tmp_path / "calm.ome.zarr", data)
    finish_raw(calm)
    product = create(calm, "labels")
    product.array[:] = data
    shutil.copytree(calm.path, tmp_path / "killed.ome.zarr")
    finish_product(product)
    killed = Volume(tmp_path / "killed.ome.zarr")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    process = subprocess.Popen([sys.executable, str(script), str(killed.path)])
    done = block_work.kill_at(process, killed.path / "labels" / "m" / f".{level}.journal")
    time.sleep(0.5)  # its workers see that it is gone
    assert verify.run(volume=killed.path).notes == [
        "labels/m: is not finished; its command continues there"
    ]
    runner = Dying(after=10**9)
    product = create(killed, "labels")
    finish_product(product, runner=runner)
    assert runner.seen <= n_blocks(product) - done + 5  # those that read level 0 for its digests
    assert contents(killed.path) == contents(calm.path)


def test_a_poisoned_block_is_listed_and_tried_again(reference, monkeypatch):
    product = create(reference, "labels", "n")
    product.array[:] = painting(seed=1)

    def poisoned(self, *, block):
        raise ValueError("a bad block")

    with monkeypatch.context() as patch:
        patch.setattr(Reduced, "__call__", poisoned)
        with pytest.raises(PartlyDoneError, match="pyramid level 1: 1 of 1 blocks failed"):
            finish_product(product)
    assert not product.complete
    finish_product(product)
    assert contents(product.path / "2") == contents(reference.path / "labels" / "m" / "2")


def test_a_signal_ends_it_after_the_block_in_flight(tmp_path, reference, monkeypatch):
    data = painting((1500, 30, 20))
    volume = unfinished(tmp_path / "v.ome.zarr", data)
    original, seen = Reduced.__call__, []

    def interrupted(self, *, block):
        if not seen:
            os.kill(os.getpid(), signal.SIGTERM)
        seen.append(block)
        return original(self, block=block)

    with monkeypatch.context() as patch:
        patch.setattr(Reduced, "__call__", interrupted)
        with pytest.raises(InterruptedRunError, match=r"pyramid level 1: stopped after \d of"):
            finish_raw(volume)
    assert len(seen) < 12
    assert not volume.complete
    finish_raw(volume)
    assert verify.run(volume=volume.path).findings == []
