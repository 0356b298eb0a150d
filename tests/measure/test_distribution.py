"""All measures of a distribution together, on the phantom's nucleus and on a real one."""

from __future__ import annotations

from dataclasses import replace

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


@pytest.fixture(scope="module")
def lobes():
    """Two lobes, points on them, and what is found."""
    mask = two_lobes()
    points = apart(EnvelopeMesh.of(mask, spacing=SPACING), 180, least_um=0.25)
    numbers = np.arange(1, len(points) + 1)
    return mask, points, distribution(numbers, points, parts_of(mask), spacing=SPACING, **QUICK)


def test_twice_as_large_is_the_same_in_other_units(lobes):
    mask, points, one = lobes
    spreading = replace(
        QUICK["spreading"], density_um=1.0, curvature_um=0.6, bandwidth_um=0.2, far_um=0.6,
        pairs_um=2.0, pairs_step_um=0.1, island_um=1.0,
    )
    two = distribution(
        np.arange(1, 181), 2 * points, parts_of(mask), spacing=(80.0, 80.0, 80.0),
        spreading=spreading, sections=replace(QUICK["sections"], patch_um2=4.0),
    )
    powers = {
        "nearest_um": 1, "mean_distance_8_um": 1, "envelope_distance_um": 1,
        "kernel_density_per_um3": -3, "mean_curvature_per_um": -1,
        "gaussian_curvature_per_um2": -2, "section": 0,
    }
    for name, power in powers.items():
        assert two.columns[name] == pytest.approx(2.0**power * one.columns[name], rel=1e-6), name
    assert two.facts["envelope_um2"] == pytest.approx(4 * one.facts["envelope_um2"])
    assert two.facts["objects_per_um2"] == pytest.approx(one.facts["objects_per_um2"] / 4)
    for a, b in zip(*(f.facts["sections"]["rows"] for f in (one, two)), strict=True):
        assert b["n_objects"] == a["n_objects"]
        assert b["area_um2"] == pytest.approx(4 * a["area_um2"])
        assert b["mean_mean_distance_8_um"] == pytest.approx(2 * a["mean_mean_distance_8_um"])
    # The weight of an object for itself is found by sites 0.12 µm wide in either.
    assert two.columns["density_per_um2"] == pytest.approx(
        one.columns["density_per_um2"] / 4, rel=0.03
    )


def test_another_order_and_other_numbers_change_nothing_of_an_object(lobes):
    mask, points, one = lobes
    order = np.random.default_rng(0).permutation(len(points))
    two = distribution(
        1000 - order, points[order], parts_of(mask), spacing=SPACING, **QUICK
    )
    for name, column in one.columns.items():
        if name != "cluster":  # numbered by size, then by the first of them
            assert two.columns[name] == pytest.approx(column[order]), name
    assert (two.columns["cluster"] > 0).tolist() == (one.columns["cluster"][order] > 0).tolist()
    for name in ("mean_distance_8_um", "objects_per_um2"):
        a, b = (f.facts["comparisons"][name] for f in (one, two))
        assert b["difference"] == pytest.approx(a["difference"])
        assert b["blocks_p"] == pytest.approx(a["blocks_p"])


def test_columns_are_those_of_brute_force(lobes):
    _mask, points, found = lobes
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    nearest = np.sort(between, axis=1)[:, 1:]
    assert found.columns["nearest_um"] == pytest.approx(nearest[:, 0])
    assert found.columns["mean_distance_8_um"] == pytest.approx(nearest[:, :8].mean(axis=1))
    rows = {row["section"]: row for row in found.facts["sections"]["rows"]}
    for number, row in rows.items():
        mine = found.columns["section"] == number
        assert row["n_objects"] == mine.sum()
        assert row["mean_mean_distance_8_um"] == pytest.approx(
            nearest[mine, :8].mean(axis=1).mean()
        )
        assert row["objects_per_um2"] == pytest.approx(mine.sum() / row["area_um2"])
    assert sum(row["area_um2"] for row in rows.values()) == pytest.approx(
        found.facts["envelope_um2"]
    )
    quality = found.facts["quality"]
    assert quality["n_nearest_below"] == (nearest[:, 0] < 0.12).sum()
    assert quality["n_mean_8_above"] == (nearest[:, :8].mean(axis=1) > 0.5).sum()


def test_split_and_missed_pores_are_counted(lobes):
    mask, points, one = lobes
    split = np.concatenate([points, points[:5] + np.array([0.06, 0, 0])])
    found = distribution(np.arange(185), split, parts_of(mask), spacing=SPACING, **QUICK)
    assert found.facts["quality"]["n_nearest_below"] == 10
    assert one.facts["quality"]["n_nearest_below"] == 0
    missed = points[np.linalg.norm(points - points[0], axis=1) > 0.8]
    fewer = distribution(
        np.arange(len(missed)), missed, parts_of(mask), spacing=SPACING, **QUICK
    )
    share = [
        f.facts["quality"]["n_mean_8_above"] / f.facts["n_objects"] for f in (one, fewer)
    ]
    assert share[1] > share[0]


def test_what_lies_far_from_a_cut_is_as_in_the_whole_nucleus(lobes):
    mask, points, one = lobes
    cut = mask.shape[0] // 2
    seen = points[:, 0] >= cut * 0.04
    half = distribution(
        np.arange(seen.sum()), points[seen] - [cut * 0.04, 0, 0], parts_of(mask[cut:]),
        spacing=SPACING, **QUICK,
    )
    assert half.facts["cut_by"] == ["first z"]
    assert half.facts["envelope_um2"] == pytest.approx(one.facts["envelope_um2"] / 2, rel=0.03)
    away = points[seen, 0] - cut * 0.04 > 0.7
    assert away.sum() > 10
    for name in ("mean_curvature_per_um", "envelope_distance_um"):
        assert half.columns[name][away] == pytest.approx(one.columns[name][seen][away], abs=1e-6)
    # Neighbours are missing at the cut: what a distance says there is the most that it can be.
    eight = half.columns["mean_distance_8_um"] - one.columns["mean_distance_8_um"][seen]
    assert (eight >= -1e-9).all()
    assert eight.max() > 0.05
    # A density is not: it is of the envelope that is seen.
    dense = [f.columns["density_per_um2"] for f in (half, one)]
    for values, facts in zip(dense, (half.facts, one.facts), strict=True):
        assert values.mean() == pytest.approx(facts["objects_per_um2"], rel=0.1)


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


def test_section_1_has_more_envelope_whichever_way_the_plane_is_given(lobes):
    mask, points, furrowed = lobes
    plane = furrowed.facts["sections"]["plane"]
    found = [
        distribution(
            np.arange(180), points, parts_of(mask), spacing=SPACING, spreading=QUICK["spreading"],
            sections=Sections(
                split="plane", point_um=plane["point_um"],
                normal=[sign * n for n in plane["normal"]],
                n_draws=99,
            ),
        ) for sign in (1, -2)
    ]
    for one in found:
        areas = [row["area_um2"] for row in one.facts["sections"]["rows"]]
        assert areas[0] > areas[1]
        assert one.columns["section"].tolist() == furrowed.columns["section"].tolist()
