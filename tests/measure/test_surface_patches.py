"""Patches are connected, of about one size, the same in any units; blocks share out by area."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from surfaces import ball, slit_ball

from fibseg.measure.connected_balls import sites_of
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.surface_patches import SectionPatches, compact_patches, ways_to_block


@pytest.fixture(scope="module")
def sites():
    return sites_of(
        EnvelopeMesh.of(slit_ball(radius_um=1.0), spacing=(40, 40, 40)), size_um=0.12
    )


@pytest.fixture(scope="module")
def section(sites):
    return np.where(sites.points_um[:, 2] > sites.points_um[:, 2].mean() + 0.3, 2, 1)


def pieces_of(sites, mine):
    return connected_components(sites.neighbours[mine][:, mine], directed=False)[0]


@pytest.mark.parametrize("patch_um2", [0.3, 1.0, 4.0])
def test_every_place_is_in_one_connected_patch_of_about_that_size(sites, section, patch_um2):
    patch = compact_patches(sites, section, patch_um2=patch_um2)
    assert patch.min() == 0
    sizes = np.bincount(patch, sites.area_um2)
    assert sizes.sum() == pytest.approx(sites.area_um2.sum())
    assert len(sizes) == pytest.approx(sites.area_um2.sum() / patch_um2, abs=3)
    for k in range(len(sizes)):
        mine = np.flatnonzero(patch == k)
        assert len(set(section[mine].tolist())) == 1
        assert pieces_of(sites, mine) == 1
    if patch_um2 < 4:
        assert sizes.std() < 0.6 * patch_um2


def test_units_change_nothing(sites, section):
    twice = replace(sites, points_um=2 * sites.points_um, area_um2=4 * sites.area_um2)
    one = compact_patches(sites, section, patch_um2=0.8, seed=3)
    two = compact_patches(twice, section, patch_um2=3.2, seed=3)
    assert one.tolist() == two.tolist()


def test_another_seed_cuts_otherwise_and_the_same_alike(sites, section):
    one, again, other = (
        compact_patches(sites, section, patch_um2=0.8, seed=s) for s in (1, 1, 2)
    )
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_a_section_of_several_pieces_has_a_patch_in_each():
    two = np.concatenate([ball(0.4), ball(0.4)], axis=1)
    sites = sites_of(EnvelopeMesh.of(two, spacing=(40, 40, 40)), size_um=0.12)
    patch = compact_patches(sites, np.ones(len(sites.area_um2), int), patch_um2=1e3)
    assert set(patch.tolist()) == {0, 1}
    assert all(pieces_of(sites, np.flatnonzero(patch == k)) == 1 for k in (0, 1))


@pytest.mark.parametrize("n", [8, 12, 40])
def test_blocks_are_shared_out_by_area_four_at_least(sites, section, n):
    blocks = SectionPatches.of_number(sites, section, n=n)
    area = np.bincount(section, sites.area_um2)[1:]
    for number in (1, 2):
        found = int((blocks.section == number).sum())
        wanted = max(4, round(n * area[number - 1] / area.sum()))
        assert found == pytest.approx(wanted, abs=1)
        assert blocks.area_um2[blocks.section == number].sum() == pytest.approx(area[number - 1])


def test_middles_are_those_of_the_places(sites, section):
    patches = SectionPatches.of_size(sites, section, patch_um2=1.0)
    for k in range(len(patches.section)):
        mine = patches.of_site == k
        middle = np.average(sites.points_um[mine], axis=0, weights=sites.area_um2[mine])
        assert patches.middle_um[k] == pytest.approx(middle)


def test_ways_to_block_differ_and_none_is_of_another_seed(sites, section):
    one, two = (ways_to_block(sites, section, n=8, seed=s) for s in (0, 1))
    cuts = {tuple(cut.of_site.tolist()) for cut in (*one, *two)}
    assert len(one) == len(two) == 5
    assert len(cuts) == 10


def test_no_place_has_no_patch(sites):
    patches = SectionPatches.of_size(sites, np.zeros(len(sites.area_um2), int), patch_um2=1.0)
    assert (patches.of_site == -1).all()
    assert len(patches.section) == len(patches.area_um2) == 0
