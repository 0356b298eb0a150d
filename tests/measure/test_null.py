from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from capsules import CELL_UM, Capsules, masks, random_capsules
from hypothesis import given, settings
from hypothesis import strategies as st
from null import naive, spatial
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure import clouds
from fibseg.measure.cytoplasm import DISTANCES, Cell
from fibseg.measure.null import coefficients, spatial_null, two_sided_p

GRID_UM = 0.13
KEYS = [(column, kind) for column in DISTANCES for kind in ("pearson_r", "spearman_rho")]


@pytest.fixture(scope="module")
def cell() -> Cell:
    return Cell(*masks(GRID_UM), (GRID_UM * 1e3,) * 3)


def null_of(capsules: Capsules, cell: Cell, **options):
    """The spatial null of capsules on voxels of the working grid; the values are exact."""
    nm = GRID_UM * 1e3
    found = clouds.measure(capsules.labels(GRID_UM), cell_nm=nm, spacing=(nm,) * 3)
    values = options.pop("values", capsules.surface_to_volume_per_um)
    return spatial_null(values, found, cell, **({"n_simulations": 99} | options))


def many(n_sets, n_objects, choice=1):
    for seed in range(n_sets):
        yield seed, random_capsules(n_objects, np.random.default_rng([7, seed]), choice=choice)


def test_without_a_correlation_few_are_significant(cell):
    """The measure of the null: 200 sets that other geometry made, 8 % below 0.05 at most."""
    p, permuted = [], []
    for seed, capsules in many(200, 12):
        p.append(spatial(null_of(capsules, cell, n_sweeps=1, seed=seed)))
        permuted.append(naive(capsules, n_simulations=99, seed=seed))
    rates = {key: np.mean([each[key] < 0.05 for each in p]) for key in KEYS}
    assert max(rates.values()) <= 0.08, rates
    assert min(rates.values()) > 0
    means = [np.mean([each[key] for each in p]) for key in KEYS]
    np.testing.assert_allclose(means, 0.5, atol=0.07)  # 3 standard errors of a uniform p
    nearest = ("distance_nearest_um", "pearson_r")
    assert np.mean([each[nearest] < 0.05 for each in permuted]) > 0.15  # what it is for


def test_a_correlation_that_is_there_is_found(cell):
    key = ("distance_nucleus_um", "spearman_rho")
    found = [null_of(capsules, cell, seed=seed) for seed, capsules in many(10, 20, choice=6)]
    assert np.mean([spatial(each)[key] < 0.05 for each in found]) >= 0.8
    for each in found:  # thin ones near the nucleus
        assert each.table["spearman_rho"][0] < each.table["spearman_null_mean"][0]


def test_a_finer_working_grid_gives_the_same_null():
    capsules = random_capsules(12, np.random.default_rng(1))
    simulated = []
    for grid_um in (0.1, 0.05):
        first = (grid_um - 0.05) / 2
        at = Cell(*masks(grid_um), (grid_um * 1e3,) * 3, (first,) * 3)
        found = clouds.measure(capsules.labels(0.05), cell_nm=50, spacing=(50.0,) * 3)
        simulated.append(spatial_null(
            capsules.surface_to_volume_per_um, found, at, n_simulations=150
        ).simulated)
    for key in KEYS:
        coarse, fine = (each[key] for each in simulated)
        error = np.hypot(coarse.std(), fine.std()) / np.sqrt(150)
        assert abs(coarse.mean() - fine.mean()) < 4 * error
        assert coarse.std() == pytest.approx(fine.std(), rel=0.35)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(4, 30), st.booleans(), st.floats(0, 0.6))
