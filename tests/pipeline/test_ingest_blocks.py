"""The passes of an import give the same for every runner, block shape and format of the source."""

from __future__ import annotations

import functools
import operator
import os
import pickle
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import psutil
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from imagecodecs import png_encode
from strategies import block_shapes, shapes

from fibseg.blocks import Cluster, Processes, Serial, map_blocks, reduce_blocks
from fibseg.blocks.task import IN_FLIGHT
from fibseg.errors import DataError, PartlyDoneError, UsageError
from fibseg.geometry import Box
from fibseg.pipeline import ingest
from fibseg.pipeline.ingest import Stored
from fibseg.pipeline.ingest_blocks import ConvertBlock, SurveyBlock, copy, survey
from fibseg.pipeline.ingest_labels import _as_labels
from fibseg.pipeline.ingest_memory import LEAST_BYTES, PROGRAM_BYTES, Memory
from fibseg.volume import Volume
from fibseg.volume.sources import PlacedPlanes, open_source

IMAGE = np.random.default_rng(0).integers(0, 90, (7, 30, 20), dtype=np.uint8)
TWO = Processes(n_workers=2)


def numbered(path: Path, save: Callable[[Path, np.ndarray], object], suffix: str) -> Path:
    path.mkdir()
    for k, plane in enumerate(IMAGE):
        save(path / f"p{k:03}{suffix}", plane)
    return path


def hdf5(path: Path, **keys: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw/image", data=IMAGE, **keys)


def zipped(path: Path) -> None:
    zarr.create_array(path, data=IMAGE, chunks=(3, 8, 8))


SAVED: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda p: np.save(p, IMAGE),
    "a.npz": lambda p: np.savez_compressed(p, image=IMAGE),
    "plain.tif": lambda p: tifffile.imwrite(p, IMAGE, photometric="minisblack"),
    "zlib.tif": lambda p: tifffile.imwrite(
        p, IMAGE, compression="zlib", photometric="minisblack"
    ),
    "a.mrc": lambda p: mrcfile.write(p, IMAGE.astype(np.uint16), voxel_size=9),
    "chunks.h5": lambda p: hdf5(p, chunks=(3, 8, 8)),
    "whole.h5": lambda p: hdf5(p),
    "a.zarr": zipped,
    "tifs": lambda p: numbered(p, tifffile.imwrite, ".tif"),
    "pngs": lambda p: numbered(p, lambda f, a: f.write_bytes(png_encode(a)), ".png"),
}


@pytest.fixture(params=SAVED)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The image in one of all formats."""
    SAVED[request.param](tmp_path / request.param)
    return tmp_path / request.param


def test_sources_travel_and_are_read_by_several_threads(saved: Path) -> None:
    boxes = [Box((z, y, 3), (z + 2, y + 9, 17)) for z in range(6) for y in range(0, 21, 4)]
    image = IMAGE if saved.suffix != ".mrc" else IMAGE.astype(np.uint16)
    with open_source(saved) as source:
        placed = PlacedPlanes(source, depth=7, at={z: z for z in range(7)})
        for travelled in map(pickle.dumps, (source, placed)):
            twin = pickle.loads(travelled)
            with twin, ThreadPoolExecutor(3) as pool:
                found = list(pool.map(twin.__getitem__, (box.slices for box in boxes)))
            for box, voxels in zip(boxes, found, strict=True):
                np.testing.assert_array_equal(voxels, image[box.slices])


def test_units_are_what_is_decoded_at_once(tmp_path: Path) -> None:
    units = {}
    for name, save in SAVED.items():
        save(tmp_path / name)
        with open_source(tmp_path / name) as source:
            units[name] = source.unit
    row, plane, chunk = (1, 1, 20), (1, 30, 20), (3, 8, 8)
    assert units == {
        "a.npy": row, "a.npz": row, "plain.tif": row, "zlib.tif": plane, "a.mrc": row,
        "chunks.h5": chunk, "whole.h5": row, "a.zarr": chunk, "tifs": plane, "pngs": plane,
    }  # fmt: skip


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the image."""
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, IMAGE)
    with open_source(path) as source:
        return survey(source, memory=Memory(2.0, Serial())).digest


