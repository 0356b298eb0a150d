"""A plan says what the command then does: blocks, bytes, memory, disk; and it touches nothing."""

from __future__ import annotations

import functools
import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.blocks import Grid, Processes, Serial
from fibseg.cli.main import main
from fibseg.cli.verbs import VERBS
from fibseg.errors import DataError, RoomError
from fibseg.pipeline import check, evaluate, ingest, objects, phantom, report, verify
from fibseg.pipeline.forecast import forecast
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.rehearsal import peak_memory, rehearse
from fibseg.pipeline.sample import central_blocks
from fibseg.pipeline.sample_import import import_sample
from fibseg.pipeline.samples import SAMPLES
from fibseg.postprocess import closing, components, grow_regions, threshold, watershed
from fibseg.progress import Stage, recorded
from fibseg.volume import Volume

P = functools.partial
SHAPE = (300, 70, 64)
CHAIN = {
    "threshold": P(threshold, level=0.5), "closing": P(closing, radius_nm=30.0),
    "components": P(components, min_voxels=5),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A volume of 5 x 1 x 1 blocks with probabilities, labels, truth and painting."""
    rng = np.random.default_rng(0)
    volume = Volume.create(
        tmp_path_factory.mktemp("plan") / "cell.ome.zarr", shape=SHAPE, dtype=np.uint8,
        spacing=(20.0, 20.0, 20.0), polarity="dark",
    )
    volume.raw()[:] = rng.integers(0, 255, SHAPE, np.uint8)
    finish_raw(volume)
    product = volume.create_probabilities("spots", inputs="spots")
    product.array[:] = 255 * (rng.random(SHAPE) < 0.02).astype(np.uint8)
    finish_product(product)
    for name in ("truth", "other"):
        product = volume.create_labels(name, kind="labels", dtype=np.uint32, inputs=name)
        product.array[:] = np.indices(SHAPE, np.uint32)[0] // 10
        finish_product(product)
    product = volume.create_labels(
        "m", kind="annotation", dtype=np.uint8, inputs="m", classes={"m": 2}
    )
    product.array[::10] = rng.integers(0, 3, (30, *SHAPE[1:]), np.uint8)
    finish_product(product)
    return volume


def stages_of(run, **parts):
    with recorded() as ledger:
        run(**parts)
    return ledger


def everything_in(folder):
    return {
        p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(Path(folder).rglob("*"))
    }


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def refused():
    raise DataError("no.")


def large():
    np.ones(200_000_000, np.uint8)


def objects_parts(store, **others):
    defaults = {"out": None, "blocks": Serial()}
    return {"volume": str(store.path), "name": "spots", "postprocess": CHAIN} | defaults | others


def test_a_plan_names_every_stage_with_the_blocks_and_bytes_that_the_command_then_has(
    store, tmp_path
):
    before = everything_in(store.path)
    plan = forecast("objects", objects.run, objects_parts(store))
    assert everything_in(store.path) == before
    ledger = stages_of(objects.run, **objects_parts(store, out="made"))
    planned = {s.label: s for s in plan.steps}
    for stage in ledger:
        if stage.label.startswith("pyramid"):
            continue  # a sample as small as this one has no coarser level
        step = planned.pop(stage.label)
        if stage.load.grid and stage.load.grid[0] == SHAPE:
            assert step.n_units == stage.n_units == 5, stage.label
        assert step.read_gb == pytest.approx(stage.load.read_bytes / 1e9, rel=0.1), stage.label
        assert step.written_gb == pytest.approx(stage.load.written_bytes / 1e9), stage.label
    assert not planned


def test_a_pass_that_reads_for_itself_says_how_much(store):
    # raw, probabilities, two label images, painting
    size = sum(int(np.prod(SHAPE)) * n for n in (1, 1, 4, 4, 1))
    plan = forecast("verify", verify.run, {"volume": str(store.path), "blocks": Serial()})
    finest = [s.read_gb * 1e9 for s in plan.steps if s.label.endswith("level 0")]
    made = 4 * int(np.prod(SHAPE)) * len([n for n in store.label_names() if n in ("made", "kept")])
    assert sum(finest) == pytest.approx(size + made)


def test_disk_is_that_of_the_products_and_of_what_lies_there_meanwhile(store):
    plan = forecast("objects", objects.run, objects_parts(store))
    objects.run(**objects_parts(store, out="kept"))
    kept = sum(p.stat().st_size for p in (store.path / "labels/kept").rglob("*") if p.is_file())
    assert kept < plan.disk_gb * 1e9 < 4 * kept


@pytest.mark.parametrize(
    ("verb", "run", "parts"),
    [
        ("check", check.run, {}),
        ("verify", verify.run, {"blocks": Serial()}),
        ("report", report.run, {"out": None, "overwrite": False}),
        (
            "evaluate", evaluate.run,
            {"labels": "other", "truth": "truth", "model": None, "without": "m", "out": "x.json"},
        ),
    ],
)
def test_verbs_that_only_read_are_planned_without_a_trace(
    store, tmp_path, monkeypatch, verb, run, parts
):
    monkeypatch.chdir(tmp_path)
    before = everything_in(store.path.parent)
    plan = forecast(verb, run, {"volume": str(store.path), **parts})
    assert everything_in(store.path.parent) == before
    assert not list(tmp_path.iterdir())
    assert plan.seconds > 0
    assert verb == "report" or plan.steps


def test_a_phantom_twice_as_large_needs_eight_times_the_memory_and_disk(tmp_path):
    parts = {"out": str(tmp_path / "cell"), "shape": [64, 96, 96]}
    plan = forecast("phantom", phantom.run, parts)
    assert not (tmp_path / "cell").exists()
    phantom.run(**parts)
    size = sum(p.stat().st_size for p in (tmp_path / "cell").rglob("*") if p.is_file())
    assert plan.disk_gb * 1e9 == pytest.approx(size, rel=0.3)
    assert plan.memory_gb > 0.1


@pytest.mark.parametrize("kind", ["image", "labels", "annotation"])
def test_an_import_is_planned_on_planes_with_something_on_them(store, tmp_path, kind):
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[7] = np.random.default_rng(1).integers(1, 3, SHAPE[1:])
    if kind == "annotation":
        voxels[SHAPE[0] // 2] = 1  # background alone is refused
    np.save(tmp_path / "planes.npy", voxels)
    parts = {
        "source": str(tmp_path / "planes.npy"), "kind": kind, "dataset": None, "array": None,
        "planes": None, "spacing": [20, 20, 20], "trust_spacing": False, "memory_gb": 1.0,
        "blocks": Processes(2),
        "volume": str(tmp_path / "new.ome.zarr" if kind == "image" else store.path),
    }  # fmt: skip
    parts |= {"polarity": "dark"} if kind == "image" else {"name": "new"}
    plan = forecast("import", ingest.run, parts)
    assert (plan.n_workers, plan.memory_gb) == (2, 0.5)
    assert plan.steps[0].n_units == SHAPE[0]
    assert not (tmp_path / "new.ome.zarr").exists()
    assert "new" not in " ".join(store.label_names())


def test_the_sample_of_a_source_is_small(tmp_path, monkeypatch):
    monkeypatch.setattr("fibseg.pipeline.sample_import.SOURCE_BYTES", 3 * 40 * 40)
    np.save(tmp_path / "planes.npy", np.ones((50, 40, 40), np.uint8))
    sample = import_sample(
        {"source": str(tmp_path / "planes.npy"), "kind": "image", "dataset": None, "array": None,
         "planes": None, "spacing": [20, 20, 20], "trust_spacing": False, "memory_gb": 1.0,
         "volume": "new.ome.zarr"},
        tmp_path / "..",
    )  # fmt: skip
    assert np.load(sample.parts["source"]).shape == (3, 40, 40)
    assert sample.factor == pytest.approx(50 / 3)


def test_workers_share_the_time_and_add_up_their_memory(store):
    alone = forecast("objects", objects.run, objects_parts(store))
    shared = forecast("objects", objects.run, objects_parts(store, blocks=Processes(2)))
    assert (alone.n_workers, shared.n_workers) == (1, 2)
    assert alone.all_memory_gb == alone.memory_gb
    assert shared.all_memory_gb > 2 * shared.memory_gb


def test_what_there_is_no_room_for_is_refused_with_both_numbers(store):
    plan = forecast("objects", objects.run, objects_parts(store))
    plan.refuse_without_room()
    with pytest.raises(RoomError, match=r"0\.001 GB are free"):
        replace(plan, memory_free_gb=0.001).refuse_without_room()
    with pytest.raises(RoomError, match=r"0\.0001 GB are free in"):
        replace(plan, disk_gb=1.0, disk_free_gb=0.0001).refuse_without_room()
    replace(plan, memory_free_gb=None).refuse_without_room()


def test_splitting_and_growing_can_be_planned(store):
    """The list of pieces, which is no image, counts among what is read."""
    more = {"watershed": P(watershed, depth_nm=5.0), "grow": P(grow_regions, distance_nm=30.0)}
    plan = forecast("objects", objects.run, objects_parts(store, postprocess=CHAIN | more))
    found = {step.label: step for step in plan.steps}
    assert found["watershed: objects"].read_gb > 0
    assert found["watershed: number"].n_units == found["grow_regions"].n_units == 5


def test_a_rehearsal_that_is_killed_says_what_most_likely_happened(tmp_path):
    with pytest.raises(RoomError, match="want of memory"):
        rehearse(killed, {}, tmp_path, threads=1)


def test_what_the_command_refuses_the_plan_refuses(tmp_path, store):
    with pytest.raises(DataError, match=r"no\."):
        rehearse(refused, {}, tmp_path, threads=1)
    with pytest.raises(DataError, match="no probabilities"):
        forecast("objects", objects.run, objects_parts(store, name="nothing"))


def test_memory_is_that_of_the_rehearsal_alone(tmp_path):
    ballast = np.ones(700_000_000, np.uint8)
    seen = rehearse(large, {}, tmp_path, threads=1)
    assert ballast[0]
    assert 200e6 < seen.memory_bytes < 700e6
    assert seen.idle_bytes < seen.memory_bytes - 190e6
    assert peak_memory() > 700e6


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(4, 60)), min_size=3, max_size=3)
)
def test_a_sample_is_one_or_two_whole_blocks_of_the_volume(axes):
    shape, block = zip(*axes, strict=True)
    box = central_blocks(shape, block)
    boxes = [Grid.over(shape, block).box(i) for i in range(len(Grid.over(shape, block)))]
    inside = [b for b in boxes if b.intersect(box).size]
    assert 1 <= len(inside) <= 2
    assert sum(b.size for b in inside) == box.size


def test_every_verb_can_be_planned():
    # Verbs of several steps plan these, one by one.
    assert {*VERBS} - {"demo", "profile", "cohort"} == {*SAMPLES}


def test_the_command_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "sample"
    assert main(["phantom", f"out={out}", "shape=[32,48,48]", "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert "plan of fibseg phantom" in text
    assert "GB are free in" in text
    assert not out.exists()


def test_the_demo_plans_the_steps_whose_input_is_there(tmp_path, capsys):
    words = ["demo", f"out={tmp_path}/demo", "shape=[32,48,48]", "dry_run=true"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.count("plan of fibseg phantom") == 1
    assert text.count("cannot be planned before") == 17
    assert not (tmp_path / "demo").exists()


def test_what_happens_in_the_first_block_only_is_counted_once():
    stage = Stage("infer", "block", 2, seconds=10.0, first_s=8.0)
    assert stage.once_s == 6.0
    assert Stage("infer", "block", 1, seconds=10.0, first_s=10.0).once_s == 0.0
    assert Stage("infer", "block", 2, seconds=10.0, first_s=2.0).once_s == 0.0
    assert math.isclose(Stage("x", "block", 5, 9.0, 5.0).once_s, 4.0)
