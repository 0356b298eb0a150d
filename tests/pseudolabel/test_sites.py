"""Pores on a ball whose envelope, gaps and pockets are drawn by formula."""

from __future__ import annotations

import numpy as np
import pytest
from pore_cells import MIDDLE_NM, SPACING, cell
from scipy.spatial import cKDTree

from fibseg.errors import DataError, UsageError
from fibseg.phantom.cell import make_cell
from fibseg.pseudolabel import (
    EnvelopeDepth,
    PocketBody,
    PoreBody,
    PoreShape,
    candidates,
    confidence,
    find_sites,
    grow_pockets,
    isolation_um,
    paint_pores,
    require_fine,
)

PORES = PoreShape()


def found_in(image, nucleus, *, pores=PORES):
    envelope = EnvelopeDepth.of(nucleus, reach_nm=pores.reach_nm, spacing=SPACING)
    table = candidates(image, envelope, shape=pores, spacing=SPACING)
    return table, np.stack([table[f"{a}_um"] for a in "zyx"], axis=1) * 1000


def sure(table, *, above=0.5):
    kept = confidence(table) > above
    rows = {name: column[kept] for name, column in table.items()}
    return {"label": np.arange(1, kept.sum() + 1), **rows}


def test_every_pore_is_found_where_it_is_and_nothing_else():
    image, nucleus, centres = cell()
    table, places = found_in(image, nucleus)
    kept = places[confidence(table) > 0.5]
    away, which = cKDTree(centres).query(kept)
    assert sorted(which.tolist()) == list(range(len(centres)))
    assert away.max() < 30
    assert np.median(away) < 15
    assert len(places) > len(kept)


def test_normals_point_outwards():
    image, nucleus, _ = cell()
    table, places = found_in(image, nucleus)
    normals = np.stack([table[f"normal_{a}"] for a in "zyx"], axis=1)
    outwards = (places - MIDDLE_NM) / np.linalg.norm(places - MIDDLE_NM, axis=1, keepdims=True)
    assert (normals * outwards).sum(axis=1).min() > 0.98


def test_turned_cells_have_turned_pores():
    image, nucleus, _ = cell()
    _, places = found_in(image, nucleus)
    _, turned = found_in(image.transpose(2, 0, 1), nucleus.transpose(2, 0, 1))
    away, _ = cKDTree(turned).query(places[:, [2, 0, 1]])
    assert away.max() < 0.5


def test_without_pores_nothing_is_claimed():
    image, nucleus, _ = cell(n_pores=0)
    table, _ = found_in(image, nucleus)
    assert len(table["z_um"]) > 50
    with pytest.raises(DataError, match="not of two kinds"):
        confidence(table)


@pytest.mark.parametrize(("n_pores", "noise"), [(24, 3.0), (60, 10.0), (60, 25.0)])
def test_where_every_candidate_is_a_pore_all_are_kept(n_pores, noise):
    image, nucleus, centres = cell(n_pores=n_pores, noise=noise)
    table, places = found_in(image, nucleus)
    assert len(places) == n_pores
    assert cKDTree(centres).query(places)[0].max() < 60
    assert (confidence(table) > 0.99).all()


@pytest.mark.parametrize("noise", [10.0, 25.0])
def test_of_all_places_those_that_are_pores_are_kept_without_the_others(noise):
    image, nucleus, centres = cell(noise=noise)
    table, places = found_in(image, nucleus)
    true = cKDTree(centres).query(places)[0] < 60
    assert 24 == true.sum() < len(true)
    only = {name: column[true] for name, column in table.items()}
    assert (confidence(only) > 0.99).all()
    rest = {name: column[~true] for name, column in table.items()}
    # What pores alone teach tells of other places, too.
    assert (confidence(only, of=rest) < 0.01).all()
    assert (confidence(only, of=table) > 0.5).tolist() == true.tolist()
    nowhere = {name: column[:0] for name, column in table.items()}
    assert confidence(only, of=nowhere).shape == (0,)