def test_coefficients_are_those_of_scipy(seed, n, ties, missing):
    rng = np.random.default_rng(seed)
    values, others = rng.normal(size=n), rng.normal(size=(6, n))
    if ties:
        values, others = np.round(values), np.round(others)
    others[:4][rng.random((4, n)) < missing] = np.nan
    r, rho = coefficients(values, others)
    for row, other in enumerate(others):
        there = np.isfinite(other)
        x, y = values[there], other[there]
        if len(x) < 4 or len(set(x)) == 1 or len(set(y)) == 1:
            assert np.isnan([r[row], rho[row]]).all()
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert r[row] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
            assert rho[row] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_one_of_many_alike_has_a_uniform_p():
    rng = np.random.default_rng(0)
    drawn = rng.exponential(size=(4000, 20))  # nothing of it is normal, or symmetric
    p = np.array([two_sided_p(each[0], each[1:]) for each in drawn])
    steps = np.arange(1, 21) / 20
    below = [(p <= step + 1e-9).mean() for step in steps]
    np.testing.assert_allclose(below, steps, atol=0.025)


def test_p_counts_both_sides_and_itself():
    simulated = np.linspace(-1, 1, 98)
    simulated = np.append(simulated, 0)
    assert two_sided_p(3.0, simulated) == two_sided_p(-3.0, simulated) == 0.01
    assert two_sided_p(0.001, simulated) == pytest.approx(0.99)
    assert two_sided_p(0.9, simulated) == pytest.approx(0.11, abs=0.011)
    assert two_sided_p(0.5, np.full(9, 0.5)) == 1
    assert np.isnan(two_sided_p(np.nan, simulated))
    assert np.isnan(two_sided_p(0.1, simulated[:0]))


def test_the_table_tells_what_was_done(cell):
    capsules = random_capsules(8, np.random.default_rng(3))
    found = null_of(capsules, cell, n_simulations=40, seed=5)
    assert found.table["with_column"].tolist() == list(DISTANCES)
    assert found.table["n_objects"].tolist() == [8, 8, 8]
    assert found.table["n_simulations"].tolist() == [40, 40, 40]
    assert found.table["n_incomplete"].tolist() == [0, 0, 0]
    assert [len(column) for column in found.unplaced.values()] == [0, 0]
    for row, (column, exact) in enumerate(zip(DISTANCES, capsules.distances_um, strict=True)):
        r = np.corrcoef(capsules.surface_to_volume_per_um, exact)[0, 1]
        assert found.table["pearson_r"][row] == pytest.approx(r, abs=0.1)
        drawn = found.simulated[column, "pearson_r"]
        assert drawn.shape == (40,)
        assert found.table["pearson_null_mean"][row] == pytest.approx(drawn.mean())
        assert found.table["pearson_null_low"][row] == pytest.approx(np.quantile(drawn, 0.025))
        p = two_sided_p(found.table["pearson_r"][row], drawn)
        assert found.table["pearson_null_p"][row] == p
    again = null_of(capsules, cell, n_simulations=40, seed=5)
    for name, column in found.table.items():
        np.testing.assert_array_equal(again.table[name], column)


def test_objects_without_a_value_stay_in_the_way(cell):
    capsules = random_capsules(10, np.random.default_rng(4))
    values = capsules.surface_to_volume_per_um
    values[[2, 5]] = np.nan
    found = null_of(capsules, cell, values=values, n_simulations=20)
    assert found.table["n_objects"].tolist() == [8, 8, 8]
    # What fills all of the cytoplasm but one corner leaves no room for others.
    labels = np.where(cell.inside & ~cell.nucleus, 9, 0).astype(np.uint8)
    labels[capsules.labels(GRID_UM) == 1] = 1
    nm = GRID_UM * 1e3
    full = spatial_null(
        np.array([1.0, np.nan]), clouds.measure(labels, cell_nm=nm, spacing=(nm,) * 3), cell,
        n_simulations=3, n_tries=20,
    )
    assert full.unplaced["label"].tolist() == [1]
    assert full.unplaced["n_unplaced"].tolist() == [3]


