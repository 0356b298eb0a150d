"""``classify`` on a store: painted voxels, forests, probabilities, the cell; on any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from classified import CHAIN, SHAPE, classified_phantom, iou, make_store, run

from fibseg.blocks import Processes
from fibseg.errors import UsageError
from fibseg.export import load_forest_spec
from fibseg.phantom import make_cell
from fibseg.pipeline import classify_train, probabilities


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return classified_phantom(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def cell(phantom):
    return phantom[0]


@pytest.fixture(scope="module")
def made(phantom):
    """A store with the cell classified from 200 voxels; what the command returned."""
    return phantom[1:]


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


def test_the_card_and_the_description_have_no_path(made):
    store, _ = made
    folder = store.path.parent / "a.models" / "cell"
    for name in ("model.json", "README.md"):
        assert str(store.path.parent) not in (folder / name).read_text()
