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


def test_layers_are_made_later_too(store):
    words = ["pores", f"volume={store.path}", *FIRST, "pockets.method=operators", SMALL,
             "steps=[pockets]"]
    assert main(words) == 0
    digest = store.labels_info("pockets").digest
    assert "pockets_shell" not in store.label_names()
    assert main([*words, "keep=all"]) == 0
    assert "pockets_shell" in store.label_names()
    assert store.labels_info("pockets").digest == digest
