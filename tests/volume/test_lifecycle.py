"""A product is there whole, or not at all; several at once do not disturb each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fibseg.errors import ExistsError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume, layout, lifecycle
from fibseg.volume.lifecycle import new_group


def test_a_failed_start_leaves_nothing(volume, monkeypatch, files):
    volume.create_labels("a", kind="labels", dtype="uint8", inputs="a").discard()
    before = files(volume.path)

    def full(*args, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lifecycle.metadata, "write_state", full)
    with pytest.raises(OSError, match="No space"):
        volume.create_labels("m", kind="labels", dtype="uint8", inputs="a")
    assert files(volume.path) == before
    assert not (volume.path / "labels" / "m").exists()


def test_a_failed_finish_can_be_repeated(volume, monkeypatch):
    product = volume.create_labels("m", kind="labels", dtype="uint8", inputs="a")
    product.array[:] = 1
    product.journal_path.write_text("all done")

    def full(*args, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(layout, "stored_bytes", full)
        with pytest.raises(OSError, match="No space"):
            finish_product(product)
    assert volume.label_names() == []
    assert product.journal_path.exists()
    finish_product(product)
    assert volume.label_names() == ["m"]
    assert not product.journal_path.exists()


OUTCOME = {
    # standing complete, same inputs, overwrite, derived again -> what a run gets
    (False, True, False, False): "resumed",
    (False, True, True, False): "resumed",
    (False, False, False, False): "new",
    (False, False, True, False): "new",
    (True, True, False, False): "complete",
    (True, True, True, False): "complete",
    (True, False, False, False): "error",
    (True, False, True, False): "new",
    (False, True, False, True): "resumed",
    (False, False, False, True): "new",
    (True, True, False, True): "complete",
    (True, False, False, True): "new",
    (True, False, True, True): "new",
    (True, True, True, True): "complete",
    (False, True, True, True): "resumed",
    (False, False, True, True): "new",
}


@pytest.mark.parametrize("case", list(itertools.product([False, True], repeat=4)))
def test_every_case_of_a_standing_product(tmp_path, case):
    standing_complete, same, overwrite, derived = case
    volume = Volume.create(
        tmp_path / "v", shape=(2, 20, 20), dtype="uint8", spacing=(1, 1, 1), polarity="dark"
    )
    source = "probabilities/m" if derived else None

    def create(inputs, **keywords):
        return volume.create_labels(
            "m", kind="labels", dtype="uint8", inputs=inputs, derived_from=source,
            unedited=bool, **keywords
        )

    first = create("a")
    first.array[:] = 1
    if standing_complete:
        finish_product(first)
    if OUTCOME[case] == "error":
        with pytest.raises(ExistsError):
            create("a" if same else "b", overwrite=overwrite)
        return
    second = create("a" if same else "b", overwrite=overwrite)
    assert second.complete == (OUTCOME[case] == "complete")
    assert (second.array[:] == 1).all() == (OUTCOME[case] != "new")


@pytest.mark.parametrize("change", [{"dtype": "uint16"}, {"derived_from": "probabilities/m"}])
def test_equal_inputs_do_not_hide_another_type_or_origin(volume, change):
    wanted = {"kind": "labels", "dtype": "uint32", "inputs": "a"}
    product = volume.create_labels("m", **wanted)
    product.array[:] = 1
    finish_product(product)
    with pytest.raises(ExistsError):
        volume.create_labels("m", **{**wanted, **change})


def test_products_finished_in_any_order_are_all_listed(volume):
    products = [
        volume.create_labels(name, kind="labels", dtype="uint8", inputs="a") for name in "cab"
    ]
    for product in products:
        product.array[:] = 1
        finish_product(product)
    assert volume.label_names() == ["a", "b", "c"]
    products[0].discard()
    assert volume.label_names() == ["a", "b"]


def test_a_group_appears_under_its_name_only_when_whole(tmp_path):
    state = {"ome_version": "0.5", "complete": False}
    new_group(tmp_path / "deep" / "g", state, shape=(2, 3, 4), dtype=np.dtype("uint8"))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["g"]
    assert layout.open_array(tmp_path / "deep" / "g" / "0").shape == (2, 3, 4)
