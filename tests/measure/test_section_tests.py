"""Sections that do not differ are seldom told to, sections that do are; patches are compact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from surfaces import apart, parts_of, two_lobes

from fibseg.measure.connected_balls import sites_of
from fibseg.measure.crowding import mean_distance_um
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.furrow import furrow_of
from fibseg.measure.section_tests import compared, compared_counts
from fibseg.measure.surface_pairs import scattered
from fibseg.measure.surface_patches import SectionPatches, ways_to_block
from fibseg.measure.welch import hedges_g, welch


class Nucleus:
    """Two lobes, cut into patches and blocks."""

    def __init__(self):
        parts = parts_of(two_lobes())
        self.envelope = EnvelopeMesh.of_parts(parts, spacing=(40, 40, 40))
        self.plane = furrow_of(parts, spacing=(40, 40, 40))
        self.sites = sites_of(self.envelope, size_um=0.12)
        self.section = self.side(self.sites.points_um)
        self.patches = SectionPatches.of_size(self.sites, self.section, patch_um2=1.0)
        self.blocks = ways_to_block(self.sites, self.section, n=12)

    def side(self, points):
        front = self.plane.height_um(points) > 0
        one = self.envelope.area_um2[self.plane.height_um(self.envelope.vertices_um) > 0].sum()
        return np.where(front == (one > self.envelope.total_um2 / 2), 1, 2)

    def site(self, points):
        return self.sites.of_vertex[self.envelope.feet(points).vertex]

    def mean_8(self, points, **options):
        return compared(
            mean_distance_um(points), self.site(points), self.patches, self.blocks,
            n_draws=399, **options,
        )

    def counts(self, points, **options):
        return compared_counts(
            self.site(points), self.patches, self.blocks, n_draws=399, **options
        )


@pytest.fixture(scope="module")
def nucleus():
    return Nucleus()


def test_patches_are_compact_and_of_one_section(nucleus):
    patches = nucleus.patches
    assert patches.area_um2.sum() == pytest.approx(nucleus.envelope.total_um2)
    assert patches.area_um2.mean() == pytest.approx(1, rel=0.1)
    assert patches.area_um2.std() < 0.5
    for k in range(len(patches.section)):
        mine = patches.of_site == k
        assert set(nucleus.section[mine]) == {patches.section[k]}
        away = np.linalg.norm(nucleus.sites.points_um[mine] - patches.middle_um[k], axis=1)
        assert away.max() < 1.3  # a disc of 1 µm² is 0.56 wide


def test_blocks_are_a_dozen_with_four_at_least(nucleus):
    assert len(nucleus.blocks) > 1
    for blocks in nucleus.blocks:
        one, two = (np.sum(blocks.section == s) for s in (1, 2))
        assert one + two == pytest.approx(12, abs=1)
        assert min(one, two) >= 4


def test_places_that_are_in_no_section_are_in_no_patch(nucleus):
    section = np.where(nucleus.section == 1, 1, 0)
    patches = SectionPatches.of_size(nucleus.sites, section, patch_um2=1.0)
    assert ((patches.of_site >= 0) == (section == 1)).all()
    assert set(patches.section) == {1}


@pytest.mark.parametrize("least_um", [0.0, 0.25])
def test_without_a_difference_it_is_seldom_found(nucleus, least_um):
    p_values = {"naive": [], "mean-8": [], "counts": []}
    for seed in range(60):
        if least_um:
            points = apart(nucleus.envelope, 150, least_um=least_um, seed=seed)
        else:
            points, _ = scattered(nucleus.envelope, 150, np.random.default_rng(seed))
        found = nucleus.mean_8(points, seed=seed)
        p_values["naive"].append(found.welch_p)
        p_values["mean-8"].append(found.blocks_p)
        p_values["counts"].append(nucleus.counts(points, seed=seed).blocks_p)
    share = {name: np.mean(np.array(values) < 0.05) for name, values in p_values.items()}
    assert share["mean-8"] <= 0.1  # 200 in benchmarks/distribution_null.py
    assert share["counts"] <= 0.1
    assert share["naive"] > 0.15


def test_a_difference_that_is_built_in_is_found(nucleus):
    found = []
    for seed in range(10):
        points = apart(nucleus.envelope, 10_000, least_um=0.24, seed=seed)
        rng = np.random.default_rng(seed)
        points = points[(nucleus.side(points) == 2) | (rng.random(len(points)) < 1 / 1.5)]
        found.append((nucleus.mean_8(points), nucleus.counts(points)))
    assert np.mean([one.blocks_p < 0.05 for one, _ in found]) >= 0.8
    assert np.mean([one.low <= one.difference <= one.high for one, _ in found]) == 1
    ratio = [two.mean_2 / two.mean_1 for _, two in found]
    assert np.mean(ratio) == pytest.approx(1.5, rel=0.1)
    assert all(one.low > 0 and one.hedges_low > 0 for one, _ in found)


def test_welch_and_hedges_are_those_of_the_objects(nucleus):
    points, _ = scattered(nucleus.envelope, 80, np.random.default_rng(5))
    values, side = mean_distance_um(points), nucleus.section[nucleus.site(points)]
    found = nucleus.mean_8(points)
    one, two = values[side == 1], values[side == 2]
    known = stats.ttest_ind(one, two, equal_var=False)
    assert (found.welch_t, found.welch_p) == pytest.approx((known.statistic, known.pvalue))
    pooled = np.sqrt(
        ((len(one) - 1) * one.var(ddof=1) + (len(two) - 1) * two.var(ddof=1)) / 78
    )
    assert found.hedges_g == pytest.approx((1 - 3 / 311) * (one.mean() - two.mean()) / pooled)
    assert (found.mean_1, found.mean_2) == pytest.approx((one.mean(), two.mean()))


def test_a_missing_value_counts_nowhere(nucleus):
    points, _ = scattered(nucleus.envelope, 60, np.random.default_rng(1))
    values = mean_distance_um(points)
    site = nucleus.site(points)
    one = compared(values[5:], site[5:], nucleus.patches, nucleus.blocks, n_draws=99)
    values[:5] = np.nan
    assert compared(values, site, nucleus.patches, nucleus.blocks, n_draws=99) == one


@pytest.mark.parametrize("which", ["none", "one section", "equal"])
def test_where_nothing_can_be_compared_it_is_missing(nucleus, which):
    points, _ = scattered(nucleus.envelope, 60, np.random.default_rng(1))
    if which == "one section":
        points = points[nucleus.side(points) == 1]
    site = nucleus.site(points)
    values = np.ones(len(points)) if which == "equal" else mean_distance_um(points)
    if which == "none":
        values, site = values[:0], site[:0]
    found = compared(values, site, nucleus.patches, nucleus.blocks, n_draws=99)
    assert np.isnan([found.welch_p, found.blocks_p, found.patches_p, found.splits_p]).all()


def test_the_order_of_objects_does_not_matter(nucleus):
    points, _ = scattered(nucleus.envelope, 70, np.random.default_rng(4))
    assert nucleus.counts(points) == nucleus.counts(points[::-1])
    one, two = nucleus.mean_8(points), nucleus.mean_8(points[::-1])
    assert (one.blocks_p, one.patches_p) == pytest.approx((two.blocks_p, two.patches_p))


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_hedges_and_welch_do_not_depend_on_units(shift):
    rng = np.random.default_rng(0)
    one, two = rng.normal(1, 1, 9), rng.normal(0, 2, 14)
    g, p = hedges_g(one, two), welch(one, two).pvalue
    assert hedges_g(1000 * one + shift, 1000 * two + shift) == pytest.approx(g)
    assert welch(1000 * one + shift, 1000 * two + shift).pvalue == pytest.approx(p)
    assert hedges_g(two, one) == pytest.approx(-g)


def test_the_correction_for_few_values_makes_hedges_right_on_average():
    rng = np.random.default_rng(0)
    found = [hedges_g(rng.normal(1, 1, 5), rng.normal(0, 1, 4)) for _ in range(8000)]
    assert np.mean(found) == pytest.approx(1, abs=0.04)


def test_without_any_spread_there_is_no_effect_size():
    assert np.isnan(hedges_g(np.ones(3), np.zeros(3)))
    assert welch(np.ones(3), np.zeros(3)).pvalue == 0
