"""``fibseg pores pockets.method=operators``: the operators of the case study, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from pore_cells import cell, pore_store
from scipy.spatial import cKDTree
from stores import untouched

from fibseg.cli import main
from fibseg.volume import Volume

FIRST = ("blocks=serial", "steps=[pockets,pseudolabels]")
"""Of the steps, those that need no network."""
# The drawn pockets have 420 voxels, of which a strict threshold leaves fewer.
SMALL = "pockets.limits.operators.min_volume_nm3=2e6"


@pytest.fixture
def store(tmp_path) -> Volume:
    return pore_store(tmp_path / "cell.ome.zarr")


def test_operators_instead_of_the_envelope_and_every_step_kept(store):
    words = ["pores", f"volume={store.path}", *FIRST, "pockets.method=operators", SMALL,
             "keep=all"]
    assert main(words) == 0
    assert set(store.table("pores_pseudo")["provenance"]) == {"operators/normal"}
    kept = {"pockets_shell", "pockets_mask", "pockets_parts", "pockets_grown"}
    assert kept <= set(store.label_names())
    assert {"pockets_smooth", "pockets_particles"} <= set(store.probability_names())
    shell, mask = (store.labels(f"pockets_{name}")[...] > 0 for name in ("shell", "mask"))
    assert (shell[mask]).all()
    with untouched(store.path):
        assert main(words) == 0
    found, (_, _, centres) = store.table("pockets"), cell()
    middle = np.stack([found[f"centroid_{a}_um"] for a in "zyx"], axis=1) * 1000
    inwards = 690 + (centres - 690) * (350 / 492)
    away, _ = cKDTree(middle).query(inwards)
    assert (away < 60).mean() > 0.8


def found_in(path, image, *words):
    """Labels and tables of pockets in a cell with that image."""
    store = pore_store(path, image=image)
    assert main(["pores", f"volume={path}", FIRST[0], "steps=[pockets]", *words]) == 0
    return store.labels("pockets")[...], store.table("pockets"), store.table("pockets_sites")


@pytest.mark.parametrize("words", [
    ["pockets.method=operators", SMALL], ["pockets.method=envelope"],
    ["pockets.method=operators", SMALL, "pockets.operators.adaptive_threshold.offset=0.01",
     "pockets.operators.grow_regions.low=0.6", "pockets.operators.grow_regions.high=0.9"],
], ids=["operators", "envelope", "operators with limits of brightness"])
def test_grey_values_that_were_scaled_and_shifted_have_the_same_pockets(tmp_path, words):
    image, _, _ = cell()
    labels, table, sites = found_in(tmp_path / "a.ome.zarr", image, *words)
    wide = image.astype(np.uint16) * 200 + 1000
    labels2, table2, sites2 = found_in(tmp_path / "b.ome.zarr", wide, *words)
    assert len(table["label"]) > 15
    np.testing.assert_array_equal(table2["label"], table["label"])
    assert (labels != labels2).sum() <= 1e-3 * (labels > 0).sum()
    np.testing.assert_array_equal(sites2["label"], sites["label"])
    for name in ("z_um", "y_um", "x_um"):
        np.testing.assert_allclose(sites2[name], sites[name], atol=1e-4)
    np.testing.assert_allclose(sites2["confidence"], sites["confidence"], atol=1e-3)
    np.testing.assert_allclose(sites2["gap_contrast"], 200 * sites["gap_contrast"], rtol=1e-2)


def test_limits_of_brightness_hold_back_what_grows(tmp_path):
    image, _, _ = cell()
    words = ["pockets.method=operators", "pockets.limits.operators.min_volume_nm3=1e5"]
    plain, *_ = found_in(tmp_path / "a.ome.zarr", image, *words)
    bright, *_ = found_in(
        tmp_path / "b.ome.zarr", image, *words, "pockets.operators.grow_regions.low=0.95"
    )
    assert 0 < (bright > 0).sum() < 0.9 * (plain > 0).sum()


def test_layers_are_made_later_too(store):
    words = ["pores", f"volume={store.path}", *FIRST, "pockets.method=operators", SMALL,
             "steps=[pockets]"]
    assert main(words) == 0
    digest = store.labels_info("pockets").digest
    assert "pockets_shell" not in store.label_names()
    assert main([*words, "keep=all"]) == 0
    assert "pockets_shell" in store.label_names()
    assert store.labels_info("pockets").digest == digest
