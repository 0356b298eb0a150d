"""All measures of a distribution together, on the phantom's nucleus and on a real one."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import apart, parts_of, two_lobes

from fibseg.measure.distribution import distribution
from fibseg.measure.distribution_settings import Sections, Spreading
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.furrow import furrow_of
from fibseg.phantom.body import make_body
from fibseg.phantom.grid import Grid
from fibseg.phantom.pores import place_pores
from fibseg.pipeline.distribution_job import COLUMNS

SPACING = (40.0, 40.0, 40.0)
QUICK = {"spreading": Spreading(n_simulations=39), "sections": Sections(n_draws=399)}


def phantom_pores(*, gradient):
    """Exact pores, and the nucleus on every second voxel."""
    grid, rng = Grid((176, 224, 224), (20.0, 20.0, 20.0)), np.random.default_rng(1)
    body = make_body(grid, rng)
    pores = place_pores(grid, body, density_per_um2=8.0, pore_gradient=gradient, rng=rng).table
    return pores, body.nucleus[::2, ::2, ::2] < 0


@pytest.fixture(scope="module")
def phantom():
    pores, nucleus = phantom_pores(gradient=True)
    points = np.stack([pores[f"{a}_um"] for a in "zyx"], axis=1)
    return pores, distribution(
        pores["label"], points, parts_of(nucleus), spacing=SPACING, **QUICK
    )


def test_sections_are_the_lobes_of_the_phantom(phantom):
    pores, found = phantom
    assert np.mean(found.columns["section"] == pores["lobe"]) > 0.95


def test_the_difference_that_the_phantom_builds_in_is_found(phantom):
    _, found = phantom
    compared = found.facts["comparisons"]
    assert compared["mean_distance_8_um"]["blocks_p"] < 0.05
    assert compared["objects_per_um2"]["blocks_p"] < 0.05
    eight, counts = compared["mean_distance_8_um"], compared["objects_per_um2"]
    assert eight["low"] > 0
    assert eight["hedges_low"] > 0.5
    assert counts["mean_2"] / counts["mean_1"] == pytest.approx(1.35, rel=0.1)


def test_density_is_that_of_the_phantom(phantom):
    _pores, found = phantom
    assert found.facts["objects_per_um2"] == pytest.approx(8, rel=0.05)
    columns = found.columns
    for row in found.facts["sections"]["rows"]:
        mine = columns["section"] == row["section"]
        true = mine.sum() / row["area_um2"]
        # Beside the furrow a ball holds some of the other section.
        assert columns["density_per_um2"][mine].mean() == pytest.approx(true, rel=0.1)


def test_the_phantoms_pores_keep_their_distance(phantom):
    _, found = phantom
    curves = found.facts["pair_correlation"]["curves"]
    g = np.array(curves["pair_correlation"])
    assert g[:4].max() == 0
    assert g[5] > 1.3
    assert found.facts["pair_correlation"]["p_value"] <= 0.05
    assert found.facts["clusters"]["n_clusters"] == 0
    assert found.facts["quality"]["n_nearest_below"] == 0
    row = [i for i, c in enumerate(found.facts["correlations"]["with_column"])
           if c == "mean_distance_8_um"]
    assert found.facts["correlations"]["pearson_r"][row[0]] < -0.4


def test_axes_may_be_swapped():
    mask = two_lobes()
    points = apart(EnvelopeMesh.of(mask, spacing=SPACING), 90, least_um=0.25)
    one = distribution(np.arange(90), points, parts_of(mask), spacing=SPACING, **QUICK).columns
    swapped = distribution(
        np.arange(90), points[:, [2, 0, 1]], parts_of(mask.transpose(2, 0, 1)), spacing=SPACING,
        **QUICK,
    ).columns
    for name in ("mean_distance_8_um", "nearest_um", "kernel_density_per_um3", "cluster"):
        assert swapped[name] == pytest.approx(one[name]), name
    # A vertex at the rim of a ball falls in or out by its last digits.
    assert swapped["density_per_um2"] == pytest.approx(one["density_per_um2"], rel=0.02)
    curved = "mean_curvature_per_um"
    assert np.abs(swapped[curved] - one[curved]).max() < 0.1
    assert np.mean(swapped["section"] == one["section"]) > 0.95


def test_columns_are_those_that_the_verb_says():
    mask = two_lobes()
    points = apart(EnvelopeMesh.of(mask, spacing=SPACING), 10, least_um=0.5)
    found = distribution(np.arange(10), points, parts_of(mask), spacing=SPACING, **QUICK)
    assert set(found.columns) == set(COLUMNS)
    assert all(len(column) == 10 for column in found.columns.values())


def test_the_furrow_of_a_real_nucleus(real_data):
    labels = real_data("hela_cell_labels.npz")["label"]
    nucleus = (labels == 1) | (labels == 2)
    parts = parts_of(nucleus)
    spacing = (50.0, 40.0, 40.0)
    plane = furrow_of(parts, spacing=spacing)
    envelope = EnvelopeMesh.of_parts(parts, spacing=spacing)
    assert envelope.total_um2 == pytest.approx(390, rel=0.02)
    assert plane is not None
    assert plane.neck < 0.97
    front = envelope.area_um2[plane.height_um(envelope.vertices_um) > 0].sum()
    assert 0.25 < front / envelope.total_um2 < 0.75
    # The furrow that pictures show: across z, falling along x.
    assert abs(np.dot(plane.normal, (0.83, 0.17, -0.53))) > 0.95
