"""``classify`` on a store: painted voxels, forests, probabilities, the cell; and bad input."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from inference_fakes import random_image, random_model

from fibseg import postprocess
from fibseg.blocks import Processes, Serial
from fibseg.cli import main
from fibseg.errors import BusyError, DataError, ExistsError, UsageError
from fibseg.export import load_forest_spec, save_model_folder
from fibseg.phantom import dabbed_annotation, make_cell
from fibseg.pipeline import classify, classify_train, probabilities
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume
from fibseg.volume.lock import Holder, lock_path

SHAPE = (80, 140, 132)
COUNTING = """
import sys, time
from fibseg.cli import main
from fibseg.inference.pixels import PixelClassifier
quick = PixelClassifier.box
def slow(*parts):
    time.sleep(0.1)
    print("a block is computed")
    return quick(*parts)
PixelClassifier.box = slow
sys.exit(main(sys.argv[1:]))
"""
CHAIN = {
    "threshold": partial(postprocess.threshold, level=0.5),
    "largest": partial(postprocess.largest, n=1, connectivity=6),
    "fill_holes": partial(postprocess.fill_holes), "components": partial(postprocess.components),
}  # fmt: skip


def make_store(path, image, paintings, *, spacing=(20.0, 20.0, 20.0), classes=None):
    # Zarr 2 has no shards, so that a small volume has many blocks.
    store = Volume.create(
        path, shape=image.shape, dtype=image.dtype, spacing=spacing, polarity="dark",
        ome_version="0.4",
    )
    store.raw()[:] = image
    finish_raw(store)
    for name, painting in paintings.items():
        product = store.create_labels(
            name, kind="annotation", dtype=np.uint8, inputs=f"{painting.sum()}",
            classes=classes or {name: 2},
        )
        product.array[:] = painting
        finish_product(product)
    return store


@pytest.fixture(scope="module")
def cell():
    return make_cell(SHAPE, seed=3, pores=False)


@pytest.fixture(scope="module")
def made(cell, tmp_path_factory):
    """A store with the cell classified from 200 voxels; what the command returned."""
    painting = dabbed_annotation(cell.labels["cell"], seed=5, spacing=cell.spacing)
    path = tmp_path_factory.mktemp("made") / "a.ome.zarr"
    store = make_store(path, cell.image, {"cell": painting})
    return store, run(store, postprocess=CHAIN)


def run(store, **keywords):
    settings = {"annotation": "cell", "name": "cell", "blocks": Serial()} | keywords
    return classify.run(volume=str(store.path), **settings)


def iou(found, truth):
    return (found & truth).sum() / (found | truth).sum()


def blank(path, painting=None, *, shape=(12, 30, 30), **keywords):
    """A small store with random contents."""
    paintings = {} if painting is None else {"cell": painting}
    return make_store(path, random_image(shape), paintings, **keywords)


def painted(counts, shape=(12, 30, 30)):
    """So many voxels of each value, at random."""
    out = np.zeros(shape, np.uint8)
    values = np.repeat(list(counts), list(counts.values()))
    out.reshape(-1)[np.random.default_rng(0).permutation(out.size)[: len(values)]] = values
    return out


# --- what it finds -------------------------------------------------------------------------------


def test_200_voxels_find_the_cell(made, cell):
    store, result = made
    assert set(result) == {"probabilities/cell", "labels/cell"}
    assert result["labels/cell"]["n_objects"] == 1
    assert iou(store.labels("cell")[:] > 0, cell.labels["cell"]) >= 0.97
    assert iou(store.probabilities("cell")[:] >= 128, cell.labels["cell"]) >= 0.94
    assert store.labels_info("cell").derived_from == "probabilities/cell"


def test_the_border_is_finer_than_the_level_that_is_classified(made, cell, monkeypatch, tmp_path):
    store, _ = made
    sigmas = {**classify_train.SIGMAS, "border": ()}
    monkeypatch.setattr(classify_train, "SIGMAS", sigmas)
    run(store, name="plain", model=str(tmp_path / "m"), postprocess=CHAIN)
    plain, refined = (
        iou(store.labels(name)[:] > 0, cell.labels["cell"]) for name in ("plain", "cell")
    )
    assert 1 - refined < 0.8 * (1 - plain)


def test_the_model_and_the_run_say_where_they_come_from(made):
    store, _ = made
    folder = store.path.parent / "a.models" / "cell"
    spec = load_forest_spec(folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "border.onnx", "model.json", "volume.onnx"
    ]
    assert spec.training["painted"] == spec.training["learned_from"] == {
        "background": 100, "cell": 100
    }
    info = store.labels_info("annotation_cell")
    assert spec.training["lesson"]["annotation_digest"] == info.digest
    record = next(r for r in store.runs() if r["verb"] == "classify")
    assert record["inputs"]["labels/annotation_cell"] == info.digest
    assert record["inputs"]["raw"] == store.raw_digest
    assert record["status"] == "done"
    log = (store.path / "runs" / record["name"] / "log.txt").read_text()
    assert "100 of background, 100 of cell" in log
    assert "classified on level 1 of 40 x 40 x 40 nm, borders on level 0" in log


def test_the_same_command_again_does_nothing(made, monkeypatch):
    store, first = made
    n_runs = len(store.runs())
    for module, name in ((probabilities, "map_blocks"), (classify_train, "fit_forest")):
        monkeypatch.setattr(module, name, None)
    second = run(store, postprocess=CHAIN)
    assert second["labels/cell"] == first["labels/cell"]
    assert second["probabilities/cell"] == "made before"
    assert len(store.runs()) == n_runs


def test_a_model_made_again_is_byte_equal(made, tmp_path):
    store, _ = made
    lesson = classify_train.Lesson.of(store, "cell", precision_nm=40, n_trees=32, seed=0)
    classify_train.trained(store, lesson, tmp_path / "m", blocks=Processes(2), overwrite=False)
    for path in (store.path.parent / "a.models" / "cell").iterdir():
        assert (tmp_path / "m" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "how",
    [{"block_shape": (64, 128, 128)}, {"blocks": Processes(2), "block_shape": (80, 128, 132)}],
)
def test_blocks_and_workers_change_nothing(made, how):
    store, _ = made
    name = f"b{len(how)}"
    run(store, name=name, model=str(store.path.parent / "a.models" / "cell"), **how)
    assert store.probabilities_info(name).digest == store.probabilities_info("cell").digest


def test_a_model_is_used_on_another_volume(made, tmp_path):
    other = make_cell((48, 90, 90), seed=8, pores=False)
    store = make_store(tmp_path / "b.ome.zarr", other.image, {})
    model = str(made[0].path.parent / "a.models" / "cell")
    result = run(store, annotation=None, name=None, model=model, postprocess=CHAIN)
    assert "labels/cell" in result
    assert iou(store.labels("cell")[:] > 0, other.labels["cell"]) > 0.9
    with pytest.raises(UsageError, match="was trained for 40 nm"):
        run(store, annotation=None, model=model, precision_nm=80)


def test_several_classes_become_several_maps(cell, tmp_path):
    truth = 1 + cell.labels["cytoplasm"].astype(np.uint8) + 2 * cell.labels["nucleus"]
    painting = truth * (np.random.default_rng(0).random(SHAPE) < 0.0006)
    classes = {"cytoplasm": 2, "nucleus": 3}
    store = make_store(
        tmp_path / "c.ome.zarr", cell.image, {"body": painting}, classes=classes
    )
    result = run(store, annotation="body", name=None)
    assert list(result) == ["probabilities/body_cytoplasm", "probabilities/body_nucleus"]
    found = [store.probabilities(f"body_{name}")[:].astype(int) for name in classes]
    assert (sum(found) <= 256).all()
    assert iou(found[0] + found[1] >= 128, cell.labels["cell"]) > 0.9
    inside, outside = (found[1][cell.labels[name]].mean() for name in ("nucleus", "cytoplasm"))
    assert inside > 1.3 * outside


def test_unlabelled_voxels_are_never_learned_from(made, tmp_path):
    store, _ = made
    painting = store.labels("annotation_cell")[:]
    image = store.raw()[:].copy()
    # Far from all painting the image may be anything: the forests do not change.
    seen = np.zeros(SHAPE, bool)
    for z, y, x in np.argwhere(painting):
        seen[max(z - 32, 0) : z + 33, max(y - 32, 0) : y + 33, max(x - 32, 0) : x + 33] = True
    assert not seen.all()
    image[~seen] = image[~seen][::-1]  # in another order, so that the percentiles stay
    other = make_store(tmp_path / "o.ome.zarr", image, {"cell": painting})
    assert other.raw_digest != store.raw_digest
    run(other, model=str(tmp_path / "m"))
    theirs = store.path.parent / "a.models" / "cell"
    for name in ("volume.onnx", "border.onnx"):
        assert (tmp_path / "m" / name).read_bytes() == (theirs / name).read_bytes()


def _n_lines(path):
    return path.read_bytes().count(b"\n")


# --- stopped, and begun again --------------------------------------------------------------------


def test_killed_and_run_again_it_goes_on_to_the_same_bytes(made, tmp_path):
    wanted, _ = made
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(wanted.path, path)
    store = Volume.open(path)
    words = [
        "classify", f"volume={path}", "annotation=cell", "name=again", "blocks=serial",
        "block_shape=[64,128,128]", f"model={tmp_path / 'm'}",
    ]
    command = [sys.executable, "-c", COUNTING, *words]
    journal = path / "probabilities" / ".again.journal"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.exists() and _n_lines(journal) >= 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "again" not in store.probability_names()
    n_done = _n_lines(journal) - 1  # the first line says what it is a journal of
    assert 3 <= n_done < 8
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a block is computed") == 8 - n_done
    digests = {store.probabilities_info(n).digest for n in ("cell", "again")}
    assert len(digests) == 1
    assert store.labels_info("again").digest == store.labels_info("cell").digest
    ends = [r["status"] for r in store.runs() if r["config"].get("name") == "again"]
    assert ends[-1] == "done"


def test_two_runs_on_one_target_or_one_model_are_refused(made, tmp_path):
    store, _ = made
    model, product = tmp_path / "m", store.path / "probabilities" / "other"
    model.mkdir()
    for target in (model, product):
        holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
        lock_path(target).write_text(json.dumps(dataclasses.asdict(holder)))
        with pytest.raises(BusyError, match="elsewhere"):
            run(store, name="other", model=str(model))
        lock_path(target).unlink()
    assert "other" not in store.probability_names()


def test_another_painting_replaces_nothing_unasked(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    run(store)
    before = store.probabilities_info("cell").digest
    for settings in ({"seed": 1}, {"n_trees": 9}, {"precision_nm": 25}):
        with pytest.raises(ExistsError, match="another painting or other settings"):
            run(store, **settings)
        with pytest.raises(ExistsError, match="overwrite=true"):
            run(store, **settings, model=str(tmp_path / f"m{len(str(settings))}"))
    assert store.probabilities_info("cell").digest == before
    run(store, seed=1, overwrite=True)
    assert store.probabilities_info("cell").digest != before


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, r"unlabelled \(0\) everywhere"),
        ({1: 50}, "has 0 voxels of cell"),
        ({2: 50}, "has 0 voxels of background"),
        ({1: 50, 2: 9}, "has 9 voxels of cell; 10 of each are needed"),
        ({1: 3, 2: 4}, "has 3 voxels of background, 4 voxels of cell"),
        ({1: 50, 2: 50, 7: 1}, r"has the values \[7\], which are no class"),
    ],
)
def test_painting_that_teaches_nothing_is_refused_and_leaves_nothing(tmp_path, counts, said):
    store = blank(tmp_path / "a.ome.zarr", painted(counts))
    with pytest.raises(DataError, match=said):
        run(store)
    assert not (tmp_path / "a.models" / "cell").exists()
    assert not (store.path / "probabilities").exists()
    assert store.runs() == []


def test_settings_are_refused_before_any_work(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    for settings, said in (
        ({"annotation": None}, "nothing to classify with"), ({"n_trees": 0}, "n_trees=0"),
        ({"seed": -1}, "seed=-1"), ({"precision_nm": 1}, "precision_nm=1"),
        ({"precision_nm": float("nan")}, "precision_nm=nan"),
    ):
        with pytest.raises(UsageError, match=said):
            run(store, **settings)
    assert not (tmp_path / "a.models").exists()
    for settings in (
        {"block_shape": (1, 7, 7)}, {"postprocess": {"threshold": CHAIN["threshold"]}},
        {"name": "annotation_x", "postprocess": CHAIN},
    ):
        with pytest.raises(UsageError):
            run(store, **settings)
    assert store.runs() == []


def test_what_is_not_there_is_named(tmp_path):
    store = blank(tmp_path / "a.ome.zarr")
    with pytest.raises(DataError, match="no annotation 'cell'; it has none"):
        run(store)
    with pytest.raises(DataError, match="There is no volume"):
        classify.run(volume=str(tmp_path / "none.ome.zarr"), annotation="cell")
    with pytest.raises(DataError, match="does not exist"):
        run(store, annotation=None, model=str(tmp_path / "none"))


def test_a_volume_of_one_intensity_is_refused(tmp_path):
    flat = np.full((12, 30, 30), 90, np.uint8)
    store = make_store(tmp_path / "a.ome.zarr", flat, {"cell": painted({1: 50, 2: 50})})
    with pytest.raises(DataError, match="nothing to see"):
        run(store)


def test_foreign_and_damaged_models_are_one_clear_error(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    network = save_model_folder(tmp_path / "unet", *random_model(features=(4, 4)))
    with pytest.raises(DataError, match=r"network of fibseg train.*fibseg infer"):
        run(store, annotation=None, model=str(network))
    with pytest.raises(ExistsError, match="holds a model of another painting"):
        run(store, model=str(network))
    run(store, name="first", model=str(tmp_path / "m"))
    forest = tmp_path / "m" / "volume.onnx"
    forest.write_bytes(forest.read_bytes()[:-50])
    with pytest.raises(DataError, match="not a whole ONNX file"):
        run(store, annotation=None, model=str(tmp_path / "m"))
    assert store.probability_names() == ["first"]


@pytest.mark.parametrize("shape", [(1, 30, 30), (2, 25, 1), (5, 20, 20)])
def test_thin_volumes_are_classified(tmp_path, shape):
    counts = {1: 12, 2: 12}
    store = blank(tmp_path / "a.ome.zarr", painted(counts, shape), shape=shape)
    run(store)
    assert store.probabilities("cell").shape == shape
    assert store.probabilities("cell")[:].std() > 5


# --- as a command --------------------------------------------------------------------------------


def test_the_command_plans_and_works(made, tmp_path, capsys):
    store, _ = made
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(store.path, path)
    words = ["classify", f"volume={path}", "annotation=cell", "name=c", "blocks=serial"]
    before = sorted(path.rglob("*"))
    assert main([*words, "dry_run=true"]) == 0
    plan = capsys.readouterr().out
    assert "plan of fibseg classify" in plan
    assert "painted voxels" in plan
    assert sorted(path.rglob("*")) == before
    assert not (tmp_path / "a.models").exists()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "probabilities/c" in said
    assert "1 object" in said
    digest = Volume.open(path).labels_info("c").digest
    assert digest == store.labels_info("cell").digest


def test_a_plan_refuses_what_the_command_refuses(tmp_path, capsys):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 3}))
    words = ["classify", f"volume={store.path}", "annotation=cell", "dry_run=true"]
    assert main(words) == 65
    assert "has 3 voxels of cell" in capsys.readouterr().err


def test_infer_says_what_a_classifier_is_for(made, capsys):
    store, _ = made
    folder = store.path.parent / "a.models" / "cell"
    assert main(["infer", f"model={folder}", f"volume={store.path}"]) == 65
    assert "fibseg classify model=" in capsys.readouterr().err


def test_the_card_and_the_description_have_no_path(made):
    store, _ = made
    folder = store.path.parent / "a.models" / "cell"
    for name in ("model.json", "README.md"):
        assert str(store.path.parent) not in (folder / name).read_text()