@pytest.mark.parametrize("seed", [0, 1])
def test_pores_of_the_phantom_alone_are_kept_and_its_chance_alone_is_refused(seed):
    phantom = make_cell((112, 128, 128), seed=seed)
    spacing, nucleus = phantom.spacing, phantom.labels["nucleus"]
    table = find_sites(phantom.image.astype(np.float32), nucleus, shape=PORES, spacing=spacing)
    centres = np.stack([phantom.pores[f"{a}_um"] for a in "zyx"], axis=1)
    places = np.stack([table[f"{a}_um"] for a in "zyx"], axis=1)
    true = cKDTree(centres).query(places)[0] < 0.06
    assert min(true.sum(), (~true).sum()) > 40
    pores, chance = (
        {name: column[which] for name, column in table.items()} for which in (true, ~true)
    )
    assert (confidence(pores) > 0.5).all()
    with pytest.raises(DataError, match="not of two kinds"):
        confidence(chance)


def test_the_phantom_without_pores_is_refused():
    phantom = make_cell((112, 128, 128), seed=2, pores=False)
    table = find_sites(
        phantom.image.astype(np.float32), phantom.labels["nucleus"], shape=PORES,
        spacing=phantom.spacing,
    )
    assert len(table["z_um"]) > 100
    with pytest.raises(DataError, match="not of two kinds"):
        confidence(table)


@pytest.mark.parametrize("noise", [3.0, 25.0])
def test_without_pores_nothing_is_claimed_at_any_noise(noise):
    image, nucleus, _ = cell(n_pores=0, noise=noise)
    with pytest.raises(DataError, match="not of two kinds"):
        confidence(found_in(image, nucleus)[0])


@pytest.mark.parametrize("pocket", [0.0, -3.0])
def test_gaps_without_pockets_are_not_all_pores(pocket):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        gap, behind = rng.normal(20, 2, 80), rng.normal(pocket, 2, 80)
        table = {"gap_contrast": gap, "pocket_contrast": behind}
        try:
            found = confidence(table)
        except DataError:
            continue
        assert (found > 0.5).mean() < 0.8


def test_some_chance_among_pores_is_told_from_them():
    rng = np.random.default_rng(0)
    pores = rng.normal((13, 12), (2.2, 3.0), (200, 2))
    for n in (0, 3, 6, 12, 30, 100):
        values = np.concatenate([pores, rng.normal((3, 0), (1, 2), (n, 2))])
        found = confidence({"gap_contrast": values[:, 0], "pocket_contrast": values[:, 1]})
        assert (found[:200] > 0.5).mean() > 0.97
        assert not (found[200:] > 0.5).any()


def test_contrast_does_not_count_against_a_pore_where_all_are_pores():
    rng = np.random.default_rng(1)
    gap = rng.normal(13, 2.3, 90)
    pocket = 12 + 2 * (gap - 13) + rng.normal(0, 1.5, 90)  # they go together
    table = {"gap_contrast": gap, "pocket_contrast": pocket}
    assert (confidence(table) > 0.5).mean() > 0.95
    steps = np.linspace(-5, 40, 50)
    for name in table:
        asked = {n: np.full(50, 3.0) for n in table} | {name: steps}
        assert (np.diff(confidence(table, of=asked)) >= 0).all()
    units = {name: 1e-3 * column for name, column in table.items()}
    assert confidence(units) == pytest.approx(confidence(table))


def test_too_few_candidates_are_refused():
    table = {name: np.ones(5) for name in ("gap_contrast", "pocket_contrast")}
    with pytest.raises(DataError, match="5 places on the envelope"):
        confidence(table)


def test_confidence_does_not_fall_with_contrast():
    rng = np.random.default_rng(0)
    chance = rng.normal(2, 3, (200, 2))
    pores = rng.normal(14, 2, (100, 2))
    strong = np.array([[30.0, 30.0], [60.0, 40.0]])
    values = np.concatenate([chance, pores, strong])
    table = {"gap_contrast": values[:, 0], "pocket_contrast": values[:, 1]}
    found = confidence(table)
    assert (found[300:] > 0.99).all()
    assert (found[200:300] > 0.5).mean() > 0.98
    assert (found[:200] < 0.5).mean() > 0.98


