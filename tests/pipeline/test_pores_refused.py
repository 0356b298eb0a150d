"""What ``fibseg pores`` refuses, and what it does with a nucleus that a face of the volume cuts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from pore_cells import SHAPE, cell, places_nm, pore_store
from scipy.spatial import cKDTree
from small_cells import add_labels
from stores import add_painting, untouched

from fibseg.cli import main
from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.errors import DataError, ExistsError, RoomError, UsageError
from fibseg.pipeline import pockets, pore_sites, pores, pseudolabels
from fibseg.pipeline.pocket_operators import Chain
from fibseg.pipeline.pyramid import finish_product
from fibseg.postprocess import smooth, threshold

FIRST = ("blocks=serial", "steps=[pockets,pseudolabels]")
"""Of the steps, those that need no network."""


def run(store, *words):
    """As the command does it, with its errors."""
    config = resolved(compose_verb("pores", [f"volume={store.path}", *FIRST, *words]))
    config.pop("dry_run")
    return pores.run(**build_parts(config))


def test_a_cut_face_is_no_envelope_and_has_no_pores(tmp_path):
    image, nucleus, centres = cell()
    store = pore_store(tmp_path / "cell.ome.zarr", image=image[30:], nucleus=nucleus[30:])
    run(store)
    table, expected = store.table("pores_pseudo"), centres - [30 * 20.0, 0, 0]
    whole = expected[expected[:, 0] > 100]
    away, which = cKDTree(expected).query(places_nm(table))
    assert away.max() < 30
    assert {*which.tolist()} >= {*cKDTree(expected).query(whole)[1].tolist()}
    labels = store.labels("pores_pseudo")[...]
    assert not labels[0].any()
    # The middle of the cut face lies deep in the nucleus.
    assert not store.labels("pockets")[:8, 28:42, 28:42].any()
    assert places_nm(store.table("pockets_sites"))[:, 0].min() > -10


def test_an_envelope_without_pores_is_refused_and_nothing_is_lost(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", n_pores=0)
    add_labels(store, "pockets", np.ones(SHAPE, np.uint32))
    with pytest.raises(DataError, match="not of two kinds"):
        run(store, "overwrite=true")
    assert store.labels("pockets")[0, 0, 0] == 1


def test_the_wrong_polarity_is_refused(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", polarity="bright")
    with pytest.raises(DataError, match="polarity"):
        run(store)


def test_without_pockets_there_are_no_pores(tmp_path, caplog):
    store = pore_store(tmp_path / "cell.ome.zarr")
    run(store, "steps=[pockets]", "pockets.limits.envelope.min_volume_nm3=1.5e7")
    assert "no pocket is left" in caplog.text
    assert len(store.table("pockets")["label"]) == 0
    assert not store.table("pockets_sites")["label"].any()
    with pytest.raises(DataError, match="32 places is surely a pore: none of them has"):
        run(store, "steps=[pseudolabels]")


def test_operators_that_find_nothing(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    run(store, "steps=[pockets]", "pockets.method=operators",
        "pockets.operators.threshold.level=0.9")
    assert len(store.table("pockets")["label"]) == 0
    assert (store.table("pockets_sites")["label"] == 0).all()


def test_coarse_voxels_are_refused_before_any_work(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", spacing=(31.0, 20.0, 20.0))
    with untouched(store.path), pytest.raises(UsageError, match="31 x 20 x 20 nm are too coarse"):
        run(store)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"nucleus": None}, DataError, "no labels 'nucleus' of the nucleus; it has none"),
        ({"nucleus": np.zeros(SHAPE)}, DataError, "labels/nucleus is empty"),
        ({"nucleus": np.ones(SHAPE)}, DataError, "labels/nucleus is full"),
    ],
)
def test_a_nucleus_has_to_be_there_and_to_have_a_border(tmp_path, change, error, said):
    store = pore_store(tmp_path / "cell.ome.zarr", **change)
    with pytest.raises(error, match=said):
        run(store)
    assert "pockets" not in store.label_names()


def test_painting_is_no_nucleus(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    add_painting(store, "nucleus")
    with pytest.raises(UsageError, match="is painting"):
        run(store, "nucleus=annotation_nucleus")


@pytest.mark.parametrize(
    ("step", "name"),
    [("pockets", "pockets"), ("pockets", "pockets_shell"), ("pseudolabels", "pores_pseudo")],
)
def test_what_is_made_cannot_be_the_nucleus(tmp_path, step, name):
    store = pore_store(tmp_path / "cell.ome.zarr")
    with untouched(store.path), pytest.raises(UsageError, match=f"labels/{name} is made here"):
        run(store, f"steps=[{step}]", f"nucleus={name}")


@pytest.fixture
def made(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    run(store)
    return store


def test_foreign_pockets_are_refused_before_any_work(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    add_labels(store, "pockets", np.ones(SHAPE, np.uint32))
    with untouched(store.path), pytest.raises(ExistsError, match="labels/pockets stands already"):
        run(store)
    run(store, "overwrite=true")
    assert len(store.table("pores_pseudo")["label"]) == 24


def test_foreign_layers_are_refused_before_any_work(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    add_labels(store, "pockets_shell", np.ones(SHAPE, np.uint8))
    words = ["steps=[pockets]", "pockets.method=operators"]
    with untouched(store.path), pytest.raises(ExistsError, match="labels/pockets_shell stands"):
        run(store, *words, "keep=all")
    run(store, *words)
    run(store, *words, "keep=all", "overwrite=true")
    assert not store.labels("pockets_shell")[0, 0, 0]


@pytest.mark.parametrize("layer", ["smooth", "particles"])
def test_foreign_probabilities_are_no_layers_and_are_refused_before_any_work(tmp_path, layer):
    store = pore_store(tmp_path / "cell.ome.zarr")
    product = store.create_probabilities(f"pockets_{layer}", inputs="by others")
    product.array[:] = 7
    finish_product(product)
    words = ["steps=[pockets]", "pockets.method=operators"]
    with untouched(store.path), pytest.raises(ExistsError, match=f"probabilities/pockets_{layer}"):
        run(store, *words, "keep=all")
    run(store, *words)
    assert store.probabilities(f"pockets_{layer}")[0, 0, 0] == 7
    run(store, *words, "keep=all", "overwrite=true")
    before = store.probabilities_info(f"pockets_{layer}").inputs
    run(store, *words, "keep=all", "pockets.operators.threshold.level=0.08")  # now it is its own
    assert store.probabilities_info(f"pockets_{layer}").inputs != before


def test_a_foreign_painting_of_pores_is_refused(made):
    made.labels_info("annotation_pores")
    product = made.create_labels(
        "pores", kind="annotation", dtype="uint8", inputs="by hand", overwrite=True
    )
    product.array[:] = 1
    finish_product(product)
    with pytest.raises(ExistsError, match="labels/annotation_pores stands already"):
        run(made, "steps=[pseudolabels]")
    assert made.labels("annotation_pores")[0, 0, 0] == 1


def test_pockets_of_another_nucleus(made):
    add_labels(made, "other", cell()[1].astype(np.uint8))
    with pytest.raises(DataError, match="another nucleus than labels/other"):
        run(made, "steps=[pseudolabels]", "nucleus=other")


def test_pseudolabels_need_pockets(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    with pytest.raises(DataError, match="has no labels/pockets"):
        run(store, "steps=[pseudolabels]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pockets.method=guess"], "method=guess is unknown"),
        (["keep=some"], "keep=some is unknown"),
        (["pockets.least=1.5"], "least=1.5 is no confidence"),
        (["pockets.method=operators", "pockets.operators.threshold=null"], "missing: threshold"),
        (["pockets.method=operators", "pockets.depth_nm=[200,40]"], "no range"),
        (["steps=[pseudolabels]", "pseudolabels.method=guess"], "method=guess is unknown"),
        (["pockets.shape.gap_nm=[20,-40]"], "gap_nm"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path, words, said):
    store = pore_store(tmp_path / "cell.ome.zarr")
    with untouched(store.path), pytest.raises(UsageError, match=said):
        run(store, *words)


def test_operators_are_those_of_their_names():
    with pytest.raises(UsageError, match="Unknown: sharpen"):
        Chain({"sharpen": partial(smooth, sigma_nm=1.0)})
    config = resolved(compose_verb("pores", ["volume=x"]))
    given = build_parts({"pockets": config["pockets"]})["pockets"]["operators"]
    with pytest.raises(UsageError, match="operator smooth is threshold"):
        Chain({**given, "smooth": partial(threshold, level=0.1)})


def test_operators_have_to_be_given(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    with pytest.raises(UsageError, match="needs operators"):
        pockets.run(volume=str(store.path), method="operators")
    with pytest.raises(DataError, match="has no labels/pockets"):
        pseudolabels.run(volume=str(store.path))


def test_the_command_ends_in_the_code_of_its_error(tmp_path, capsys):
    store = pore_store(tmp_path / "cell.ome.zarr", nucleus=None)
    assert main(["pores", f"volume={store.path}"]) == 65
    assert "no labels 'nucleus'" in capsys.readouterr().err


def test_more_memory_than_there_is(tmp_path, monkeypatch):
    store = pore_store(tmp_path / "cell.ome.zarr")
    monkeypatch.setattr(pore_sites, "free_memory", lambda: 3.6e8)
    with pytest.raises(RoomError, match=r"0\.343 million voxels of 20 x 20 x 20 nm .* 0\.374 GB"):
        run(store)
    monkeypatch.setattr(pore_sites, "free_memory", lambda: 3.8e8)
    run(store, "steps=[pockets]")


def test_a_changed_nucleus_makes_pores_stale(made, capsys):
    add_labels(made, "nucleus", cell()[1].astype(np.uint8) * 2, inputs="y", overwrite=True)
    assert main(["verify", f"volume={made.path}", FIRST[0]]) == 65
    text = capsys.readouterr().err
    assert "labels/nucleus has changed since it was derived from it" in text
    assert "Run fibseg pores again" in text
    with pytest.raises(DataError, match="another nucleus than labels/nucleus as it is now"):
        run(made, "steps=[pseudolabels]")
    run(made)
    assert main(["verify", f"volume={made.path}", FIRST[0]]) == 0


def test_pockets_that_were_measured_again_are_still_those(made):
    words = [f"volume={made.path}", FIRST[0]]
    before = made.table("pores_pseudo")
    assert main(["measure", *words, "objects=pockets", "to=[nucleus]", "cell=null"]) == 0
    run(made, "steps=[pseudolabels]", "pseudolabels.rule.apart_nm=90")
    np.testing.assert_array_equal(made.table("pores_pseudo")["distance_nm"], before["distance_nm"])


@pytest.mark.parametrize("name", ["pockets", "pores_pseudo"])
def test_what_no_measurement_finds_is_kept_by_measure(made, name):
    before = made.table(name)
    words = [f"volume={made.path}", FIRST[0], f"objects={name}", "to=[nucleus]", "cell=null"]
    for _ in range(2):
        assert main(["measure", *words]) == 0
        words.append("neighbours=1")
    after = made.table(name)
    assert {"confidence", "gap_contrast", "distance_nm", "surface_area_um2"} <= set(after)
    for column, values in before.items():
        np.testing.assert_array_equal(after[column], values)
    run(made)  # and the steps take it for what it is
    assert set(made.table(name)) == set(after)
