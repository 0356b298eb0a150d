from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from suggested_cells import (
    HELD_OUT,
    PAINTED,
    RESERVED,
    SHAPE,
    arguments,
    contents,
    model_of,
    painted_store,
)

from fibseg.cli import main
from fibseg.data import Normalisation
from fibseg.export import load_network
from fibseg.inference import predict_planes
from fibseg.metrics.uncertainty import margin
from fibseg.pictures import gray
from fibseg.pipeline import infer, paint, suggest
from fibseg.volume import Volume


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return painted_store(tmp_path_factory.mktemp("cell") / "a.ome.zarr")


@pytest.fixture(scope="module")
def model(store: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of(tmp_path_factory.mktemp("model") / "m", store, reserved={"a": [RESERVED]})


@pytest.fixture(scope="module")
def folder(store: Volume, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a plain run makes; tests that write take a folder of their own."""
    out = tmp_path_factory.mktemp("suggest") / "next"
    words = [f"{k}={v}" for k, v in arguments(store, model, out).items()]
    assert main(["suggest", *words]) == 0
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "suggestions.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mask(folder: Path, z: int) -> np.ndarray:
    return tifffile.imread(folder / "mitochondria" / f"plane_{z:04d}.tif")


def box(row: dict[str, str]) -> tuple[slice, slice]:
    y0, x0, y1, x1 = (int(row[k]) for k in ("y0", "x0", "y1", "x1"))
    return slice(y0, y1), slice(x0, x1)


def probabilities(store: Volume, model: Path, planes: list[int]) -> list[np.ndarray]:
    return list(predict_planes(*load_network(model), store, planes, backend="torch"))


def test_the_folder_is_one_of_paint_with_all_that_is_painted_already(
    store: Volume, folder: Path
) -> None:
    found = rows(folder)
    suggested = sorted({int(r["plane"]) for r in found})
    assert len(suggested) == 2
    assert len(found) == 4
    names = [f"plane_{z:04d}.tif" for z in sorted([*PAINTED, HELD_OUT, *suggested])]
    for kind in ("image", "mitochondria"):
        assert sorted(p.name for p in (folder / kind).iterdir()) == names
    normal = Normalisation.of(store)
    for z in suggested:
        shown = gray(store.raw()[z], low=normal.low, high=normal.high, invert=normal.invert)
        assert np.array_equal(tifffile.imread(folder / "image" / f"plane_{z:04d}.tif"), shown)
    labels = store.labels("annotation_mitochondria")
    for z in (*PAINTED, HELD_OUT):
        assert np.array_equal(mask(folder, z), labels[z])
    assert "unchanged=drop" in (folder / "HOWTO.txt").read_text()
    left = {p.name for p in folder.iterdir() if p.is_file()}
    assert left == {"HOWTO.txt", "paint.json", "started.json", "suggestions.csv",
                    "suggestions.json", "suggestions.png"}


def test_no_plane_is_near_to_a_painted_a_held_out_or_a_reserved_one(folder: Path) -> None:
    # 100 nm are two and a half planes of 40 nm.
    suggested = sorted({int(r["plane"]) for r in rows(folder)})
    for z in suggested:
        assert min(abs(z - k) for k in (*PAINTED, HELD_OUT, RESERVED)) >= 3
    assert suggested[1] - suggested[0] >= 3


def test_regions_hold_the_prediction_where_it_is_sure_and_nothing_else_is_filled_in(
    store: Volume, model: Path, folder: Path
) -> None:
    suggested = sorted({int(r["plane"]) for r in rows(folder)})
    for z, (probs,) in zip(suggested, probabilities(store, model, suggested), strict=True):
        want = np.zeros(SHAPE[1:], np.uint8)
        for row in rows(folder):
            if int(row["plane"]) == z:
                part = probs[box(row)].astype(int)
                want[box(row)] = np.select([part >= 204, 255 - part >= 204], [2, 1], 0)
        assert np.array_equal(mask(folder, z), want)
        assert {0, 1, 2} == set(np.unique(want))


def test_uncertainty_in_the_table_is_the_mean_margin_of_the_region(
    store: Volume, model: Path, folder: Path
) -> None:
    for row in rows(folder):
        (probs,) = probabilities(store, model, [int(row["plane"])])
        want = margin(probs[None])[box(row)].mean()
        assert float(row["uncertainty"]) == pytest.approx(want, rel=1e-4)
        assert f"margin {want:.3f}, rank " in row["why"]
        assert 0 <= float(row["score"]) <= 1


def test_the_most_unsure_region_of_all_is_found(
    store: Volume, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "next"
    suggest.run(**arguments(store, model, out, n=1, n_regions=1, diversity=0.0, look_at=99))
    taken = (*PAINTED, HELD_OUT, RESERVED)
    free = [z for z in range(SHAPE[0]) if min(abs(z - k) for k in taken) >= 3]
    means = {}
    for z, probs in zip(free, probabilities(store, model, free), strict=True):
        unsure = margin(probs[None])
        # 64 x 80 pixels of 20 nm in regions of about 400 nm: 3 x 4.
        for y0, y1 in ((0, 21), (21, 43), (43, 64)):
            for x0 in range(0, 80, 20):
                means[z, y0, x0] = unsure[y0:y1, x0 : x0 + 20].mean()
    (row,) = rows(out)
    assert (int(row["plane"]), int(row["y0"]), int(row["x0"])) == max(means, key=means.__getitem__)
    assert "rank 1 of" in row["why"]


def test_the_command_says_what_to_paint_what_not_and_what_to_type(
    store: Volume, model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    n_runs = len(store.runs())
    words = [f"{k}={v}" for k, v in arguments(store, model, folder).items()]
    assert main(["suggest", *words]) == 0
    said = capsys.readouterr().out
    for row in rows(folder):
        assert f"plane {row['plane']} (plane_{int(row['plane']):04d}.tif): y " in said
        assert f"y {row['y0']}-{row['y1']} x {row['x0']}-{row['x1']}" in said
    assert f"painted: 3, 4, {HELD_OUT}" in said
    assert f"held out of training: {HELD_OUT}" in said
    assert f"reserved for the test: {RESERVED}" in said
    assert f"data.held_out=[{HELD_OUT}]" in said
    assert "masks left as they were: 2" in said
    # The same command again: nothing is written, nothing recorded.
    assert contents(folder) == before
    assert len(store.runs()) == n_runs


def test_the_same_again_elsewhere_is_the_same_folder(
    store: Volume, model: Path, folder: Path, tmp_path: Path
) -> None:
    suggest.run(**arguments(store, model, tmp_path / "again"))
    assert contents(tmp_path / "again") == contents(folder)


def test_masks_that_stand_are_kept_and_a_folder_of_paint_is_added_to(
    store: Volume, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "paint"
    paint.run(volume=str(store.path), out=str(out), name="mitochondria", planes=[7])
    own = np.full(SHAPE[1:], 2, np.uint8)
    tifffile.imwrite(out / "mitochondria" / "plane_0007.tif", own)
    found = suggest.run(**arguments(store, model, out, n=1))
    assert "to paint already: 7" in found["not suggested"]
    assert all(abs(int(r["plane"]) - 7) >= 3 for r in rows(out))
    assert np.array_equal(mask(out, 7), own)
    z = int(rows(out)[0]["plane"])
    tifffile.imwrite(out / "mitochondria" / f"plane_{z:04d}.tif", own)
    (out / "suggestions.png").unlink()
    suggest.run(**arguments(store, model, out, n=1))
    assert np.array_equal(mask(out, z), own)
    assert (out / "suggestions.png").exists()


def test_probabilities_of_this_model_in_the_store_are_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = painted_store(tmp_path / "a.ome.zarr")
    suggest.run(**arguments(store, model, tmp_path / "before"))
    infer.run(model=str(model), volume=str(store.path), backend="torch")
    monkeypatch.setattr("fibseg.inference.predict_views", None)  # the network is not asked again
    suggest.run(**arguments(store, model, tmp_path / "after"))
    before, after = contents(tmp_path / "before"), contents(tmp_path / "after")
    told = [json.loads(found.pop("suggestions.json"))["probabilities"] for found in (before, after)]
    name = "mitochondria"
    assert told == [{}, {name: store.probabilities_info(name).digest}]
    assert after == before


def test_views_and_diversity_make_other_suggestions(
    store: Volume, model: Path, folder: Path, tmp_path: Path
) -> None:
    for key, more in {"views": {"uncertainty": "views"}, "new": {"diversity": 1.0}}.items():
        suggest.run(**arguments(store, model, tmp_path / key, **more))
        chosen = [(r["plane"], r["y0"], r["x0"]) for r in rows(tmp_path / key)]
        assert chosen != [(r["plane"], r["y0"], r["x0"]) for r in rows(folder)]
    assert rows(tmp_path / "views")[0]["why"].startswith("views ")


def test_a_new_cell_is_begun_from_nothing(model: Path, tmp_path: Path) -> None:
    """Nothing is painted in it: the first planes, and a painting with the classes of the model."""
    store = painted_store(tmp_path / "b.ome.zarr", seed=5, planes=[0], name="other")
    found = suggest.run(**arguments(store, model, tmp_path / "next"))
    assert found["not suggested"] == "none"
    command = shlex.split(found["when painted"])
    assert "name=mitochondria" in command
    assert not any("data.held_out" in str(v) for v in found.values())
    for row in rows(tmp_path / "next"):
        path = tmp_path / "next" / "mitochondria" / row["file"]
        edited = tifffile.imread(path)
        edited[box(row)] = 2
        tifffile.imwrite(path, edited)
    assert main(command[1:]) == 0
    assert store.labels_info("annotation_mitochondria").classes == {"mitochondria": 2}


def test_what_was_painted_comes_back_beside_what_was_there(
    model: Path, tmp_path: Path
) -> None:
    store = painted_store(tmp_path / "a.ome.zarr")
    before = store.labels("annotation_mitochondria")[...]
    found: dict[str, Any] = suggest.run(**arguments(store, model, tmp_path / "next"))
    painted = {}
    for row in rows(tmp_path / "next"):
        z = int(row["plane"])
        edited = painted.setdefault(z, mask(tmp_path / "next", z))
        edited[box(row)] = np.where(edited[box(row)] == 2, 1, 2)
        tifffile.imwrite(tmp_path / "next" / "mitochondria" / row["file"], edited)
    assert main(shlex.split(found["when painted"])[1:]) == 0
    after = Volume.open(store.path).labels("annotation_mitochondria")[...]
    for z in range(SHAPE[0]):
        assert np.array_equal(after[z], painted.get(z, before[z]))
    # The next round leaves these planes alone, too.
    more = suggest.run(**arguments(store, model, tmp_path / "more", n=1))
    assert not {int(r["plane"]) for r in rows(tmp_path / "more")} & set(painted)
    assert any(all(str(z) in line for z in painted) for line in more["not suggested"])
