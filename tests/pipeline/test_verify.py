"""`fibseg verify` finds every damage there is, names it, and finds nothing in a whole store."""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import block_work
import numpy as np
import pytest
import zarr
from stores import untouched

from fibseg.blocks import Block, Processes, Serial, map_blocks
from fibseg.cli import main
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.pipeline import distance, objects, pyramid, verify
from fibseg.pipeline.pyramid import Reduced, finish_product, finish_raw
from fibseg.postprocess import components, threshold
from fibseg.volume import Volume
from fibseg.volume.layout import array_files
from fibseg.volume.lock import Holder, locked
from fibseg.volume.pyramid import KERNELS

SHAPE = (66, 150, 12)
CHAIN = {
    "threshold": functools.partial(threshold, level=0.6),
    "components": functools.partial(components, min_voxels=3),
}
N_FLIPS = 60


def image(seed: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, SHAPE).astype(dtype)


def add(volume: Volume, kind: str, name: str, data: np.ndarray, **more: object) -> None:
    if kind == "probabilities":
        product = volume.create_probabilities(name, inputs="x", **more)
    else:
        product = volume.create_labels(name, kind=kind, dtype=data.dtype, inputs="x", **more)
    product.array[:] = data
    finish_product(product)


def derive(volume: Volume) -> None:
    objects.run(volume=str(volume.path), name="m", postprocess=CHAIN)


def build(path: Path, version: str) -> Volume:
    """A store with a product of every kind, two shards and two levels each."""
    volume = Volume.create(
        path, shape=SHAPE, dtype="uint8", spacing=(10, 10, 10), polarity="dark",
        ome_version=version,
    )
    volume.raw()[:] = image(0)
    finish_raw(volume)
    add(volume, "annotation", "m", image(1) % 3, classes={"m": 2})
    add(volume, "labels", "truth", image(2, "uint32"))
    add(volume, "probabilities", "m", image(3))
    derive(volume)
    distance.run(volume=str(path), labels="truth", max_nm=50)
    return volume


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return {v: build(folder / f"{v}.ome.zarr", v).path for v in ("0.5", "0.4")}


@pytest.fixture(params=["0.5", "0.4"])
def store(request: pytest.FixtureRequest, whole: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole[request.param], tmp_path / "cell.ome.zarr"))


def found(store: Path, **more: object) -> list[str]:
    return [str(finding) for finding in verify.verify(store, **more).findings]


def shard(store: Path, product: str, *, level: int = 0, last: bool = False) -> Path:
    path = store / product.replace("raw", ".") / str(level)
    files = [file for file, _ in array_files(path, zarr.open_array(path, mode="r"))]
    return files[-1 if last else 0]


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position // 8] ^= 1 << position % 8
    file.write_bytes(bytes(data))


# --- whole stores ----------------------------------------------------------------------------


def test_a_whole_store_passes_and_every_product_was_read(store: Path) -> None:
    with untouched(store):
        report = verify.run(volume=store)
    assert sorted(report.checked) == sorted([*PRODUCTS, "tables/m"])
    assert report.findings == report.notes == []
    assert report.text().endswith("everything is as it was written")


def test_processes_find_the_same(store: Path) -> None:
    assert found(store, runner=Processes(2)) == []
    shard(store, "labels/m").unlink()
    flip(shard(store, "raw", last=True), 400)
    serial = found(store)
    assert len(serial) == 2
    assert found(store, runner=Processes(2)) == serial


def test_there_must_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no volume at"):
        verify.run(volume=tmp_path / "nothing.ome.zarr")
    with pytest.raises(DataError, match="is no volume of fibseg"):
        verify.run(volume=tmp_path)


