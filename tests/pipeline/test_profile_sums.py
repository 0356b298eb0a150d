"""Volumes and shares of a cell: of any blocks the same, and those of the phantom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, masks, shapes

from fibseg.errors import DataError
from fibseg.measure import profile
from fibseg.phantom import make_cell
from fibseg.pipeline.measured import profile_lines
from fibseg.pipeline.profile_sums import count_voxels, require_border

NAMES = ["cell", "nucleus", "mitochondria"]


def shares(labels, *, block_shape, spacing=(10.0, 10.0, 10.0), cell="cell", nucleus="nucleus"):
    counts = count_voxels(labels, cell=cell, nucleus=nucleus, block_shape=block_shape)
    return counts, profile.finish(
        counts, names=list(labels), cell=cell, nucleus=nucleus, spacing=spacing
    )


@st.composite
def cells(draw):
    shape = draw(shapes())
    return {name: draw(masks(shape)).astype(np.uint8) * 3 for name in NAMES}


@settings(max_examples=40)
@given(cells(), block_shapes())
def test_any_blocks_give_the_counts_of_the_whole(labels, block_shape):
    counts, found = shares(labels, block_shape=block_shape)
    inside = {name: voxels > 0 for name, voxels in labels.items()}
    cytoplasm = inside["cell"] & ~inside["nucleus"]
    face = np.ones(cytoplasm.shape, bool)
    face[1:-1, 1:-1, 1:-1] = False
    for i, name in enumerate(NAMES):
        assert counts["n_voxels"][i] == inside[name].sum()
        assert counts["n_at_face"][i] == (inside[name] & face).sum()
        assert counts["n_in_cytoplasm"][i] == (inside[name] & cytoplasm).sum()
        assert found[name]["volume_um3"] == pytest.approx(inside[name].sum() * 1e-6)
    if inside["cell"].any():
        assert found["mitochondria"]["share_of_cell"] == pytest.approx(
            (inside["mitochondria"] & inside["cell"]).sum() / inside["cell"].sum()
        )
    else:
        assert "share_of_cell" not in found["mitochondria"]
    assert ("share_of_cytoplasm" in found["mitochondria"]) == cytoplasm.any()


def test_the_shares_of_the_phantom_are_those_it_was_built_with():
    cell = make_cell((96, 112, 112), seed=5, pores=False)
    labels = {name: cell.labels[name] for name in NAMES}
    _, found = shares(labels, block_shape=(64, 64, 64), spacing=cell.spacing)
    truth = np.count_nonzero(labels["mitochondria"]) / np.count_nonzero(cell.labels["cytoplasm"])
    share = found["mitochondria"]["share_of_cytoplasm"]
    assert share == pytest.approx(truth, abs=0.005)
    assert share == pytest.approx(found["mitochondria"]["literature"], abs=0.02)
    assert found["cytoplasm"]["volume_um3"] == pytest.approx(
        np.count_nonzero(cell.labels["cytoplasm"]) * 8e-6
    )


def test_the_text_has_shares_and_literature():
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[1:3] = 1
    nucleus, mitochondria = mask.copy(), mask.copy()
    nucleus[:, :2], mitochondria[:, :, 1:] = 0, 0
    _, found = shares(
        {"cell": mask, "nucleus": nucleus, "mitochondria": mitochondria}, block_shape=(4, 4, 4)
    )
    lines = profile_lines(found)
    assert lines[1].endswith("50.0 % of the cell")
    assert "25.0 % of the cell  25.0 % of the cytoplasm  literature: about 10 %" in lines[2]
    assert lines[3].startswith("cytoplasm")


def test_without_a_cell_there_are_volumes_only():
    labels = {"er": np.ones((2, 2, 2), np.uint8)}
    _, found = shares(labels, block_shape=(2, 2, 2), cell=None, nucleus=None)
    assert found == {"er": {"volume_um3": pytest.approx(8e-6)}}


def test_an_empty_volume_has_no_voxels():
    labels = {"cell": np.zeros((0, 2, 2), np.uint8), "er": np.zeros((0, 2, 2), np.uint8)}
    counts, found = shares(labels, block_shape=(2, 2, 2), nucleus=None)
    assert counts["n_voxels"].tolist() == [0, 0]
    assert found["er"] == {"volume_um3": 0}


def test_labels_of_another_shape_are_refused():
    labels = {"cell": np.ones((4, 4, 4), np.uint8), "er": np.ones((4, 4, 5), np.uint8)}
    with pytest.raises(DataError, match=r"differ in shape: .*'er': \(4, 4, 5\)"):
        count_voxels(labels, cell="cell", nucleus=None, block_shape=(4, 4, 4))


@pytest.mark.parametrize(
    ("n", "said"),
    [([0, 4], "no object in labels/m"), ([4, 0], "labels/t is empty"),
     ([4, 64], "labels/t fills the whole volume")],
)
def test_without_a_border_nothing_is_near(n, said):
    counts = {"n_voxels": np.array(n)}
    with pytest.raises(DataError, match=said):
        require_border(counts, names=["m", "t"], objects="m", to=["t"], shape=(4, 4, 4))
    require_border(counts | {"n_voxels": np.array([4, 4])}, names=["m", "t"], objects="m",
                   to=["t"], shape=(4, 4, 4))
