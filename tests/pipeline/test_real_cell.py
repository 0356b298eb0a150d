"""The geometry of a whole real cell, thinned out, beside what NumPy and SciPy say of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import KDTree

from fibseg.pipeline import distance, measure
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

EVERY, FAR_NM = (4, 5, 5), 30_000.0
SPACING = (4 * 50.0, 5 * 40.0, 5 * 40.0)


@pytest.fixture(scope="module")
def parts(real_data):
    arrays, cut = real_data("hela_cell_labels.npz"), tuple(slice(None, None, n) for n in EVERY)
    label, several = arrays["label"][cut], arrays["label_multinuclei"][cut]
    nucleus = np.isin(label, (1, 2))
    others = ndimage.label((label == 3) & (several == 2))[0]
    return {"nucleus": nucleus, "cell": nucleus | (label == 5), "others": others}


@pytest.fixture(scope="module")
def store(parts, tmp_path_factory):
    shape = parts["cell"].shape
    store = Volume.create(
        tmp_path_factory.mktemp("real") / "cell.ome.zarr", shape=shape, dtype=np.uint8,
        spacing=SPACING, polarity="dark",
    )
    store.raw()[:] = parts["cell"] * np.uint8(200)
    finish_raw(store)
    for name, values in parts.items():
        product = store.create_labels(name, kind="labels", dtype=np.uint16, inputs="real")
        product.array[:] = values
        finish_product(product)
    measure.run(volume=str(store.path), objects="others", to=["nucleus", "cell"])
    return store


def faces_nm(mask):
    """Centres of all faces between the mask and what is not."""
    found = []
    for axis in range(3):
        at = np.argwhere(np.diff(mask.astype(np.int8), axis=axis)).astype(float)
        at[:, axis] += 0.5
        found.append(at * SPACING)
    return np.concatenate(found)


def test_volumes_are_voxels_counted(store, parts):
    profile = store.table_info("others")["measured"]["profile"]
    for name in ("nucleus", "cell", "others"):
        um3 = np.count_nonzero(parts[name]) * math.prod(SPACING) * 1e-9
        assert profile[name]["volume_um3"] == pytest.approx(um3, rel=1e-12)
    share = parts["nucleus"].sum() / parts["cell"].sum()
    assert profile["nucleus"]["share_of_cell"] == pytest.approx(share)
    assert 0.29 < share < 0.31, "as in full resolution, 29.9 %"


@pytest.mark.parametrize("target", ["nucleus", "cell"])
def test_distances_of_objects_are_those_to_the_nearest_face(store, parts, target):
    table, labels, tree = store.table("others"), parts["others"], KDTree(faces_nm(parts[target]))
    assert len(table["label"]) >= 5
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, table["label"])) * SPACING
    np.testing.assert_allclose(
        table[f"distance_{target}_um"], tree.query(centres)[0] / 1e3, atol=1e-6
    )
    for row, number in enumerate(table["label"].tolist()):
        mask = labels == number
        surface = np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1)) * SPACING
        nm = tree.query(surface)[0]
        found = [table[f"{kind}_{target}_um"][row] for kind in (
            "surface_distance", "mean_surface_distance"
        )]
        np.testing.assert_allclose(found, [nm.min() / 1e3, nm.mean() / 1e3], atol=1e-5)


@pytest.mark.parametrize("target", ["nucleus", "cell"])
def test_distances_of_voxels_are_those_of_scipy(store, parts, target):
    distance.run(volume=str(store.path), labels=target, max_nm=FAR_NM)
    mask = parts[target]
    outside, inside = (
        ndimage.distance_transform_edt(side, sampling=SPACING) for side in (~mask, mask)
    )
    np.testing.assert_allclose(store.distances(target)[:], outside - inside, atol=0.01)
