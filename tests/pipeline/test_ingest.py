"""`fibseg import` of images: what is stored, what is refused, and that again means nothing."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fibseg.errors import DataError, ExistsError, FibsegError, UsageError
from fibseg.pipeline import ingest
from fibseg.volume import Volume

SHAPE = (12, 40, 50)
IMAGE = np.random.default_rng(0).integers(20, 200, SHAPE, dtype=np.uint8)
GIVEN: dict[str, Any] = {"spacing": [30, 10, 10], "polarity": "dark"}


def saved(path: Path, data: np.ndarray) -> Path:
    np.save(path, data)
    return path


def folder(path: Path, data: np.ndarray, numbers: list[int]) -> Path:
    path.mkdir()
    for k, plane in zip(numbers, data, strict=True):
        tifffile.imwrite(path / f"s_{k:03}.tif", plane, compression="zlib")
    return path


def files(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    return tmp_path / "cell.ome.zarr"


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_unsigned_voxels_are_kept(dtype: str, tmp_path: Path, cell: Path) -> None:
    data = IMAGE.astype(dtype) * (1 if dtype == "uint8" else 250)
    summary = ingest.run(source=saved(tmp_path / "a.npy", data), volume=cell, **GIVEN)
    volume = Volume.open(cell)
    assert summary["status"] == "imported"
    assert (volume.spacing, volume.polarity, volume.dtype) == ((30, 10, 10), "dark", dtype)
    assert volume.intensity_range is None
    np.testing.assert_array_equal(volume.raw()[:], data)
    run = volume.runs()[0]
    assert (run["verb"], run["status"]) == ("import", "done")
    assert run["products"] == {"raw": volume.raw_digest}


def test_again_does_nothing_and_other_data_is_refused(tmp_path: Path, cell: Path) -> None:
    source = folder(tmp_path / "stack", IMAGE, list(range(12)))
    ingest.run(source=source, volume=cell, **GIVEN)
    before = files(cell)
    assert ingest.run(source=source, volume=cell, **GIVEN)["status"] == "unchanged"
    same = saved(tmp_path / "same.npy", IMAGE)  # another format, the same voxels
    assert ingest.run(source=same, volume=cell, **GIVEN)["status"] == "unchanged"
    other = IMAGE.copy()
    other[3, 2, 1] += 1
    with pytest.raises(ExistsError, match="stands already"):
        ingest.run(source=saved(tmp_path / "b.npy", other), volume=cell, **GIVEN)
    for key, value in {"polarity": "bright", "spacing": [10, 10, 10]}.items():
        with pytest.raises(ExistsError, match=f"stands already with {key}"):
            ingest.run(source=source, volume=cell, **{**GIVEN, key: value})
    assert files(cell) == before
    ingest.run(source=tmp_path / "b.npy", volume=cell, overwrite=True, **GIVEN)
    np.testing.assert_array_equal(Volume.open(cell).raw()[:], other)


@pytest.mark.parametrize(
    ("dtype", "given", "limits"),
    [("float32", None, (-1.0, 3.0)), ("float64", [0, 2], (0.0, 2.0)), ("int16", None, (-1, 3)),
     ("uint32", None, (0, 4)), ("int32", [-1, 1], (-1, 1)), ("float16", None, (-1, 3))],
)  # fmt: skip
def test_other_types_are_scaled(
    dtype: str, given: list[float] | None, limits: tuple[float, float], tmp_path: Path, cell: Path
) -> None:
    data = np.linspace(-1, 3, IMAGE.size).reshape(SHAPE)
    data = (np.rint(data) - (dtype == "uint32") * -1 if dtype[0] in "iu" else data).astype(dtype)
    source = saved(tmp_path / "a.npy", data)
    ingest.run(source=source, volume=cell, intensity_range=given, **GIVEN)
    volume = Volume.open(cell)
    assert volume.intensity_range == limits
    assert volume.dtype == np.uint16
    low, high = limits
    back = volume.raw()[:].astype(float) / 65535 * (high - low) + low
    np.testing.assert_allclose(
        back, np.clip(data.astype(float), low, high), atol=(high - low) / 65535
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_fibseg_volume_can_be_a_source(version: Any, tmp_path: Path, cell: Path) -> None:
    source = saved(tmp_path / "a.npy", IMAGE)
    ingest.run(source=source, volume=cell, ome_version=version, **GIVEN)
    ingest.run(source=cell, volume=tmp_path / "copy.ome.zarr", polarity="dark")
    copy = Volume.open(tmp_path / "copy.ome.zarr")
    assert copy.spacing == (30, 10, 10)
    assert copy.raw_digest == Volume.open(cell).raw_digest


REFUSED: list[tuple[np.ndarray, dict[str, Any], type[FibsegError], str]] = [
    (IMAGE, {"polarity": None}, UsageError, "polarity=.not given. must be dark or bright"),
    (IMAGE, {"spacing": None}, DataError, "does not state the size"),
    (IMAGE, {"spacing": [0, 10, 10]}, UsageError, "above 0"),
    (IMAGE, {"kind": "picture"}, UsageError, "none of image, labels, annotation"),
    (IMAGE, {"name": "x"}, UsageError, "name= means nothing for kind=image"),
    (IMAGE, {"planes": [1], "objects": "components"}, UsageError, "planes=, objects="),
    (IMAGE, {"memory_gb": 0}, UsageError, "leaves no memory"),
    (IMAGE, {"memory_gb": math.inf}, UsageError, "leaves no memory"),
    (IMAGE, {"memory_gb": math.nan}, UsageError, "leaves no memory"),
    (IMAGE, {"ome_version": "0.6"}, UsageError, "none of 0.5, 0.4"),
    (IMAGE, {"volume": "."}, UsageError, "no name of its own"),
    (IMAGE, {"intensity_range": [0, 1]}, UsageError, "stored as it is"),
    (IMAGE * 1.0, {"intensity_range": [2, 1]}, UsageError, "no range"),
    (IMAGE > 9, {}, DataError, "no grey values"),
    (IMAGE * 1j, {}, DataError, "no grey values"),
    (np.full(SHAPE, 7, np.uint8), {}, DataError, "Every voxel .* is 7"),
    (np.full(SHAPE, np.nan), {}, DataError, r"24000 NaN .* first at index \(0, 0, 0\)"),
]


@pytest.mark.parametrize(("data", "keys", "error", "words"), REFUSED)
def test_what_is_refused_leaves_nothing(
    data: np.ndarray, keys: dict[str, Any], error: type[FibsegError], words: str,
    tmp_path: Path, cell: Path,
) -> None:  # fmt: skip
    source = saved(tmp_path / "a.npy", data)
    with pytest.raises(error, match=words):
        ingest.run(**{"source": source, "volume": cell, **GIVEN, **keys})
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_one_infinite_voxel(tmp_path: Path, cell: Path) -> None:
    data = IMAGE.astype(np.float32)
    data[5, 6, 7] = np.inf
    with pytest.raises(DataError, match=r"1 NaN or infinite .* \(5, 6, 7\)"):
        ingest.run(source=saved(tmp_path / "a.npy", data), volume=cell, **GIVEN)
    assert not cell.exists()


def test_a_missing_plane_is_named(tmp_path: Path, cell: Path) -> None:
    numbers = [*range(1, 6), *range(7, 14)]
    with pytest.raises(DataError, match="lacks 1 of its planes: number 6 between 1 and 13"):
        ingest.run(source=folder(tmp_path / "s", IMAGE, numbers), volume=cell, **GIVEN)


def test_a_damaged_plane_leaves_nothing(tmp_path: Path, cell: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, IMAGE, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(source) as tif:
        offset = tif.pages[8].dataoffsets[0] + 300
    content = bytearray(source.read_bytes())
    content[offset] ^= 0xFF
    source.write_bytes(content)
    with pytest.raises(DataError, match="plane 8 cannot be decoded"):
        ingest.run(source=source, volume=cell, **GIVEN)
    assert not cell.exists()


def test_something_else_stands_there(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.npy", IMAGE)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("dear")
    with pytest.raises(ExistsError, match="is no volume of fibseg"):
        ingest.run(source=source, volume=tmp_path / "thesis", overwrite=True, **GIVEN)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "dear"
    with pytest.raises(UsageError, match="both"):
        ingest.run(source=source, volume=source, **GIVEN)


def test_a_volume_with_painting_is_never_advised_away(tmp_path: Path, cell: Path) -> None:
    ingest.run(source=saved(tmp_path / "a.npy", IMAGE), volume=cell, **GIVEN)
    other = saved(tmp_path / "b.npy", IMAGE[:6])
    with pytest.raises(ExistsError, match="overwrite=true"):
        ingest.run(source=other, volume=cell, **GIVEN)
    painted = saved(tmp_path / "p.npy", 2 * (IMAGE > 100).astype(np.uint8))
    ingest.run(source=painted, volume=cell, kind="annotation", name="m", classes={"m": 2})
    for overwrite in (False, True):
        with pytest.raises(ExistsError, match="holds the painting annotation_m") as refused:
            ingest.run(source=other, volume=cell, overwrite=overwrite, **GIVEN)
        assert "overwrite=true" not in str(refused.value)


def test_a_volume_inside_of_another_store_is_refused(tmp_path: Path, cell: Path) -> None:
    source = saved(tmp_path / "a.npy", IMAGE)
    ingest.run(source=source, volume=cell, **GIVEN)
    for inside in ("x.ome.zarr", "labels/x"):
        with pytest.raises(UsageError, match="lies inside of the store"):
            ingest.run(source=source, volume=cell / inside, **GIVEN)
        assert not (cell / inside).exists()


def test_an_interrupted_import_is_continued(
    tmp_path: Path, cell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(tmp_path / "a.npy", IMAGE)

    def interrupted(self: Volume, **_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Volume, "finish_raw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ingest.run(source=source, volume=cell, **GIVEN)
    with pytest.raises(DataError, match="not finished"):
        Volume.open(cell)
    ingest.run(source=source, volume=cell, **GIVEN)
    np.testing.assert_array_equal(Volume.open(cell).raw()[:], IMAGE)
    assert [r["status"] for r in Volume.open(cell).runs()] == ["interrupted", "done"]


def test_the_full_range_is_logged(
    tmp_path: Path, cell: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = saved(tmp_path / "a.npy", IMAGE.astype(np.float32))
    with caplog.at_level(logging.INFO, logger="fibseg"):
        ingest.run(source=source, volume=cell, **GIVEN)
    assert "stored as uint16: 20 to 0, 199 to 65535" in caplog.text


PROGRAM = """
import pathlib, re, sys
from fibseg.pipeline import ingest
ingest.run(source=sys.argv[1], volume=sys.argv[2], spacing=[10, 10, 10], polarity="dark",
           memory_gb=float(sys.argv[3]))
# Not ru_maxrss: that one starts at what the parent had when it forked.
status = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024 / 1e9)
"""


def test_memory_is_kept_to(tmp_path: Path, cell: Path) -> None:
    """0.6 GB of float32, whose slabs of one shard depth have 0.5 GB, in 0.4 GB."""
    shape, memory_gb = (72, 1024, 2048), 0.4
    data = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.float32, shape=shape)
    data[40, 600] = np.arange(shape[2])  # the rest stays a hole in the file
    del data
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.npy"), str(cell), str(memory_gb)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) < memory_gb
    assert Volume.open(cell).raw()[40, 600, 2047] == 65535
