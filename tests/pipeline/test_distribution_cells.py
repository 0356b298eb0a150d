"""Of several cells each is done once, and the cell is the unit of what compares their sections."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from pore_stores import BRIEF, nucleus_store, pore_store, pores_on, run
from small_cells import add_labels
from stores import untouched
from surfaces import two_lobes

from fibseg.cli.main import main
from fibseg.errors import DataError, DiskFullError, ExistsError, PartlyDoneError, UsageError
from fibseg.measure.paired_cells import compared_cells
from fibseg.pipeline.distribution import planned
from fibseg.pipeline.steps import Step
from fibseg.volume import Volume


def lobes(flipped=False):
    """A nucleus whose larger lobe lies first or last along y."""
    nucleus = two_lobes(spacing=(40.0, 40.0, 40.0))
    return np.ascontiguousarray(nucleus[:, ::-1]) if flipped else nucleus


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Three cells; the last has no furrow."""
    folder = tmp_path_factory.mktemp("cells")
    stores = []
    for number, n in enumerate((60, 80)):
        nucleus = lobes(flipped=number == 1)
        pores = pores_on(nucleus, n, seed=number)
        stores.append(nucleus_store(folder / f"{'ab'[number]}.ome.zarr", nucleus, pores=pores))
    round_one = lobes()
    round_one[:, round_one.shape[1] // 2 + 5 :] = False
    round_one = np.pad(round_one, 3)
    stores.append(nucleus_store(
        folder / "round.ome.zarr", round_one, pores=pores_on(round_one, 30)
    ))
    return stores


def together(stores, **change):
    return run(stores[0], volume=[str(s.path) for s in stores], **change)


@pytest.fixture(scope="module")
def compared(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "deep" / "cells"
    return together(cells, out=str(out)), out


def test_each_cell_is_done_and_the_pairs_are_those_of_its_sections(cells, compared):
    found, _ = compared
    pairs = {1: [], 2: []}
    for store, row in zip(cells[:2], found["cells"], strict=False):
        table = store.table("pores")
        for number, values in pairs.items():
            mine = table["mean_distance_8_um"][table["section"] == number]
            values.append(mine.mean())
            assert row[f"mean_distance_8_um_{number}"] == pytest.approx(mine.mean())
            assert row[f"n_objects_{number}"] == len(mine)
    known = compared_cells(np.array(pairs[1]), np.array(pairs[2]))
    eight = found["comparisons"]["mean_distance_8_um"]
    assert (eight["n_cells"], eight["signs_p"], eight["smallest_p"]) == (2, known.signs_p, 0.5)
    assert (eight["difference"], eight["low"]) == pytest.approx((known.difference, known.low))
    assert eight["pooled"]["n_1"] + eight["pooled"]["n_2"] == 60 + 80
    rates = found["comparisons"]["objects_per_um2"]
    a, b = found["cells"][:2]
    assert rates["difference"] == pytest.approx(np.mean([
        c["n_objects_1"] / c["area_um2_1"] - c["n_objects_2"] / c["area_um2_2"] for c in (a, b)
    ]))
    assert rates["pooled"] is None


def test_section_1_is_the_larger_in_every_cell_wherever_it_lies(cells, compared):
    first, second = (
        s.table("pores")["centroid_y_um"][s.table("pores")["section"] == 1].mean()
        for s in cells[:2]
    )
    assert first < 2.2 < 2.4 < second  # of a volume of 4.6 µm
    assert all(row["area_um2_1"] > row["area_um2_2"] for row in compared[0]["cells"][:2])
    assert "section 1 is the one with more envelope" in compared[0].text()


def test_it_says_what_so_few_cells_cannot_show(compared):
    text = compared[0].text()
    assert "round  left out: the nucleus has no furrow" in text
    assert "2 cells with two sections: no p below 0.5 can be reached; at least 6" in text
    assert "not independent: no evidence" in text
    assert "nearly equal" not in text


def test_files_hold_the_same(compared):
    found, out = compared
    kept = json.loads((out / "comparison.json").read_text())
    assert kept == dict(found)
    rows = list(csv.DictReader((out / "cells.csv").read_text().splitlines()))
    assert [row["cell"] for row in rows] == ["a", "b", "round"]
    assert float(rows[1]["area_um2_2"]) == found["cells"][1]["area_um2_2"]
    assert rows[2]["mean_distance_8_um_1"] == ""


def test_the_same_again_does_nothing(cells, compared, caplog):
    found, out = compared
    before = (out / "comparison.json").stat().st_mtime_ns
    bytes_before = (out / "comparison.json").read_bytes()
    with untouched(cells[0].path), untouched(cells[2].path):
        again = together(cells, out=str(out))
    assert caplog.text.count("there already") == 3
    assert dict(again) == dict(found)
    assert (out / "comparison.json").read_bytes() == bytes_before
    assert before <= (out / "comparison.json").stat().st_mtime_ns


def test_a_cell_that_was_done_alone_is_not_done_again(cells, compared, caplog):
    run(cells[1])
    assert "there already" in caplog.text
    record = [r for r in cells[1].runs() if r["verb"] == "distribution"]
    assert len(record) == 1


def test_other_cells_do_not_replace_a_comparison(cells, compared):
    _, out = compared
    with untouched(out), pytest.raises(ExistsError, match="other cells or settings"):
        together(cells[:2], out=str(out))
    with untouched(out), pytest.raises(ExistsError, match="other cells or settings"):
        together(cells, out=str(out), sections=replace(BRIEF, seed=3))


def test_overwrite_replaces_it(cells, compared, tmp_path):
    together(cells, out=str(tmp_path))
    found = together(cells[:2], out=str(tmp_path), overwrite=True)
    assert len(found["cells"]) == 2
    assert json.loads((tmp_path / "comparison.json").read_text()) == dict(found)


def test_sections_of_nearly_one_size_are_named(tmp_path):
    body = lobes()
    half = body[:, : body.shape[1] // 2 - 1]
    equal = np.concatenate([half, half[:, ::-1]], axis=1)
    stores = [
        nucleus_store(tmp_path / f"{k}.ome.zarr", n, pores=pores_on(n, 30))
        for k, n in (("even", equal), ("uneven", body))
    ]
    found = together(stores)
    assert [row["nearly_equal"] for row in found["cells"]] == [True, False]
    assert "may be chance: even\n" in found.text()


def test_cells_of_one_name_are_told_by_their_paths(tmp_path):
    stores = [pore_store(tmp_path / k / "cell.ome.zarr", 12) for k in "ab"]
    found = together(stores)
    assert [row["cell"] for row in found["cells"]] == [str(s.path) for s in stores]


def test_no_furrow_anywhere_compares_nothing(cells):
    body = Volume.open(cells[2].path)
    found = together([body, cells[0]], sections=replace(BRIEF, split="none"))
    assert "no cell has two sections: nothing is compared" in found.text()
    assert found["comparisons"]["mean_distance_8_um"]["n_cells"] == 0
    together(cells)  # as the others expect it


@pytest.mark.parametrize(("change", "why"), [
    ({"csv": "t.csv"}, "one file"),
    ({"sections": replace(BRIEF, split="plane", point_um=[1, 1, 1], normal=[0, 1, 0])},
     "places of its own"),
    ({"on": "nuclei"}, "nuclei"),
])
def test_what_cannot_be_meant_for_several_is_refused_before_any_work(cells, change, why):
    with untouched(cells[0].path), pytest.raises((UsageError, DataError), match=why):
        together(cells, **change)


def test_each_cell_is_split_by_its_own_plane(tmp_path, caplog):
    stores = [pore_store(tmp_path / f"{k}.ome.zarr", 12) for k in "ab"]
    middle = [n * s / 2000 for n, s in zip(stores[0].shape, stores[0].spacing, strict=True)]
    aside = [middle[0], middle[1], 0.8 * middle[2]]
    normals = [[0.0, 1.0, 0.0], [0.0, 0.0, -2.0]]
    planes = replace(BRIEF, split="plane", point_um=[middle, aside], normal=normals)
    together(stores, sections=planes)
    for store, point, normal in zip(stores, (middle, aside), normals, strict=True):
        alone = replace(BRIEF, split="plane", point_um=point, normal=normal)
        caplog.clear()
        with caplog.at_level("INFO", "fibseg"):
            found = run(store, sections=alone)
        assert "is there already, with the same settings" in caplog.text
        assert np.abs(found["sections"]["plane"]["normal"]).tolist() == np.sign(
            np.abs(normal)
        ).tolist()
        assert [row["section"] for row in found["sections"]["rows"]] == [1, 2]


@pytest.mark.parametrize(("point", "normal", "why"), [
    ([[1, 1, 1], [2, 2, 2]], [[0, 1, 0]], "2 points, sections.normal 1 directions"),
    ([[1, 1, 1], [2, 2]], [[0, 1, 0], [0, 1, 0]], "no plane"),
])
def test_planes_that_do_not_fit_are_refused(point, normal, why):
    with pytest.raises(UsageError, match=why):
        replace(BRIEF, split="plane", point_um=point, normal=normal)


def test_what_is_typed_for_each_cell_has_its_own_plane(tmp_path):
    planes = replace(
        BRIEF, split="plane", point_um=[[1, 1, 1], [2, 2, 2]], normal=[[0, 1, 0], [1, 0, 0]]
    )
    words = ["objects=pores", "sections.split=plane", "sections.point_um=[[1,1,1],[2,2,2]]",
             "sections.normal=[[0,1,0],[1,0,0]]", "volume=[a,b]"]
    steps = planned(
        volume=["a", "b"], objects="pores", sections=planes, overrides=words,
        config={"sections": {"split": "plane", "seed": 3}},
    )
    assert steps[1].overrides == [
        "volume=b", "objects=pores", "sections.split=plane", "sections.point_um=[2.0,2.0,2.0]",
        "sections.normal=[1.0,0.0,0.0]",
    ]
    assert steps[1].config["sections"] == {
        "split": "plane", "seed": 3, "point_um": [2.0, 2.0, 2.0], "normal": [1.0, 0.0, 0.0]
    }


def test_a_cell_counts_once(cells):
    with pytest.raises(UsageError, match="more than once"):
        together([cells[0], cells[1], cells[0]])
    with pytest.raises(UsageError, match="names no volume"):
        run(cells[0], volume=[])


def test_a_single_volume_has_no_comparison(cells, tmp_path):
    with pytest.raises(UsageError, match="there is one volume"):
        run(cells[0], out=str(tmp_path / "out"))
    assert run(cells[0], volume=[str(cells[0].path)])["n_objects"] == 60


def test_a_file_is_no_folder(cells, tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        together(cells, out=str(tmp_path / "f"))


def test_a_lacking_cell_is_told_before_the_others_are_done(tmp_path):
    first = pore_store(tmp_path / "a.ome.zarr", 12)
    second = nucleus_store(tmp_path / "b.ome.zarr", two_lobes())
    with untouched(first.path), pytest.raises(DataError, match="pores"):
        together([first, second])


def test_an_empty_cell_stops_no_other_and_is_tried_again(tmp_path, caplog, capsys):
    nucleus = two_lobes()
    first, third = (pore_store(tmp_path / f"{k}.ome.zarr", 12) for k in "ac")
    second = nucleus_store(
        tmp_path / "b.ome.zarr", nucleus, pores=np.zeros(nucleus.shape, np.uint32)
    )
    cells = [first, second, third]
    with pytest.raises(PartlyDoneError, match=r"1 of 3 cells failed(.|\n)*b\.ome\.zarr") as info:
        together(cells, out=str(tmp_path / "out"))
    assert len(info.value.reasons) == 1
    assert "no object in labels/pores" in info.value.reasons[0]
    assert "section" in third.table("pores"), "the one after it was done"
    assert not (tmp_path / "out").exists()
    words = ["distribution", f"volume=[{','.join(str(s.path) for s in cells)}]", "objects=pores",
             "spreading.n_simulations=19", "sections.n_draws=99", "blocks=serial"]
    assert main(words) == 3
    assert f"{second.path}: There is no object" in capsys.readouterr().err
    add_labels(second, "pores", pores_on(nucleus, 20), overwrite=True, inputs="y")
    caplog.clear()
    assert len(together(cells)["cells"]) == 3


def test_a_bug_in_one_cell_stops_no_other_but_a_full_disk_does(cells, monkeypatch):
    seen = []

    def failing(step):
        seen.append(step.parts["volume"])
        raise error

    monkeypatch.setattr(Step, "run", failing)
    error = ValueError("seven")
    with pytest.raises(PartlyDoneError, match="3 of 3 cells failed") as info:
        together(cells)
    assert info.value.reasons == ("ValueError: seven",) * 3
    seen.clear()
    error = DiskFullError("no room")
    with pytest.raises(DiskFullError):
        together(cells)
    assert len(seen) == 1


def test_from_the_command_line_its_rehearsal_and_its_records(tmp_path, capsys):
    stores = [pore_store(tmp_path / f"{k}.ome.zarr", 20) for k in "ab"]
    paths = ",".join(str(s.path) for s in stores)
    words = ["distribution", f"volume=[{paths}]", "objects=pores", f"out={tmp_path / 'o'}",
             "spreading.n_simulations=19", "sections.n_draws=99", "blocks=serial"]
    with untouched(stores[0].path):
        assert main([*words, "dry_run=true"]) == 0
    said = capsys.readouterr().out
    assert said.count("plan of fibseg distribution") == 2
    assert not (tmp_path / "o").exists()
    assert main(words) == 0
    assert "2 cells, each counts once" in capsys.readouterr().out
    record = stores[1].runs()[-1]
    assert record["config"]["volume"] == str(stores[1].path)
    assert f"volume={stores[1].path}" in record["overrides"]
    assert not [w for w in record["overrides"] if w.startswith("out=")]
