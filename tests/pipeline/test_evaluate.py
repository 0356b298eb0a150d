from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import jaccard_score

from fibseg.blocks import Serial
from fibseg.errors import DataError, UsageError
from fibseg.metrics import Contingency, Edits, score_planes
from fibseg.pipeline import evaluate
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.scoring import score_volume
from fibseg.volume import Volume

SHAPE = (20, 70, 90)
SPACING = (30.0, 10.0, 10.0)


def truth_labels() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), (2, 5, 5))
    labels, _ = ndimage.label(noise > 0.02)
    return labels.astype(np.uint32)


def predicted_labels() -> np.ndarray:
    moved = ndimage.shift(truth_labels(), (0, 2, 1), order=0)
    moved[moved == 2] = 0
    return moved


def painted() -> np.ndarray:
    """Planes 5 and 12 of the truth, left part only; value 3 is the class."""
    annotation = np.zeros(SHAPE, np.uint8)
    for z in (5, 12):
        annotation[z, :, :60] = np.where(truth_labels()[z, :, :60] > 0, 3, 1)
    return annotation


def add_labels(volume: Volume, name: str, labels: np.ndarray, **kind: object) -> None:
    product = volume.create_labels(
        name, **{"kind": "labels", "dtype": labels.dtype, "inputs": name, **kind}
    )
    product.array[...] = labels
    finish_product(product)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "cell.ome.zarr"
    volume = Volume.create(path, shape=SHAPE, dtype="uint8", spacing=SPACING, polarity="dark")
    volume.raw()[...] = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
    finish_raw(volume)
    add_labels(volume, "mitochondria", predicted_labels())
    add_labels(volume, "truth", truth_labels())
    add_labels(volume, "nothing", np.zeros(SHAPE, np.uint32))
    add_labels(
        volume, "mitochondria", painted(), kind="annotation",
        classes={"background": 1, "nucleus": 2, "mitochondria": 3},
    )
    return path


def test_whole_volume_agrees_with_scikit_learn_and_with_one_table(store: Path) -> None:
    result = evaluate.run(volume=str(store), labels="mitochondria", truth="truth")
    got = result.scores["mitochondria"]
    t, p = truth_labels(), predicted_labels()
    assert got["iou"] == pytest.approx(jaccard_score(t.ravel() > 0, p.ravel() > 0))
    want = Contingency().update(p, t).score().compute()
    assert {k: got[k] for k in want} == pytest.approx(want, nan_ok=True)
    assert got["n_scored"] == t.size
    assert result.where == "whole volume"
    assert result.tolerance_nm == 20.0


@pytest.mark.parametrize("block", [(20, 70, 90), (7, 33, 90), (5, 25, 31)])
@pytest.mark.parametrize("left_out", [False, True])
def test_any_blocks_give_the_same_scores(block: tuple[int, int, int], left_out: bool) -> None:
    t, p = truth_labels(), predicted_labels()
    kind = {"left_out": painted() if left_out else None, "tolerance_nm": 35.0, "spacing": SPACING}
    whole = score_volume(p, t, block_shape=SHAPE, **kind)
    parts = score_volume(p, t, block_shape=block, runner=Serial(), **kind)
    assert parts == whole


def test_edits_are_counted_and_timed(store: Path) -> None:
    kind = {"volume": str(store), "labels": "mitochondria", "truth": "truth"}
    result = evaluate.run(**kind, seconds_per_edit=36.0)
    edits, got = Edits.between(predicted_labels(), truth_labels()), result.scores["mitochondria"]
    assert edits.n_additions >= 1
    assert edits == Edits(*(int(got[f"n_{k}"]) for k in ("merges", "splits", "additions",
                                                        "deletions")))
    assert result.as_dict()["proof_editing"]["mitochondria"]["hours"] == edits.n_edits / 100
    assert evaluate.run(**kind, planes=[5]).proof_editing == {}
    with pytest.raises(UsageError, match="seconds_per_edit=-1 is no time"):
        evaluate.run(**kind, seconds_per_edit=-1.0)


def test_small_objects_are_scored_by_their_places(store: Path) -> None:
    kind = {"volume": str(store), "labels": "mitochondria", "truth": "truth"}
    centres = [
        np.array(ndimage.center_of_mass(labels > 0, labels, np.unique(labels)[1:])) * SPACING
        for labels in (predicted_labels(), truth_labels())
    ]
    away = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
    rows, columns = linear_sum_assignment(np.where(away <= 40, away, 1e6))
    hits = away[rows, columns][away[rows, columns] <= 40]
    got = evaluate.run(**kind, within_nm=40.0).scores["mitochondria"]
    assert 0 < len(hits) < len(centres[1])
    assert got["place_precision"] == pytest.approx(len(hits) / len(centres[0]))
    assert got["place_recall"] == pytest.approx(len(hits) / len(centres[1]))
    assert got["place_f1"] == pytest.approx(2 * len(hits) / sum(map(len, centres)))
    assert got["place_error_nm"] == pytest.approx(np.median(hits))
    text = evaluate.run(**kind, within_nm=40.0).text()
    assert "recall of places" in text
    assert "recall of places" not in evaluate.run(**kind).text()
    nothing = evaluate.run(volume=str(store), labels="nothing", truth="truth", within_nm=40.0)
    assert nothing.scores["nothing"]["place_recall"] == 0


