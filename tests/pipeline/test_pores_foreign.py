"""``fibseg pores`` refuses what others have put where it writes before any step works."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pore_cells import SHAPE, pore_store
from small_cells import add_labels
from stores import untouched

from fibseg.cli import main
from fibseg.errors import DataError, ExistsError
from fibseg.pipeline.model_folders import model_folder
from fibseg.pipeline.pore_network import NAME, inferred_here
from fibseg.pipeline.pore_steps import MAKERS, Recipe, planned_steps
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume


@pytest.fixture
def store(tmp_path: Path) -> Volume:
    return pore_store(tmp_path / "cell.ome.zarr")


def steps(store: Volume, *names: str, **change):
    """Steps of the verb, every one if none is named."""
    settings: dict = {name: {} for name in MAKERS}
    return planned_steps(
        Recipe(volume=str(store.path), steps=names or tuple(MAKERS), **settings, **change)
    )


def add_probabilities(store: Volume, name: str = NAME, **attributes) -> None:
    product = store.create_probabilities(name, inputs="x", attributes=attributes)
    product.array[:] = 0
    finish_product(product)


def add_table(store: Volume, name: str, digest: str = "of others") -> None:
    store.write_table(name, {"label": np.array([1])}, labels_digest=digest)


def add_model(folder: Path, **source) -> None:
    """What a training leaves, as far as it is looked at."""
    (folder / "training").mkdir(parents=True)
    record = {"settings": {}, "sources": [source] if source else []}
    (folder / "training" / "run.json").write_text(json.dumps(record))
    (folder / "model.json").write_text("{}")


def ones(store: Volume, name: str, **options) -> None:
    add_labels(store, name, np.ones(SHAPE, np.uint32), **options)


FOREIGN = {
    "labels/pores": lambda store: ones(store, "pores"),
    "labels/pores_pseudo": lambda store: ones(store, "pores_pseudo"),
    "labels/annotation_pores": lambda store: add_labels(
        store, "pores", np.ones(SHAPE, np.uint8), kind="annotation"
    ),
    "probabilities/pores": lambda store: add_probabilities(store, model="other"),
    "tables/pores": lambda store: add_table(store, "pores"),
    "tables/pockets": lambda store: add_table(store, "pockets"),
    "tables/pockets_sites": lambda store: add_table(store, "pockets_sites"),
    "tables/pores_pockets": lambda store: add_table(store, "pores_pockets"),
    "cell.models/pores": lambda store: add_model(model_folder(store, NAME)),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_others_have_made_is_refused_before_any_work(store, what, capsys):
    FOREIGN[what](store)
    words = ["pores", f"volume={store.path}", "blocks=serial"]
    for more in ([], ["dry_run=true"]):
        with untouched(store.path.parent):
            assert main([*words, *more]) == ExistsError.exit_code
        said = capsys.readouterr().err
        assert what in said
        assert "overwrite=true" in said
    assert len(steps(store, overwrite=True)) == len(MAKERS)


def test_only_the_steps_that_are_asked_for_are_looked_at(store):
    FOREIGN["labels/pores"](store)
    assert len(steps(store, "pockets", "pseudolabels", "train", "infer")) == 4
    with pytest.raises(ExistsError, match="labels/pores stands"):
        steps(store, "pockets", "objects")
    assert len(steps(store, "distribution")) == 1  # of any small objects


def test_files_that_are_no_model_and_no_table_are_never_replaced(store):
    folder = model_folder(store, NAME)
    folder.mkdir(parents=True)
    assert len(steps(store)) == len(MAKERS)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ExistsError, match="other files"):
        steps(store, overwrite=True)
    (folder / "notes.txt").unlink()
    (store.path / "tables").mkdir(exist_ok=True)
    (store.path / "tables" / "pores.parquet").write_text("mine")
    with pytest.raises(DataError, match="not a table of fibseg"):
        steps(store, overwrite=True)


def test_what_was_made_here_of_older_settings_is_not_refused(store):
    ones(store, "pockets", derived_from="labels/nucleus")
    ones(store, "pores_pseudo", derived_from="labels/pockets")
    add_labels(store, "pores", np.ones(SHAPE, np.uint8), kind="annotation",
               derived_from="labels/pockets")
    ones(store, "pores", derived_from="probabilities/pores")
    source = {"annotation": "annotation_pores", "annotation_digest": "older",
              "raw_digest": store.raw_digest}
    add_model(model_folder(store, NAME), **source)
    model = str(model_folder(store, NAME))
    record = store.start_run("infer", config={"model": model}, overrides=[], inputs={})
    with record:
        add_probabilities(store)
        record.finish(products={"probabilities/pores": "older"}, metrics={})
    record = store.start_run("objects", config={}, overrides=[], inputs={})
    with record:
        record.finish(products={"labels/pores": "older"}, metrics={})
    add_table(store, "pores", "older")
    add_table(store, "pockets", store.labels_info("pockets").digest)
    assert len(steps(store)) == len(MAKERS)
    assert inferred_here(store, model)
    assert not inferred_here(store, str(store.path.parent / "b.models" / "pores"))


@pytest.mark.parametrize("change", [{"raw_digest": "other"}, {"annotation": "annotation_other"}])
def test_a_network_of_another_image_or_painting_is_refused(store, change):
    source = {"annotation": "annotation_pores", "raw_digest": store.raw_digest, **change}
    add_model(model_folder(store, NAME), **source)
    with pytest.raises(ExistsError, match="learned from something else"):
        steps(store)


def test_the_table_of_labels_that_a_killed_run_was_making_again_is_no_other(store):
    add_table(store, "pores", "older")
    with pytest.raises(ExistsError, match="tables/pores"):
        steps(store)
    store.create_labels(
        "pores", kind="labels", dtype=np.uint32, inputs="y", derived_from="probabilities/pores"
    )
    assert len(steps(store)) == len(MAKERS)
