from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import zarr
from scipy import ndimage
from stores import add_painting, untouched

from fibseg.blocks import Processes, Serial
from fibseg.cli import main
from fibseg.errors import BusyError, DataError, ExistsError, UsageError
from fibseg.pipeline import check, distance, report, verify
from fibseg.pipeline.forecast import forecast
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume
from fibseg.volume.lock import Holder, lock_path

SHAPE, SPACING = (70, 90, 80), (20.0, 10.0, 10.0)
CENTRE, RADIUS_NM = (30, 45, 40), 300.0


def ball():
    """A ball of 300 nm (label 4), beside a speck (9)."""
    away = [(n - c) * s for n, c, s in zip(np.indices(SHAPE), CENTRE, SPACING, strict=True)]
    labels = (sum(a**2 for a in away) <= RADIUS_NM**2) * np.uint32(4)
    labels[66, 80, 70] = 9
    return labels


def add_labels(volume, name, data, *, inputs="x", overwrite=False):
    product = volume.create_labels(
        name, kind="labels", dtype=data.dtype, inputs=inputs, overwrite=overwrite
    )
    product.array[:] = data
    finish_product(product)


def make_store(path, version="0.5", labels=None):
    volume = Volume.create(
        path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark", ome_version=version
    )
    volume.raw()[:] = 100
    finish_raw(volume)
    add_labels(volume, "nucleus", ball() if labels is None else labels)
    return volume


@pytest.fixture
def volume(tmp_path):
    return make_store(tmp_path / "cell.ome.zarr")


def run(volume, **change):
    return distance.run(
        volume=str(volume.path), **{"labels": "nucleus", "max_nm": 400.0, **change}
    )


def bytes_of(volume, name="nucleus"):
    folder = volume.path / "distances" / name
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def of_scipy(mask, max_nm):
    outside = ndimage.distance_transform_edt(~mask, sampling=SPACING)
    inside = ndimage.distance_transform_edt(mask, sampling=SPACING)
    return np.clip(np.where(mask, -inside, outside), -max_nm, max_nm)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_signed_distances_are_those_of_scipy(tmp_path, version):
    volume = make_store(tmp_path / "cell.ome.zarr", version)
    result = run(volume)
    np.testing.assert_allclose(volume.distances("nucleus")[:], of_scipy(ball() > 0, 400), rtol=1e-6)
    assert result == {"distances/nucleus": "-400 to 400 nm from the border of labels/nucleus"}
    info = volume.distances_info("nucleus")
    assert (info.kind, info.derived_from) == ("distances", "labels/nucleus")
    assert info.attributes["unit"] == "nanometer"
    assert (info.attributes["max_nm"], info.attributes["signed"]) == (400, True)
    verify.run(volume=volume.path)


def test_of_a_ball_they_are_half_a_voxel_more_than_to_its_surface(tmp_path):
    """Centre to centre, and the surface lies between the two."""
    volume = make_store(tmp_path / "cell.ome.zarr", labels=np.where(ball() == 4, ball(), 0))
    run(volume, max_nm=200)
    away = [(n - c) * s for n, c, s in zip(np.indices(SHAPE), CENTRE, SPACING, strict=True)]
    true = np.sqrt(sum(a**2 for a in away)) - RADIUS_NM
    more = np.abs(volume.distances("nucleus")[:]) - np.abs(true)
    near = np.abs(true) < 180
    assert more[near].min() > -1e-3, "never less than to the surface"
    assert more[near].max() <= np.linalg.norm(SPACING), "at most the diagonal of a voxel"
    assert 0.25 * min(SPACING) < more[near].mean() < 0.5 * max(SPACING)


def test_one_object_unsigned_under_its_own_name(volume):
    run(volume, label=9, signed=False)
    assert volume.distance_names() == ["nucleus_9"]
    expected = np.maximum(of_scipy(ball() == 9, 400), 0)
    np.testing.assert_allclose(volume.distances("nucleus_9")[:], expected, rtol=1e-6)
    run(volume, label=[9, 4], name="both")
    both = volume.distances("both")[:]
    run(volume)
    np.testing.assert_array_equal(volume.distances("nucleus")[:], both)