def test_what_never_finds_a_place_is_told_and_left_out(cell, caplog):
    labels = random_capsules(9, np.random.default_rng(6)).labels(GRID_UM)
    labels[3:5, 3:-3, 3:-3] = 40  # a plate as wide as the cell
    nm = GRID_UM * 1e3
    found = clouds.measure(labels, cell_nm=nm, spacing=(nm,) * 3)
    values = np.linspace(1, 2, len(found))
    with caplog.at_level(logging.WARNING, "fibseg.measure"):
        null = spatial_null(values, found, cell, n_simulations=19, n_tries=100)
    assert null.unplaced["label"].tolist() == [40]
    assert null.unplaced["n_unplaced"].tolist() == [19]
    assert null.table["n_incomplete"].tolist() == [19, 19, 19]
    assert null.table["n_objects"].tolist() == [len(found) - 1] * 3
    assert "1 of 10 objects found no place in some of 19 simulations (labels 40)" in caplog.text
    rest = spatial_null(
        values[:-1], found.only(found.label != 40), cell, n_simulations=19, n_tries=100
    )
    assert null.table["pearson_r"] == pytest.approx(rest.table["pearson_r"])


def test_a_membrane_out_of_sight_has_no_distance():
    inside, nucleus = masks(GRID_UM)
    nm = (GRID_UM * 1e3,) * 3
    capsules = random_capsules(6, np.random.default_rng(0))
    no_nucleus = Cell(inside, nucleus & False, nm)
    null = null_of(capsules, no_nucleus, n_simulations=9)
    assert np.isnan(null.table["pearson_null_p"]).tolist() == [True, False, False]
    assert null.table["pearson_r"][1] == null.table["pearson_r"][2]
    assert null.table["n_objects"].tolist() == [0, 6, 6]
    neither = Cell(inside | True, nucleus & False, nm)
    for name, column in null_of(capsules, neither, n_simulations=9).table.items():
        if name.startswith(("pearson", "spearman")):
            assert np.isnan(column).all()


def test_distances_are_those_of_the_geometry(cell):
    rng = np.random.default_rng(0)
    centres = rng.uniform(-1.4, 1.4, (300, 3))
    exact = Capsules(centres, centres, np.ones(300)).distances_um
    middle = (cell.inside.shape[0] - 1) / 2 * GRID_UM
    found = cell.distances(centres + middle)
    for column, um in zip(DISTANCES, exact, strict=True):
        assert np.abs(found[column] - um).max() < GRID_UM
    with_gap = np.append(centres + middle, [[np.nan] * 3], axis=0)
    assert np.isnan(cell.distances(with_gap)["distance_cell_um"]).sum() == 1


def test_the_face_of_the_volume_is_no_membrane():
    inside, nucleus = masks(GRID_UM)
    half = inside.shape[0] // 2  # the lower half is not imaged
    cut = Cell(inside[half:], nucleus[half:], (GRID_UM * 1e3,) * 3, (half * GRID_UM, 0, 0))
    middle = (inside.shape[0] - 1) / 2 * GRID_UM
    at_the_face = np.array([[middle + GRID_UM, middle, middle + CELL_UM - 0.5]])
    assert cut.distances(at_the_face)["distance_cell_um"][0] == pytest.approx(0.5, abs=GRID_UM)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_objects_have_no_correlation(cell, n):
    capsules = random_capsules(max(n, 1), np.random.default_rng(0))
    values = capsules.surface_to_volume_per_um
    if n == 0:
        values[:] = np.nan
    null = null_of(capsules, cell, values=values, n_simulations=5)
    assert np.isnan(null.table["pearson_null_p"]).all()
    assert null.table["n_objects"].tolist() == [n] * 3


def test_what_does_not_fit_together_is_refused(cell):
    with pytest.raises(UsageError, match=r"\(3,\) values do not fit 5 objects"):
        null_of(random_capsules(5, np.random.default_rng(0)), cell, values=np.ones(3))
    with pytest.raises(UsageError, match="Give one grid"):
        Cell(cell.inside, cell.nucleus[1:], cell.spacing)
