"""Products: which one a run gets, and that a finished one can be trusted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume


def make_labels(volume, name="mitochondria", *, fill=1, inputs="a", **keywords):
    product = volume.create_labels(name, kind="labels", dtype="uint32", inputs=inputs, **keywords)
    if not product.complete:
        product.array[:] = fill
        finish_product(product)
    return product


def test_a_new_product_appears_only_when_finished(volume):
    product = volume.create_labels(
        "nucleus", kind="labels", dtype="uint32", inputs="a", classes={"nucleus": 1},
        attributes={"level": 0.5},
    )
    assert volume.label_names() == []
    assert not product.complete
    with pytest.raises(DataError, match=r"labels/nucleus .* is not finished.*There is: none"):
        volume.labels("nucleus")
    product.array[:] = 3
    info = finish_product(product)
    assert info == volume.labels_info("nucleus") == product.info
    assert info.complete
    assert (info.name, info.kind, info.classes) == ("nucleus", "labels", {"nucleus": 1})
    assert info.attributes == {"level": 0.5}
    assert len(info.digest) == 64
    assert (volume.labels("nucleus")[:] == 3).all()
    assert volume.labels("nucleus", 1).shape == volume.raw(1).shape
    with pytest.raises(DataError, match=r"labels/nuclei .* does not exist.*There is: nucleus"):
        volume.labels("nuclei")


def test_finish_again_changes_nothing(volume, files):
    product = make_labels(volume)
    before = files(volume.path)
    assert finish_product(product) == product.info
    assert files(volume.path) == before


def test_an_unfinished_product_is_resumed(volume):
    first = volume.create_probabilities("m", inputs="a")
    first.array[:] = 9
    first.journal_path.write_text("block 1 done")
    again = volume.create_probabilities("m", inputs="a")
    assert not again.complete
    assert again.journal_path.read_text() == "block 1 done"
    assert (again.array[:] == 9).all()
    finish_product(again)
    assert not again.journal_path.exists()
    assert volume.probability_names() == ["m"]
    assert (volume.probabilities("m")[:] == 9).all()
    assert volume.probabilities_info("m").kind == "probabilities"


def test_an_unfinished_product_of_other_inputs_is_made_anew(volume, caplog):
    first = volume.create_probabilities("m", inputs="a")
    first.array[:] = 9
    first.journal_path.write_text("block 1 done")
    with caplog.at_level("INFO", "fibseg"):
        again = volume.create_probabilities("m", inputs="b")
    assert "unfinished probabilities/m" in caplog.text
    assert not again.journal_path.exists()
    assert (again.array[:] == 0).all()


def test_a_finished_product_is_returned_or_protected(volume):
    make_labels(volume)
    assert volume.create_labels("mitochondria", kind="labels", dtype="uint32", inputs="a").complete
    with pytest.raises(ExistsError, match=r"labels/mitochondria stands already.*overwrite=true"):
        make_labels(volume, inputs="b")
    assert (volume.labels("mitochondria")[:] == 1).all()
    make_labels(volume, inputs="b", fill=2, overwrite=True)
    assert (volume.labels("mitochondria")[:] == 2).all()


def test_what_can_be_derived_again_is_replaced(volume):
    source = "probabilities/mitochondria"
    make_labels(volume, derived_from=source)
    make_labels(volume, fill=2, inputs="b", derived_from=source, unedited=bool)
    assert (volume.labels("mitochondria")[:] == 2).all()
    with pytest.raises(ExistsError):
        make_labels(
            volume, inputs="c", derived_from="probabilities/other", unedited=bool
        )
    with pytest.raises(ExistsError):
        make_labels(volume, inputs="c", derived_from=source)
    with pytest.raises(ExistsError):
        make_labels(volume, inputs="c")


def test_a_foreign_label_image_is_not_replaced(volume):
    zarr.create_group(volume.path / "labels" / "mine")
    with pytest.raises(ExistsError, match="labels/mine"):
        make_labels(volume, "mine")
    assert make_labels(volume, "mine", overwrite=True).complete


def test_a_damaged_product_is_made_again(volume):
    product = make_labels(volume)
    next(p for p in (product.path / "0").rglob("*") if p.name == "0" and p.is_file()).unlink()
    with pytest.raises(DataError, match="lacks 1 of its files"):
        Volume.open(volume.path).labels("mitochondria")
    again = volume.create_labels("mitochondria", kind="labels", dtype="uint32", inputs="a")
    assert not again.complete


def test_discard_leaves_nothing(volume, files):
    make_labels(volume, "other")
    before = files(volume.path)
    product = make_labels(volume)
    product.journal_path.write_text("x")
    product.discard()
    assert files(volume.path) == before
    with pytest.raises(DataError, match="removed"):
        finish_product(product)


def test_finish_refuses_blocks_that_were_never_written(volume):
    product = volume.create_probabilities("m", inputs="a")
    with pytest.raises(DataError, match="lacks 1 of its files"):
        finish_product(product)
    assert volume.probability_names() == []


def test_a_handle_travels_to_another_process(volume):
    product = volume.create_probabilities("m", inputs="a")
    pickle.loads(pickle.dumps(product)).array[:] = 4
    assert (product.array[:] == 4).all()
    assert product.block_shape == volume.block_shape == product.array.shards


def test_annotations_have_names_of_their_own(volume):
    for name in ("mitochondria", "annotation_nucleus"):
        paint = volume.create_labels(name, kind="annotation", dtype="uint8", inputs="a")
        paint.array[:] = 1
        finish_product(paint)
    make_labels(volume)
    painted = ["annotation_mitochondria", "annotation_nucleus"]
    assert volume.label_names(kind="annotation") == painted
    assert volume.label_names(kind="labels") == ["mitochondria"]
    assert volume.annotation_name("mitochondria") == "annotation_mitochondria"
    assert volume.annotation_name("annotation_nucleus") == "annotation_nucleus"
    with pytest.raises(DataError, match=r"has no annotation 'cell'; it has .*annotation_nucleus"):
        volume.annotation_name("cell")


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("../x", {}),
        ("x", {"dtype": "float32"}),
        ("x", {"dtype": "int32"}),
        ("x", {"kind": "mask"}),
        ("annotation_x", {}),
    ],
)
def test_what_cannot_be_a_label_image(volume, name, keywords):
    wanted = {"kind": "labels", "dtype": "uint32", "inputs": "a", **keywords}
    with pytest.raises(UsageError):
        volume.create_labels(name, **wanted)


def test_label_pyramids_invent_no_label(volume):
    product = volume.create_labels("m", kind="labels", dtype="uint32", inputs="a")
    product.array[:] = np.random.default_rng(0).choice([0, 7, 1000], volume.shape)
    finish_product(product)
    assert set(np.unique(volume.labels("m", 1)[:])) <= {0, 7, 1000}


def test_scratch_is_hidden_and_goes_without_a_trace(volume, files):
    before = files(volume.path)
    scratch = volume.scratch("labels/m", "parts", dtype="uint64", inputs="a")
    scratch.array[:] = 2**40
    scratch.journal_path.write_text("x")
    assert (volume.scratch("labels/m", "parts", dtype="uint64", inputs="a").array[:] == 2**40).all()
    assert volume.label_names() == []
    other = volume.scratch("labels/m", "parts", dtype="uint64", inputs="b")
    assert (other.array[:] == 0).all()
    other.array[:] = 1
    assert finish_product(other).complete
    other.discard()
    assert files(volume.path) == before
    assert not (volume.path / ".scratch").exists()
