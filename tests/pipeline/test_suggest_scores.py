"""Where probabilities of a suggestion come from, and what its journal keeps of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from suggested_cells import arguments, contents, model_of, painted_store

from fibseg.cli import main
from fibseg.errors import DataError
from fibseg.export import load_spec
from fibseg.metrics import UNCERTAINTIES
from fibseg.pipeline import infer, suggest, suggest_folder, suggest_scores
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.suggest_plan import SuggestPlan, Wanted, make_suggest_plan
from fibseg.pipeline.suggest_scores import Scorer, still_stored, stored_probabilities
from fibseg.volume import Volume


class StoppedError(Exception):
    """In place of a signal."""


@pytest.fixture
def made(tmp_path: Path) -> tuple[Volume, Path]:
    """A store of its own, and a model of it."""
    store = painted_store(tmp_path / "a.ome.zarr")
    return store, model_of(tmp_path / "m", store)


def plan_of(store: Volume, model: Path, out: Path, **wanted: Any) -> SuggestPlan:
    store = Volume.open(store.path)
    return make_suggest_plan(store, str(model), load_spec(model), out, None, Wanted(**wanted))


def infer_as(store: Volume, model: Path, name: str, **how: Any) -> None:
    infer.run(model=str(model), volume=str(store.path), backend="torch", name=name, **how)


def with_cell(store: Volume) -> None:
    """Labels of a cell that fills a part of the volume."""
    product = store.create_labels("cell", kind="labels", dtype=np.uint32, inputs="cell")
    product.array[:, 8:40, 8:40] = 1
    finish_product(product)


def test_probabilities_of_a_part_of_the_volume_are_not_read_as_background(
    made: tuple[Volume, Path], tmp_path: Path
) -> None:
    store, model = made
    with_cell(store)
    suggest.run(**arguments(store, model, tmp_path / "before"))
    for name, range_nm in (("inside", (None, 0.0)), ("near", (-100.0, 100.0))):
        infer_as(store, model, name, within="cell", within_nm=range_nm)
        assert stored_probabilities(plan_of(store, model, tmp_path / "o")) == {}
    assert not store.probabilities("inside")[:, 45:].any()
    words = {"model": model, "volume": store.path, "name": "typed", "within": "cell",
             "within_nm": "[null,0]", "backend": "torch"}
    assert main(["infer", *(f"{k}={v}" for k, v in words.items())]) == 0
    assert stored_probabilities(plan_of(store, model, tmp_path / "o")) == {}
    suggest.run(**arguments(store, model, tmp_path / "after"))
    assert contents(tmp_path / "after") == contents(tmp_path / "before")


def test_the_latest_that_looked_everywhere_is_taken_however_it_looked(
    made: tuple[Volume, Path], tmp_path: Path
) -> None:
    store, model = made
    with_cell(store)
    for name, how in (("plain", {}), ("mirrored", {"tta": "flips"}), ("x", {"orientations": "x"})):
        infer_as(store, model, name, **how)
        assert list(stored_probabilities(plan_of(store, model, tmp_path / "o"))) == [name]
    infer_as(store, model, "inside", within="cell", within_nm=(None, 0.0))
    assert list(stored_probabilities(plan_of(store, model, tmp_path / "o"))) == ["x"]
    # One view does not say how views disagree.
    assert stored_probabilities(plan_of(store, model, tmp_path / "o", uncertainty="views")) == {}


def test_those_of_another_model_or_replaced_since_are_not_taken(
    made: tuple[Volume, Path], tmp_path: Path
) -> None:
    store, model = made
    infer_as(store, model, "x")
    plan = plan_of(store, model, tmp_path / "out")
    chosen = stored_probabilities(plan)
    assert chosen == {"x": store.probabilities_info("x").digest}
    assert still_stored(plan, chosen) == chosen
    other = model_of(tmp_path / "other", store, seed=1)
    assert stored_probabilities(replace(plan, model=str(other))) == {}
    product = store.create_probabilities("x", inputs="of something else", overwrite=True)
    product.array[:] = 7
    finish_product(product)
    plan = plan_of(store, model, tmp_path / "out")
    assert stored_probabilities(plan) == {}
    assert still_stored(plan, chosen) == {}
    assert still_stored(plan, {}) == {}


def stopped(
    where: Any, function: str, after: int, monkeypatch: pytest.MonkeyPatch, **how: Any
) -> None:
    """A suggestion that ends when `function` is called once more than `after` times."""
    inner, calls = getattr(where, function), []

    def stop(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise StoppedError
        return inner(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(where, function, stop)
        with pytest.raises(StoppedError):
            suggest.run(**how)


def test_planes_of_one_source_are_not_mixed_with_planes_of_another(
    made: tuple[Volume, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model = made
    how = arguments(store, model, tmp_path / "o")
    stopped(suggest_scores, "region_looks", 5, monkeypatch, **how)
    assert len((tmp_path / "o" / "suggestions.journal").read_text().splitlines()) == 6
    infer_as(store, model, "mirrored", tta="flips")
    suggest.run(**how)
    suggest.run(**arguments(store, model, tmp_path / "calm"))
    assert contents(tmp_path / "o") == contents(tmp_path / "calm")


def test_what_was_decided_is_filled_in_from_what_it_was_decided_on(
    made: tuple[Volume, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model = made
    suggest.run(**arguments(store, model, tmp_path / "calm"))
    how = arguments(store, model, tmp_path / "o")
    stopped(suggest_folder, "_write_planes", 0, monkeypatch, **how)
    infer_as(store, model, "mirrored", tta="flips")
    suggest.run(**how)
    assert contents(tmp_path / "o") == contents(tmp_path / "calm")


def test_the_journal_keeps_nothing_that_is_not_finite(
    made: tuple[Volume, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model = made
    plan = plan_of(store, model, tmp_path / "o", region_nm=400.0)
    planes, journal = [7, 8, 9, 10], tmp_path / "journal"
    margin, calls = UNCERTAINTIES["margin"], []

    def broken(views: np.ndarray) -> np.ndarray:
        """A row of regions after the other, three a plane; the third plane is spoilt."""
        calls.append(1)
        found = margin(views)
        found[0, 0] = np.nan if len(calls) > 6 else found[0, 0]
        return found

    with monkeypatch.context() as patched:
        patched.setitem(UNCERTAINTIES, "margin", broken)
        with pytest.raises(DataError, match=r"Plane 9 of .*3 of 12 values \(unsure\).*backend="):
            Scorer(plan, backend="torch").regions(planes, journal=journal)
    kept = journal.read_text()
    assert "NaN" not in kept
    assert [line.split()[1] for line in kept.splitlines()[1:]] == ["7", "8"]
    found = Scorer(plan, backend="torch").regions(planes, journal=journal)
    want = Scorer(plan, backend="torch").regions(planes, journal=tmp_path / "another")
    assert np.array_equal(found.uncertainty, want.uncertainty)