def test_painting_is_scored_where_painted(store: Path) -> None:
    result = evaluate.run(
        volume=str(store), labels="mitochondria", truth="annotation_mitochondria"
    )
    p, a = predicted_labels()[[5, 12]], painted()[[5, 12]]
    want = score_planes(p, a, value=3, spacing=SPACING).compute()
    assert result.scores["mitochondria"] == pytest.approx(want, nan_ok=True)
    assert list(result.planes["mitochondria"]) == [5, 12]
    assert result.scores["mitochondria"]["n_scored"] == 2 * 70 * 60
    known = a > 0
    assert want["iou"] == pytest.approx(jaccard_score((a == 3)[known], (p > 0)[known]))


def test_chosen_planes_and_what_was_trained_on_left_out(store: Path) -> None:
    kind = {"volume": str(store), "labels": "mitochondria", "truth": "truth"}
    t, p = truth_labels() > 0, predicted_labels() > 0
    planes = evaluate.run(**kind, planes=[5, 6])
    assert planes.where == "planes 5, 6"
    assert planes.scores["mitochondria"]["iou"] == pytest.approx(
        jaccard_score(t[5:7].ravel(), p[5:7].ravel())
    )
    rest = evaluate.run(**kind, without="mitochondria").scores["mitochondria"]
    unpainted = painted() == 0
    assert rest["iou"] == pytest.approx(jaccard_score(t[unpainted], p[unpainted]))
    result = evaluate.run(**kind, planes=[5, 6], without="mitochondria")
    assert result.where == "planes 5, 6, where annotation_mitochondria is unlabelled"
    both = result.scores["mitochondria"]
    left = unpainted[5:7]
    assert both["iou"] == pytest.approx(jaccard_score(t[5:7][left], p[5:7][left]))


def test_result_is_printed_recorded_and_written(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores.json"
    result = evaluate.run(
        volume=str(store), labels="mitochondria", truth="truth", planes=[5], out=str(out),
        overrides=["labels=mitochondria"],
    )
    text = result.text()
    assert "labels/mitochondria against labels/truth, cell" in text
    assert f"{result.scores['mitochondria']['iou']:.3f}" in text
    assert "panoptic quality" in text
    written = json.loads(out.read_text())
    (record,) = [r for r in Volume.open(store).runs() if r["overrides"] == ["labels=mitochondria"]]
    assert record["metrics"] == written == result.as_dict()
    assert record["verb"] == "evaluate"
    assert record["status"] == "done"
    assert set(record["inputs"]) == {"raw", "labels/mitochondria", "labels/truth"}


def test_labels_of_nothing_score_zero_and_undefined_is_null(store: Path) -> None:
    result = evaluate.run(volume=str(store), labels="nothing", truth="truth")
    got = result.as_dict()["scores"]["nothing"]
    assert got["iou"] == got["object_recall_50"] == got["boundary_f1"] == 0
    assert got["precision"] is None
    assert "–" in result.text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"labels": "mitochondria", "truth": "nothing"}, "no voxel of the class"),
        ({"labels": "mito", "truth": "truth"}, r"labels=mito: .* has no such labels; it has \["),
        ({"labels": "mitochondria", "truth": "thruth"}, "truth=thruth"),
        ({"labels": "annotation_mitochondria", "truth": "truth"}, "is painting"),
        ({"labels": "mitochondria", "truth": "truth", "without": "x"}, "no annotation 'x'"),
        ({"labels": "mitochondria", "truth": "truth", "planes": [3, 99]}, r"no truth on \[99\]"),
        (
            {"labels": "mitochondria", "truth": "annotation_mitochondria", "planes": [6]},
            r"no truth on \[6\].*5, 12",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_clear_error(
    store: Path, words: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate.run(volume=str(store), **words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "either model=… .* or labels=…"),
        ({"labels": "mitochondria"}, "needs truth=.*mitochondria"),
        ({"labels": "mitochondria", "truth": "truth", "model": "m"}, "either model"),
        ({"labels": "mitochondria", "truth": "truth", "tolerance_nm": -1}, "no distance"),
        ({"labels": "mitochondria", "truth": "truth", "tolerance_nm": math.nan}, "no distance"),
        ({"labels": "mitochondria", "truth": "truth", "tolerance_nm": math.inf}, "no distance"),
        ({"labels": "mitochondria", "truth": "truth", "out": "."}, "is a folder"),
        ({"labels": "mitochondria", "truth": "truth", "within_nm": 0}, "no distance of places"),
        ({"labels": "mitochondria", "truth": "truth", "within_nm": 9, "planes": [5]}, "numbered"),
        (
            {"labels": "mitochondria", "truth": "annotation_mitochondria", "within_nm": 9},
            "both numbered objects",
        ),
        ({"labels": "truth", "truth": "annotation_mitochondria"}, "Say which with class_name"),
        (
            {"labels": "truth", "truth": "annotation_mitochondria", "class_name": "golgi"},
            r"\['mitochondria', 'nucleus'\], not golgi",
        ),
    ],
)
def test_settings_that_cannot_be_meant(
    store: Path, words: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate.run(volume=str(store), **words)


def test_a_misspelt_name_leaves_no_run_behind(store: Path) -> None:
    before = len(Volume.open(store).runs())
    with pytest.raises(DataError):
        evaluate.run(volume=str(store), labels="mitochondria", truth="thruth")
    assert len(Volume.open(store).runs()) == before


def test_missing_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no volume at"):
        evaluate.run(volume=str(tmp_path / "none.ome.zarr"), labels="a", truth="b")
