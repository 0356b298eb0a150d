from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import textwrap
import time
from unittest import mock

import numpy as np
import pytest
import zarr
from stores import untouched

from fibseg.blocks import Processes, Serial
from fibseg.cli import main
from fibseg.errors import DataError, ExistsError, PartlyDoneError, UsageError
from fibseg.measure import regions
from fibseg.pipeline import objects
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import closing, components, fill_holes, remove_small, threshold
from fibseg.volume import Volume
from fibseg.volume.lock import Holder

P = functools.partial
SHAPE, SPACING = (70, 90, 80), (20.0, 20.0, 20.0)


def chain(radius_nm=30.0):
    return {
        "threshold": P(threshold, level=0.5), "remove_small": P(remove_small, min_voxels=20),
        "closing": P(closing, radius_nm=radius_nm), "fill_holes": P(fill_holes),
        "components": P(components, min_voxels=50),
    }


def balls(seed=0, n=12):
    """Probabilities of a few balls with grainy surfaces, holes in some, and specks."""
    rng = np.random.default_rng(seed)
    grid = np.indices(SHAPE)
    probs = rng.integers(0, 110, SHAPE)
    for number in range(n):
        centre = rng.uniform(6, np.array(SHAPE) - 6).reshape(3, 1, 1, 1)
        distance = np.sqrt(((grid - centre) ** 2).sum(axis=0)) + rng.normal(0, 0.4, SHAPE)
        probs[distance < 7] = 220
        if number % 2:
            probs[distance < 2] = 20
    probs[rng.random(SHAPE) < 0.001] = 255
    return probs.astype(np.uint8)


def store(path, **maps):
    volume = Volume.create(
        path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    volume.raw()[:] = 100
    finish_raw(volume)
    for name, probs in maps.items():
        product = volume.create_probabilities(name, inputs=f"made of {name}")
        product.array[:] = probs
        finish_product(product)
    return volume


@pytest.fixture
def volume(tmp_path):
    return store(tmp_path / "cell.ome.zarr", mitochondria=balls())


def run(volume, **change):
    plan = {"name": "mitochondria", "postprocess": chain(), **change}
    return objects.run(volume=str(volume.path), **plan)


def bytes_of(volume, *names):
    """Every file of the named products and tables."""
    files = [
        file for name in names
        for folder in (volume.path / "labels" / name, volume.path / "tables")
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (folder.name != "tables" or file.stem == name)
    ]
    return {str(file.relative_to(volume.path)): file.read_bytes() for file in files}


def test_objects_are_those_of_the_array_functions(volume):
    result = run(volume)
    expected = balls()
    for fn in chain().values():
        takes = {} if fn.func is threshold else {"spacing": SPACING}
        expected = fn(expected, **takes)
    np.testing.assert_array_equal(volume.labels("mitochondria")[:], expected)
    table = volume.table("mitochondria")
    for name, column in regions.measure(expected, spacing=SPACING).items():
        np.testing.assert_array_equal(table[name], column)
    n = int(expected.max())
    assert n > 3
    assert result["labels/mitochondria"]["n_objects"] == n
    info = volume.labels_info("mitochondria")
    assert (info.kind, info.derived_from) == ("labels", "probabilities/mitochondria")
    assert volume.table_info("mitochondria")["labels_digest"] == info.digest


def test_the_run_is_recorded(volume):
    run(volume, config={"name": "mitochondria"}, overrides=["blocks=serial"])
    (record,) = volume.runs()
    assert (record["verb"], record["status"]) == ("objects", "done")
    assert record["overrides"] == ["blocks=serial"]
    assert record["products"] == {
        "labels/mitochondria": volume.labels_info("mitochondria").digest
    }


def test_nothing_intermediate_is_left(volume):
    run(volume)
    hidden = {p.name for p in volume.path.rglob("*") if p.name.startswith(".") or "=" in p.name}
    assert hidden == {".digests"}


def test_the_same_again_does_nothing(volume):
    first = run(volume)
    with untouched(volume.path):
        assert run(volume) == first


def test_other_settings_derive_the_objects_again(volume):
    run(volume)
    before = volume.labels("mitochondria")[:]
    run(volume, postprocess=chain(radius_nm=60.0))
    after = volume.labels("mitochondria")[:]
    assert (after > 0).sum() > (before > 0).sum()
    digest = volume.labels_info("mitochondria").digest
    assert volume.table_info("mitochondria")["labels_digest"] == digest


def test_labels_of_another_origin_are_not_replaced(volume):
    product = volume.create_labels("mitochondria", kind="labels", dtype=np.uint32, inputs="mine")
    product.array[:] = 1
    finish_product(product)
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(volume)
    run(volume, overwrite=True)
    assert volume.labels_info("mitochondria").derived_from


def test_a_lost_table_is_measured_again(volume):
    run(volume)
    before = bytes_of(volume, "mitochondria")
    (volume.path / "tables" / "mitochondria.parquet").unlink()
    run(volume)
    assert bytes_of(volume, "mitochondria") == before


def test_what_a_run_left_that_was_killed_at_its_very_end_goes_with_the_next(volume):
    run(volume)
    before = bytes_of(volume, "mitochondria")
    (volume.path / "tables" / "mitochondria.parquet").unlink()
    volume.scratch("labels/mitochondria", "3-closing", dtype=np.uint8)
    run(volume)
    assert not (volume.path / ".scratch").exists()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock = volume.path / "labels" / ".mitochondria.lock"
    holder = dataclasses.replace(Holder.this_process(), pid=gone.pid)
    lock.write_text(json.dumps(dataclasses.asdict(holder)))
    run(volume)
    assert not lock.exists()
    assert bytes_of(volume, "mitochondria") == before


def test_each_class_of_a_model_is_a_label_image(tmp_path):
    volume = store(tmp_path / "cell.ome.zarr", em_er=balls(1), em_golgi=balls(2))
    result = run(volume, name="em")
    assert sorted(result) == ["labels/em_er", "labels/em_golgi"]
    assert volume.label_names() == volume.table_names() == ["em_er", "em_golgi"]
    assert sorted(run(volume, name="em", out="clean")) == ["labels/clean_er", "labels/clean_golgi"]


def test_missing_probabilities_are_named(volume):
    with pytest.raises(DataError, match="no probabilities 'nucleus'; it has mitochondria"):
        run(volume, name="nucleus")


def test_a_beginning_that_several_models_share_is_no_name(tmp_path):
    volume = store(tmp_path / "cell.ome.zarr")
    for number in (1, 2):
        product = volume.create_probabilities(
            f"m_v{number}", inputs=f"{number}", attributes={"model_digest": f"{number}"}
        )
        product.array[:] = balls(number)
        finish_product(product)
    with pytest.raises(DataError, match="several models: m_v1, m_v2"):
        run(volume, name="m")
    assert list(run(volume, name="m_v2")) == ["labels/m_v2"]


def test_a_bad_setting_leaves_no_trace(volume):
    before = sorted(volume.path.rglob("*"))
    with pytest.raises(UsageError, match="radius_nm=-5"):
        run(volume, postprocess=chain(radius_nm=-5.0))
    assert sorted(volume.path.rglob("*")) == before


def test_processes_and_serial_make_the_same_bytes(tmp_path):
    made = []
    for number, runner in enumerate([Serial(), Processes(n_workers=2)]):
        volume = store(tmp_path / f"{number}.ome.zarr", mitochondria=balls())
        run(volume, blocks=runner)
        made.append(bytes_of(volume, "mitochondria"))
    assert made[0] == made[1]


SCRIPT = """
    import sys, functools
    import numpy as np
    from fibseg.blocks import Processes, Serial
    from fibseg.pipeline import objects
    from fibseg.postprocess import closing, components, fill_holes, remove_small, threshold

    if __name__ == "__main__":
        P = functools.partial
        objects.run(volume=sys.argv[1], name="mitochondria", blocks=Serial(),
            postprocess={
                "threshold": P(threshold, level=0.5),
                "remove_small": P(remove_small, min_voxels=20),
                "closing": P(closing, radius_nm=30.0), "fill_holes": P(fill_holes),
                "components": P(components, min_voxels=50),
            })
"""


def test_after_sigkill_the_same_command_ends_in_the_same_bytes(tmp_path):
    undisturbed = store(tmp_path / "whole.ome.zarr", mitochondria=balls())
    run(undisturbed)
    volume = store(tmp_path / "cell.ome.zarr", mitochondria=balls())
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(volume.path)]
    kills = 0
    for wanted in ("1-remove_small", "3-fill_holes", "labels"):
        victim = subprocess.Popen(command)
        marks = (f".labels=mitochondria={wanted}", f"labels=mitochondria={wanted}")
        deadline = time.monotonic() + 30
        while victim.poll() is None and time.monotonic() < deadline:
            scratch = volume.path / ".scratch"
            names = [p.name for p in scratch.iterdir()] if scratch.is_dir() else []
            if any(name.startswith(marks) for name in names):
                break
            time.sleep(0.002)
        victim.kill()
        kills += victim.wait() != 0
        time.sleep(0.2)
    assert kills >= 2
    subprocess.run(command, check=True)
    assert bytes_of(volume, "mitochondria") == bytes_of(undisturbed, "mitochondria")
    assert not (volume.path / ".scratch").exists()