def test_nothing_intermediate_is_left_and_the_run_is_recorded(volume):
    run(volume, config={"labels": "nucleus"}, overrides=["blocks=serial"])
    hidden = {p.name for p in volume.path.rglob("*") if p.name.startswith(".") or "=" in p.name}
    assert hidden == {".digests"}
    (record,) = volume.runs()
    assert (record["verb"], record["status"]) == ("distance", "done")
    assert record["inputs"] == {"labels/nucleus": volume.labels_info("nucleus").digest}
    assert record["products"] == {"distances/nucleus": volume.distances_info("nucleus").digest}


def test_the_same_again_does_nothing(volume):
    first = run(volume)
    with untouched(volume.path):
        assert run(volume) == first


def test_other_settings_or_labels_derive_it_again(volume):
    run(volume)
    run(volume, max_nm=100)
    assert volume.distances("nucleus")[:].max() == 100
    add_labels(volume, "nucleus", np.roll(ball(), 5, axis=1), inputs="y", overwrite=True)
    with pytest.raises(DataError, match=r"distances/nucleus: stale: .* Run fibseg distance again"):
        verify.run(volume=volume.path)
    run(volume, max_nm=100)
    verify.run(volume=volume.path)
    expected = of_scipy(np.roll(ball(), 5, axis=1) > 0, 100)
    np.testing.assert_allclose(volume.distances("nucleus")[:], expected, rtol=1e-6)


def test_a_map_of_other_labels_is_not_replaced_unless_told(volume):
    add_labels(volume, "cell", (ball() == 0).astype(np.uint32))
    run(volume)
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(volume, labels="cell", name="nucleus")
    assert not (volume.path / ".scratch").exists() or volume.distance_names() == ["nucleus"]
    run(volume, labels="cell", name="nucleus", overwrite=True)
    assert volume.distances_info("nucleus").derived_from == "labels/cell"