def test_pores_are_painted_as_cylinders():
    table = {
        "label": np.array([7]), "z_um": np.array([0.5]), "y_um": np.array([0.5]),
        "x_um": np.array([0.5]), "normal_z": np.array([0.0]), "normal_y": np.array([0.6]),
        "normal_x": np.array([0.8]),
    }
    body = PoreBody(radius_nm=60.0, half_height_nm=40.0)
    labels = paint_pores(table, body=body, shape=(100, 100, 100), spacing=(10.0, 10.0, 10.0))
    assert set(np.unique(labels)) == {0, 7}
    volume = (labels == 7).sum() * 1000
    assert volume == pytest.approx(np.pi * 60**2 * 80, rel=0.03)
    part = paint_pores(
        table, body=body, shape=(30, 40, 50), start=(40, 30, 20), spacing=(10.0, 10.0, 10.0)
    )
    np.testing.assert_array_equal(part, labels[40:70, 30:70, 20:70])


def test_a_voxel_between_two_pores_belongs_to_the_nearer():
    table = {
        "label": np.array([1, 2]), "z_um": np.array([0.3, 0.3]), "y_um": np.array([0.3, 0.3]),
        "x_um": np.array([0.3, 0.38]), "normal_z": np.ones(2), "normal_y": np.zeros(2),
        "normal_x": np.zeros(2),
    }
    labels = paint_pores(table, body=PoreBody(), shape=(60, 60, 70), spacing=(10.0, 10.0, 10.0))
    assert labels[30, 30, 32] == 1
    assert labels[30, 30, 36] == 2
    # x = 34 lies at the same distance from both.
    assert set(np.unique(labels[:, :, :34])) == {0, 1}
    assert set(np.unique(labels[:, :, 35:])) == {0, 2}


def test_pockets_are_as_large_as_drawn_and_behind_their_pores():
    image, nucleus, centres = cell()
    table, places = found_in(image, nucleus)
    chosen = sure(table)
    body = PocketBody()
    labels = grow_pockets(image, chosen, body=body, spacing=SPACING)
    sizes = np.bincount(labels.ravel())[1:]
    drawn = np.pi * 75**2 * 190 / 20**3
    assert len(sizes) == len(centres)
    assert np.median(sizes) == pytest.approx(drawn, rel=0.25)
    nearest = cKDTree(places[confidence(table) > 0.5]).query(np.argwhere(labels) * 20.0)[1] + 1
    assert (nearest == labels[labels > 0]).mean() > 0.95
    assert not labels[~nucleus].any()


def test_a_part_of_a_volume_has_the_same_pockets():
    image, nucleus, _ = cell()
    chosen = sure(found_in(image, nucleus)[0])
    whole = grow_pockets(image, chosen, body=PocketBody(), spacing=SPACING)
    start = (10, 0, 20)
    part = grow_pockets(
        image[10:60, :50, 20:], chosen, body=PocketBody(), start=start, spacing=SPACING
    )
    inner = (slice(20, 30), slice(0, 30), slice(20, 50))
    np.testing.assert_array_equal(part[inner], whole[10:60, :50, 20:][inner])


def test_isolation_is_the_distance_to_the_next():
    table = {"z_um": np.array([0.0, 0, 3]), "y_um": np.zeros(3), "x_um": np.array([0.0, 1, 0])}
    assert isolation_um(table).tolist() == [1, 1, 3]
    assert isolation_um({k: v[:1] for k, v in table.items()}).tolist() == [np.inf]


def test_coarse_voxels_are_refused():
    with pytest.raises(UsageError, match="31 x 20 x 20 nm are too coarse"):
        require_fine((31.0, 20.0, 20.0))
    require_fine((30.0, 8.0, 8.0))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PoreShape(gap_nm=(20.0, -40.0)), "gap_nm"),
        (lambda: PoreShape(pocket_spot_nm=200.0), "pocket_spot_nm=200"),
        (lambda: PoreBody(radius_nm=0.0), "radius_nm=0"),
    ],
)
def test_shapes_that_cannot_be_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