def test_labels_that_somebody_edited_are_not_replaced(volume):
    run(volume)
    path = volume.path / "labels" / "mitochondria" / "0"
    array = zarr.open_array(path, mode="r+")
    array[0, 0, 0] = 7
    with pytest.raises(ExistsError):
        run(volume, postprocess=chain(radius_nm=60.0))


def test_damaged_labels_are_an_error(volume):
    run(volume)
    shard = next(p for p in (volume.path / "labels/mitochondria/0/c").rglob("*") if p.is_file())
    shard.unlink()
    with pytest.raises(DataError):
        run(volume)


def test_a_damaged_chunk_of_the_probabilities_is_named(volume, capsys):
    folder = volume.path / "probabilities" / "mitochondria" / "0" / "c"
    shard = max(p for p in folder.rglob("*") if p.is_file())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:])
    words = ["objects", f"volume={volume.path}", "name=mitochondria", "blocks=serial"]
    assert main(words) == 3
    *_, last = capsys.readouterr().err.splitlines()
    assert f"{shard} is damaged: voxels (" in last
    assert "'fibseg verify' names all of it" in last
    shard.write_bytes(whole)
    assert main(words) == 0


def test_a_failing_step_is_recorded_and_the_same_command_goes_on(volume, monkeypatch):
    broken = mock.Mock(side_effect=PartlyDoneError("one block failed"))
    with monkeypatch.context() as patch:
        patch.setattr(objects, "find_objects", broken)
        with pytest.raises(PartlyDoneError):
            run(volume)
    assert volume.runs()[0]["status"] == "partly done"
    assert "mitochondria" not in volume.label_names()
    assert run(volume)["labels/mitochondria"]["n_objects"] > 3