def test_a_damaged_map_is_made_again(volume):
    run(volume)
    whole = bytes_of(volume)
    level = volume.path / "distances/nucleus/0"
    next(p for p in level.rglob("*") if p.name == "0" and p.is_file()).unlink()
    run(volume)
    assert bytes_of(volume) == whole


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"labels": "golgi"}, DataError, "labels/golgi .* does not exist"),
        ({"max_nm": 0}, UsageError, "max_nm=0 is no distance"),
        ({"max_nm": -5.0}, UsageError, "max_nm=-5 is no distance"),
        ({"max_nm": float("inf")}, UsageError, "max_nm=inf is no distance"),
        ({"max_nm": 7.0}, UsageError, "less than a voxel of 10 nm"),
        ({"label": 0}, UsageError, "numbered from 1"),
        ({"label": []}, UsageError, "names no objects"),
        ({"label": [1, 2, 3, 4, 5]}, UsageError, "too many to name the map after"),
        ({"name": "../x"}, UsageError, "cannot be the name of a distance map"),
        ({"labels": "annotation_p"}, UsageError, "is an annotation"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_trace(volume, change, error, said):
    add_painting(volume, "p")
    with untouched(volume.path), pytest.raises(error, match=said):
        run(volume, **change)


@pytest.mark.parametrize(
    ("labels", "change", "said"),
    [
        (np.zeros(SHAPE, np.uint32), {}, "no object in labels/nucleus"),
        (np.full(SHAPE, 4, np.uint32), {}, "in labels/nucleus fill the whole volume"),
        (ball(), {"label": [4, 77]}, "no object 77 in labels/nucleus"),
    ],
)
def test_without_a_border_the_map_that_stands_there_stays(tmp_path, labels, change, said):
    volume = make_store(tmp_path / "cell.ome.zarr")
    run(volume, name="n")
    add_labels(volume, "nucleus", labels, inputs="y", overwrite=True)
    with pytest.raises(DataError, match=said):
        run(volume, name="n", **change)
    assert volume.distance_names() == ["n"]
    assert not (volume.path / ".scratch").exists()
    assert volume.runs()[-1]["status"] == "failed"


def test_processes_and_serial_make_the_same_bytes(tmp_path):
    made = []
    for number, runner in enumerate([Serial(), Processes(n_workers=2)]):
        volume = make_store(tmp_path / f"{number}.ome.zarr")
        run(volume, blocks=runner)
        made.append(bytes_of(volume))
    assert made[0] == made[1]


def test_after_sigkill_the_same_command_ends_in_the_same_bytes(tmp_path):
    undisturbed = make_store(tmp_path / "whole.ome.zarr")
    run(undisturbed)
    volume = make_store(tmp_path / "cell.ome.zarr")
    words = ["distance", f"volume={volume.path}", "labels=nucleus", "max_nm=400", "blocks=serial"]
    command, kills = [sys.executable, "-m", "fibseg", *words], 0
    journal = volume.path / "distances" / ".nucleus.journal"
    scratch = volume.path / ".scratch"
    for mark in (
        scratch / ".distances=nucleus=sides.blocks", scratch / ".distances=nucleus=planes.journal",
        journal,
    ):
        victim = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while victim.poll() is None and not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        victim.kill()
        kills += victim.wait() != 0
    assert kills >= 2
    subprocess.run(command, check=True, capture_output=True)
    assert bytes_of(volume) == bytes_of(undisturbed)
    assert not scratch.exists()
    verify.run(volume=volume.path)


def test_what_a_run_left_that_was_killed_after_the_map_was_finished_goes(volume):
    run(volume)
    scratch = volume.scratch("distances/nucleus", "planes", dtype="float32", inputs="a")
    (scratch.path.parent / ".distances=nucleus=sides.blocks").mkdir()
    dead = dataclasses.replace(Holder.this_process(), pid=2**22 - 1, started=0.0)
    lock = lock_path(volume.path / "distances" / "nucleus")
    lock.write_text(json.dumps(dataclasses.asdict(dead)))
    run(volume)
    assert not scratch.path.parent.exists()
    assert not lock.exists()
    verify.run(volume=volume.path)


def test_a_second_run_on_the_same_map_is_refused(volume):
    target = volume.path / "distances" / "nucleus"
    target.parent.mkdir()
    holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
    lock_path(target).write_text(json.dumps(dataclasses.asdict(holder)))
    with pytest.raises(BusyError, match="elsewhere"):
        run(volume)
    assert volume.runs() == []
    lock_path(target).unlink()
    run(volume)


def test_an_edited_map_is_protected(volume):
    run(volume)
    zarr.open_array(volume.path / "distances/nucleus/0", mode="r+")[0, 0, 0] = 7
    with pytest.raises(ExistsError):
        run(volume, max_nm=100)


def test_the_command_and_what_other_verbs_make_of_it(volume, capsys, tmp_path):
    words = ["distance", f"volume={volume.path}", "labels=nucleus", "label=[4]", "max_nm=400"]
    assert main([*words, "blocks=serial"]) == 0
    said = capsys.readouterr().out
    assert "distances/nucleus_4  -400 to 400 nm from the border of labels/nucleus" in said
    assert "distances: nucleus_4" in check.run(volume=volume.path).text()
    report.run(volume=str(volume.path), out=str(tmp_path / "report.html"))
    assert main(["distance", "--help"]) == 0
    assert "negative inside" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{}, {"label": [9], "signed": False}])
def test_a_plan_has_the_blocks_of_the_command_wherever_its_sample_lies(volume, change):
    """The two blocks in the middle may have no object in them, and the volume has its border."""
    parts = {"volume": str(volume.path), "labels": "nucleus", "max_nm": 400.0, "name": None,
             "signed": True, "label": None, "blocks": Serial(), "overwrite": False, **change}
    before = sorted(volume.path.rglob("*"))
    plan = forecast("distance", distance.run, parts)
    assert sorted(volume.path.rglob("*")) == before
    blocks = {step.label: step.n_units for step in plan.steps}
    assert blocks["distance: in planes"] == blocks["distance: across planes"] == 2


def test_verifying_distances_is_planned_too(volume):
    run(volume)
    plan = forecast("verify", verify.run, {"volume": str(volume.path), "blocks": Serial()})
    assert "verify distances/nucleus, level 0" in {step.label for step in plan.steps}