def test_the_digest_depends_on_neither_format_nor_runner(saved: Path, digest: str) -> None:
    if saved.suffix == ".mrc":
        pytest.skip("MRC holds no unsigned bytes")
    with open_source(saved) as source:
        for runner in (Serial(), TWO):
            found = survey(source, memory=Memory(2.0, runner), count=True, histogram=True)
            assert found.digest == digest
            values, numbers = np.unique(IMAGE, return_counts=True)
            assert found.counts == dict(zip(values.tolist(), numbers.tolist(), strict=True))
            np.testing.assert_array_equal(found.histogram, np.bincount(IMAGE.ravel(), None, 256))


@given(block=st.tuples(st.integers(1, 8), st.integers(1, 31)))
def test_the_digest_depends_on_no_block_shape(block: tuple[int, int], digest: str) -> None:
    found = reduce_blocks(SurveyBlock(), IMAGE, operator.add, block_shape=(*block, 20))
    assert found.finish(IMAGE.shape, IMAGE.dtype).digest == digest


@pytest.mark.parametrize("gb", [0.001, 0.45, 2.0])
@pytest.mark.parametrize("runner", [Serial(), TWO], ids=["serial", "processes"])
@pytest.mark.parametrize("name", ["zlib.tif", "plain.tif", "chunks.h5"])
def test_copies_are_the_same_in_any_memory(
    name: str, runner: Any, gb: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fibseg.pipeline.ingest_memory.LEAST_BYTES", 1.0)
    SAVED[name](tmp_path / name)
    shards = (4, 16, 16)
    target = zarr.create_array(
        tmp_path / "t.zarr", shape=IMAGE.shape, dtype="u2", chunks=(4, 8, 8), shards=shards
    )
    with open_source(tmp_path / name) as source:
        copy(
            source, target, unit=shards, convert=plus_five, memory=Memory(gb, runner),
            journal=tmp_path / "journal", fingerprint="x", scratch=tmp_path / "t", label="copy",
        )  # fmt: skip
    np.testing.assert_array_equal(target[:], IMAGE + np.uint16(5))
    assert {p.name for p in tmp_path.iterdir()} == {name, "t.zarr", "journal"}


def plus_five(voxels: np.ndarray) -> np.ndarray:
    return voxels + np.uint16(5)


@st.composite
def stacks(draw: st.DrawFn) -> np.ndarray:
    """Voxels of any type that an import takes."""
    dtype = draw(st.sampled_from(["uint8", "uint16", "int16", "uint32", "float32", "bool"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = rng.integers(0, draw(st.sampled_from([2, 90, 1000])), draw(shapes()))
    return (numbers - (dtype == "int16") * 40).astype(dtype)


@given(stacks(), block_shapes(low=1), st.data())
def test_survey_and_copy_by_blocks_are_those_of_the_whole(stack, block, data) -> None:
    rows = (*block[:2], stack.shape[2])
    found = reduce_blocks(SurveyBlock(count=True), stack, operator.add, block_shape=rows)
    found = found.finish(stack.shape, stack.dtype)
    values, numbers = np.unique(stack, return_counts=True)
    assert (found.lowest, found.highest) == (values[0], values[-1])
    countable = stack.dtype != np.float32 and len(values) <= 256
    counts = dict(zip(values.tolist(), numbers.tolist(), strict=True))
    assert found.counts == (counts if countable else None)
    limits = data.draw(st.sampled_from([None, (-3.5, 60.0)]))
    target = np.zeros(stack.shape, stack.dtype if limits is None else np.uint16)
    map_blocks(ConvertBlock(Stored(limits)), stack, target, block_shape=block)
    share = stack if limits is None else np.clip((stack.astype(float) + 3.5) / 63.5, 0, 1)
    np.testing.assert_array_equal(target, share if limits is None else np.rint(share * 65535))


@given(stacks(), block_shapes(low=1), st.integers(0, 2**32 - 1), st.booleans())
def test_placed_planes_by_blocks_are_those_of_the_whole(stack, block, seed, binary) -> None:
    """A painting of some planes, and a mask as one object."""
    depth = stack.shape[0] + seed % 5
    at = np.random.default_rng(seed).permutation(depth)[: stack.shape[0]].tolist()
    whole = np.zeros((depth, *stack.shape[1:]), stack.dtype)
    whole[at] = stack
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "a.npy", stack)
        with open_source(Path(folder) / "a.npy") as source:
            planes = PlacedPlanes(source, depth=depth, at={z: k for k, z in enumerate(at)})
            target = np.full(whole.shape, 99, np.uint32)
            convert = functools.partial(_as_labels, dtype=target.dtype, binary=binary)
            map_blocks(ConvertBlock(convert), planes, target, block_shape=block)
    np.testing.assert_array_equal(target, whole != 0 if binary else whole.astype(np.uint32))


def test_all_damaged_blocks_are_told_of_in_the_words_of_the_reader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fibseg.pipeline.ingest_memory.LEAST_BYTES", 1.0)
    folder = numbered(tmp_path / "s", lambda f, a: f.write_bytes(png_encode(a)), ".png")
    for k in (2, 5):
        path = folder / f"p{k:03}.png"
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"cannot be decoded.* 1 more of its blocks") as info:
        ingest.run(
            source=folder, volume=tmp_path / "cell.ome.zarr", spacing=[9, 9, 9], polarity="dark",
            memory_gb=0.1,
        )
    assert info.value.exit_code == 65
    assert str(info.value).startswith(f"{folder / 'p002.png'} cannot be decoded")
    assert "p005.png cannot be decoded" in caplog.text
    assert not (tmp_path / "cell.ome.zarr").exists()


def test_what_is_no_fault_of_the_data_is_not_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlucky(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("fibseg.pipeline.ingest_blocks.part_of", unlucky)
    np.save(tmp_path / "a.npy", IMAGE)
    with (
        open_source(tmp_path / "a.npy") as source,
        pytest.raises(PartlyDoneError, match="MemoryError: no room"),
    ):
        survey(source, memory=Memory(2.0, Serial()))


@given(
    gb=st.floats(0.01, 100), least=st.floats(1, 1e10), workers=st.integers(0, 70),
    cluster=st.booleans(),
)
def test_all_processes_together_stay_within_memory(
    gb: float, least: float, workers: int, cluster: bool
) -> None:
    kind = Cluster if cluster else Processes
    runner, room = Memory(gb, kind(workers) if workers else Serial()).shared(least)
    n = getattr(runner, "workers", 0)
    assert n <= workers
    at_once = getattr(runner, "in_flight", 1)
    assert 1 <= at_once <= IN_FLIGHT
    taken = room * at_once * max(n, 1) + PROGRAM_BYTES * (n + 1)
    if n:
        assert room >= least * 0.999
        assert taken <= gb * 1e9 * 1.001
    else:  # one unit is the least, whatever the memory
        assert taken <= max(gb * 1e9, PROGRAM_BYTES + LEAST_BYTES) * 1.001
        assert room >= least * 0.999 or at_once == 1


def test_workers_of_other_machines_have_the_memory_each() -> None:
    runner, room = Memory(4.0, Cluster(8, address="tcp://node7:8786")).shared(1e6)
    assert runner.workers == 8
    assert room * IN_FLIGHT == pytest.approx(4e9 - PROGRAM_BYTES)


def test_no_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no memory"):
        Memory(0.0, Serial())


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_memory_is_kept_to_by_all_processes_together(tmp_path: Path) -> None:
    """Two workers with room for one shard each; pages that processes share count once."""
    shape, gb = (72, 1024, 1536), 1.25
    data = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=shape)
    data[40, 600] = np.arange(shape[2]) % 256  # the rest stays a hole in the file
    del data
    most, stop = 0, threading.Event()
    # Workers that other tests have left in the pool are no part of it.
    before = [os.getpid(), *(c.pid for c in psutil.Process().children(recursive=True))]
    own = sum(map(resident, before))

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.1):
            children = psutil.Process().children(recursive=True)
            most = max(most, sum(map(resident, [os.getpid(), *(c.pid for c in children)])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ingest.run(
            source=tmp_path / "a.npy", volume=tmp_path / "cell.ome.zarr", spacing=[9, 9, 9],
            polarity="dark", memory_gb=gb, blocks=TWO,
        )
    finally:
        stop.set()
        watcher.join()
    # this process holds pytest besides
    assert most - own + PROGRAM_BYTES < gb * 1e9
    assert Volume.open(tmp_path / "cell.ome.zarr").raw()[40, 600, 511] == 255


def resident(pid: int) -> int:
    """Memory of a process, in which pages that n processes share count 1/n."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:") * 1024