def test_the_command_prints_all_findings_and_ends_in_65(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", f"volume={store}", "blocks=serial"]
    assert main(words) == 0
    assert "everything is as it was written" in capsys.readouterr().out
    shard(store, "raw").unlink()
    shard(store, "labels/truth", level=1).unlink()
    assert main(words) == 65
    printed = capsys.readouterr().err
    assert "raw: 0/" in printed
    assert "labels/truth: 1/" in printed
    assert "2 findings" in printed
    assert "Traceback" not in printed


# --- damaged voxels --------------------------------------------------------------------------

PRODUCTS = [
    "raw", "labels/m", "labels/annotation_m", "labels/truth", "probabilities/m", "distances/truth",
]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_missing_file_is_named(store: Path, product: str, level: int) -> None:
    file = shard(store, product, level=level, last=True)
    file.unlink()
    (finding,) = found(store)
    where = file.relative_to(store / product.replace("raw", "."))
    assert finding.startswith(f"{product}: {where} is missing. ")


def test_a_missing_file_of_zeros_is_found_too(store: Path) -> None:
    volume = Volume(store)
    add(volume, "labels", "empty", np.zeros(SHAPE, np.uint32))
    shard(store, "labels/empty").unlink()
    (finding,) = found(store)
    assert "is missing" in finding


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_box_written_behind_the_back_of_fibseg_is_named(
    store: Path, product: str, level: int
) -> None:
    path = store / product.replace("raw", ".") / str(level)
    array = zarr.open_array(path, mode="r+")
    last = tuple(n - 1 for n in array.shape)
    array[last] = array[last] == 0
    (finding,) = found(store)
    start = (array.shape[0] - 1) // 64 * 64
    assert finding.startswith(
        f"{product}: level {level} at [{start}:{array.shape[0]}, 0:{array.shape[1]}"
    )
    assert "holds other voxels than were written" in finding


def test_a_cut_off_file_and_an_old_one_are_found(store: Path) -> None:
    first, last = shard(store, "labels/truth"), shard(store, "labels/truth", last=True)
    first.write_bytes(first.read_bytes()[:-20])
    last.write_bytes(shard(store, "labels/m", last=True).read_bytes())
    cut, old = found(store)
    assert "cannot be decoded" in cut
    assert str(first.relative_to(store / "labels" / "truth")) in cut
    assert "at [64:66, 0:150, 0:12] can be read, but holds other voxels" in old


# --- levels that do not follow from each other -----------------------------------------------


def with_stale_level(volume: Volume, kind: str, number: int, change: tuple[int, ...]) -> str:
    """A product with one wrong voxel in a level, which was written and recorded in good order."""
    if kind == "probabilities":
        product = volume.create_probabilities("bad", inputs="x")
    else:
        dtype = "uint8" if kind == "annotation" else "uint32"
        product = volume.create_labels("bad", kind=kind, dtype=dtype, inputs="x")
    product.array[:] = np.random.default_rng(0).integers(0, 99, product.array.shape)
    plan = product.pyramid
    pyramid.note_finest(plan)
    for n in range(1, len(plan.levels)):
        finer = plan.array(n - 1)[:]
        coarse = Reduced(finer, KERNELS[kind], plan.levels[n].factors)
        box = Box.whole(plan.levels[n].shape)
        voxels = coarse(block=Block(0, box, box))
        if n == number:
            voxels[change] ^= 1
        target = plan.array(n)
        target.keep(target.commit(box, voxels))
    product.finish()
    return str(product.path.relative_to(volume.path))


@pytest.mark.parametrize("kind", ["labels", "annotation", "probabilities"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_level_that_is_not_made_of_the_finer_one_is_found(
    tmp_path: Path, kind: str, number: int
) -> None:
    volume = Volume.create(
        tmp_path / "v.ome.zarr", shape=(20, 300, 12), dtype="uint8", spacing=(10, 10, 10),
        polarity="dark",
    )
    volume.raw()[:] = 1
    finish_raw(volume)
    name = with_stale_level(volume, kind, number, (2, 3, 1))
    (finding,) = found(volume.path)
    assert finding.startswith(f"{name}: level {number} at [0:")
    assert "does not follow from the finer level" in finding
    assert found(volume.path, runner=Processes(2)) == [finding]


def test_the_stale_box_is_named(tmp_path: Path) -> None:
    volume = Volume.create(
        tmp_path / "v.ome.zarr", shape=(300, 9, 12), dtype="uint8", spacing=(10, 10, 10),
        polarity="dark",
    )
    volume.raw()[:] = 1
    finish_raw(volume)
    with_stale_level(volume, "labels", 1, (149, 0, 0))
    (finding,) = found(volume.path)
    assert "level 1 at [128:150, 0:5, 0:6] does not follow" in finding


def test_what_is_damaged_is_not_called_stale_too(store: Path) -> None:
    shard(store, "labels/truth", level=1).unlink()
    flip(shard(store, "raw", level=1), 400)
    assert not any("follow" in finding for finding in found(store))


# --- a flipped bit, anywhere -----------------------------------------------------------------


def voxels(store: Path) -> list[np.ndarray]:
    paths = [store / product.replace("raw", ".") / level for product in PRODUCTS for level in "01"]
    return [zarr.open_array(path, mode="r")[:] for path in paths]


def kinds(store: Path) -> dict[str, list[Path]]:
    """Every file of a store but the logs, by kind."""
    files = [p for p in store.rglob("*") if p.is_file() and p.name != "log.txt"]
    found: dict[str, list[Path]] = {}
    for file in sorted(files):
        kind = "chunk" if file.name.isdigit() else file.name
        found.setdefault("table" if file.suffix == ".parquet" else kind, []).append(file)
    return found


def test_a_flipped_bit_in_any_kind_of_file_is_found(store: Path) -> None:
    rng = random.Random(0)
    by_kind = kinds(store)
    assert {"chunk", ".digests", "table", "run.json"} < set(by_kind)
    good = voxels(store)
    missed, harmless = [], 0
    for n in range(N_FLIPS):
        file = rng.choice(by_kind[sorted(by_kind)[n % len(by_kind)]])
        before = file.read_bytes()
        position = rng.randrange(8 * len(before))
        flip(file, position)
        if not found(store):
            # A bit that no decoder looks at changes no voxel.
            same = file.name.isdigit() and all(map(np.array_equal, good, voxels(store)))
            harmless += same
            missed += [] if same else [(str(file.relative_to(store)), position)]
        file.write_bytes(before)
    assert missed == []
    assert harmless <= 2
    assert found(store) == []


@pytest.mark.parametrize("name", ["zarr.json", ".digests", ".zattrs", ".zgroup"])
def test_lost_metadata_is_found(store: Path, name: str) -> None:
    for folder in (store, store / "labels" / "m", store / "labels"):
        file = folder / name
        if file.is_file():
            before = file.read_bytes()
            file.unlink()
            findings = found(store)
            assert any("missing" in f or "does not list" in f for f in findings), file
            file.write_bytes(before)
    assert found(store) == []


def test_voxels_are_judged_without_their_list_of_digests(store: Path) -> None:
    (store / "labels" / "truth" / ".digests").unlink()
    (finding,) = found(store)
    assert "the list of digests" in finding
    zarr.open_array(store / "labels" / "truth" / "1", mode="r+")[0, 0, 0] = 99
    _, changed = found(store)
    assert "labels/truth: level 1 can be read, but holds other voxels" in changed


# --- products that do not fit each other ------------------------------------------------------


def test_a_table_of_other_labels_is_found(store: Path) -> None:
    volume = Volume(store)
    volume.write_table("m", volume.table("m"), labels_digest="0" * 64)
    volume.write_table("strange", volume.table("m"), labels_digest="1" * 64)
    volume.write_table("good", volume.table("m"), labels_digest=volume.labels_info("truth").digest)
    other, strange = found(store)
    assert other.startswith("tables/m: stale: it was measured on other labels/m")
    assert strange.startswith("tables/strange: stale: the labels it was measured on are not there")


def test_labels_of_changed_probabilities_are_found_until_they_are_derived_again(
    store: Path,
) -> None:
    volume = Volume(store)
    volume_probs = volume.create_probabilities("m", inputs="other", overwrite=True)
    volume_probs.array[:] = image(7)
    assert verify.verify(store).notes == [
        "probabilities/m: is not finished; its command continues there"
    ]
    finish_product(volume_probs)
    (finding,) = found(store)
    assert finding.startswith("labels/m: stale: probabilities/m has changed since")
    derive(Volume(store))
    assert found(store) == []


@pytest.mark.parametrize("name", ["labels/m/0", "tables/m.parquet", "labels"])
def test_the_remedy_for_what_fibseg_made_works(store: Path, name: str) -> None:
    for file in [store / name] if name.startswith("tables") else (store / name).rglob("*"):
        if file.is_file() and (name != "labels" or file.parent == store / "labels"):
            flip(file, 300 % (8 * file.stat().st_size))
    findings = verify.verify(store).findings
    assert findings
    remedies = {finding.remedy for finding in findings}
    assert len(remedies) == 1
    remedy = remedies.pop()
    if name == "labels":
        command = remedy.partition("Remove it: ")[2].partition(";")[0]
        subprocess.run(command, shell=True, check=True)
        shutil.rmtree(store / "labels" / "m")
    else:
        path = remedy.partition("emove ")[2].partition(" and run fibseg objects again")[0]
        subprocess.run(f"rm -r {path}", shell=True, check=True)
    derive(Volume(store))
    assert found(store) == []


def test_a_lost_product_is_told(store: Path) -> None:
    shutil.rmtree(store / "probabilities" / "m")
    report = verify.verify(store)
    assert report.findings == []
    assert report.notes == [
        "labels/m: probabilities/m, which it was derived from, is not in the store"
    ]
    shutil.rmtree(store / "labels" / "truth")
    (finding,) = found(store)
    assert finding.startswith("labels: its metadata is damaged, or does not list what is there")


def test_what_others_put_there_is_said_and_let_be(store: Path) -> None:
    zarr.create_group(store / "labels" / "mine")
    (store / "notes.txt").write_text("remember the milk")
    report = verify.verify(store)
    assert report.findings == []
    assert report.notes == ["labels/mine: was not made by fibseg, and is not checked"]


# --- unfinished products and leftovers --------------------------------------------------------


def test_an_unfinished_product_is_said_and_no_error(store: Path) -> None:
    volume = Volume(store)
    product = volume.create_labels("half", kind="labels", dtype="uint32", inputs="a")
    product.array[:64] = 1
    product.journal_path.write_text("")
    shard(store, "labels/half").with_name("0.0123456789abcdef.partial").touch()
    volume.scratch("labels/half", "1-closing", dtype="uint8", inputs="a")
    (store / ".scratch" / ".labels=half=1-closing.blocks").mkdir()
    (store / "labels" / "half" / f".1.{dead()}.partial").mkdir()
    report = verify.run(volume=store)
    assert report.notes == ["labels/half: is not finished; its command continues there"]
    product.array[64:] = 1
    finish_product(product)
    shutil.rmtree(store / ".scratch")
    assert found(store) == []


def dead() -> str:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{process.pid}-0a1b2c3d"


LEFTOVERS = [
    "labels/.m.journal", ".raw.journal", "labels/m/.zarr.json.{}.partial", ".slab.{}.partial",
    "labels/.new.{}.partial/0/zarr.json", "tables/.m.parquet.{}.partial",
    ".scratch/labels=m=2-fill/0/c", "runs/.x.{}.partial", "labels/m/0/c.0123abcd.partial",
    ".scratch/.labels=m=2-fill.journal", "../.cell.ome.zarr.{}.partial", "labels/.gone.journal",
    "labels/.m.lock",
]


@pytest.mark.parametrize("name", LEFTOVERS)
def test_leftovers_of_dead_runs_are_found_and_the_remedy_works(store: Path, name: str) -> None:
    file = store / name.format(dead())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("half a")
    (finding,) = found(store)
    assert "was left by a run that is gone" in finding
    subprocess.run(finding.partition("Remove it: ")[2].removesuffix("."), shell=True, check=True)
    assert not file.exists()
    assert found(store) == []


def test_files_of_a_run_at_work_are_none(store: Path) -> None:
    (store / "labels" / f".m.{os.getpid()}-0a1b2c3d.partial").touch()
    with locked(store / "labels" / "m"):
        report = verify.verify(store)
    assert report.findings == []
    assert report.notes[0].startswith(f"labels/m: is being written by process {os.getpid()}")


def test_a_lock_of_a_dead_run_is_found(store: Path) -> None:
    with locked(store / "labels" / "m"):
        text = (store / "labels" / ".m.lock").read_text()
    assert Holder.this_process().pid == os.getpid()
    number = dead().partition("-")[0]
    (store / "labels" / ".m.lock").write_text(text.replace(str(os.getpid()), number))
    (finding,) = found(store)
    assert finding.startswith("labels/m: cell.ome.zarr/labels/.m.lock was left by a run")


# --- killed and resumed -----------------------------------------------------------------------

KILLED = """
import sys
import block_work
from fibseg.blocks import map_blocks
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume
volume = Volume.open(sys.argv[1])
product = volume.create_labels("slow", kind="labels", dtype="uint32", inputs="a")
map_blocks(
    block_work.Poisoned(seconds=0.3), volume.raw(), product.array, block_shape=product.block_shape,
    journal=product.journal_path, fingerprint="a",
)
finish_product(product)
"""


def slow(volume: Volume) -> None:
    product = volume.create_labels("slow", kind="labels", dtype="uint32", inputs="a")
    map_blocks(
        block_work.Poisoned(), volume.raw(), product.array, block_shape=product.block_shape,
        journal=product.journal_path, fingerprint="a", runner=Serial(),
    )
    finish_product(product)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_store_passes_after_kill_and_resume(store: Path, tmp_path: Path) -> None:
    calm = Path(shutil.copytree(store, tmp_path / "calm.ome.zarr"))
    environment = {**os.environ, "PYTHONPATH": str(Path(block_work.__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(store)], env=environment)
    block_work.kill_at(process, store / "labels" / ".slow.journal")
    report = verify.run(volume=store)
    assert report.notes == ["labels/slow: is not finished; its command continues there"]
    slow(Volume.open(store))
    slow(Volume.open(calm))
    assert verify.run(volume=store).notes == []
    for file in (calm / "labels" / "slow").rglob("*"):
        other = store / "labels" / "slow" / file.relative_to(calm / "labels" / "slow")
        assert file.is_dir() or other.read_bytes() == file.read_bytes(), file
