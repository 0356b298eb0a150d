"""Areas, normals and feet of envelopes that are known, and the same for any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import ball, ellipsoid, middle_um, parts_of, slit_ball, two_lobes

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.measure import envelope_faces
from fibseg.measure.envelope import EnvelopeMesh

SPACINGS = [(40.0, 40.0, 40.0), (50.0, 40.0, 40.0), (60.0, 60.0, 60.0)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_area_of_a_ball(spacing):
    found = EnvelopeMesh.of(ball(1.5, spacing=spacing), spacing=spacing)
    assert found.total_um2 == pytest.approx(4 * np.pi * 1.5**2, rel=0.01)
    assert found.n_pieces == 1


def test_area_of_an_ellipsoid():
    half = (0.8, 1.2, 1.6)
    found = EnvelopeMesh.of(ellipsoid(half), spacing=(40, 40, 40))
    # Knud Thomsen's formula, right to 1.1 %.
    pairs = [(half[i] * half[j]) ** 1.6075 for i, j in ((0, 1), (0, 2), (1, 2))]
    area = 4 * np.pi * (sum(pairs) / 3) ** (1 / 1.6075)
    assert found.total_um2 == pytest.approx(area, rel=0.02)


def test_normals_point_outwards():
    mask = ball(1.0)
    found = EnvelopeMesh.of(mask, spacing=(40, 40, 40))
    out = found.vertices_um - middle_um(mask.shape)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", out, found.normals).min() > 0.9


def test_feet_lie_on_the_ball_and_know_their_side():
    mask = ball(1.0)
    found = EnvelopeMesh.of(mask, spacing=(40, 40, 40))
    rng, middle = np.random.default_rng(0), middle_um(mask.shape)
    out = rng.standard_normal((300, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    height = rng.uniform(-0.15, 0.15, 300)
    feet = found.feet(middle + (1 + height[:, None]) * out)
    assert np.abs(np.linalg.norm(feet.points_um - middle, axis=1) - 1).max() < 0.02
    assert np.abs(feet.height_um - height).max() < 0.02
    assert np.abs(feet.distance_um - np.abs(height)).max() < 0.02


def test_a_face_of_the_volume_is_no_envelope():
    whole = ball(1.0)
    first = whole.shape[0] // 2
    parts = parts_of(whole[first:])
    found = EnvelopeMesh.of_parts(parts, spacing=(40, 40, 40))
    height = 1.0 - (first * 0.04 - middle_um(whole.shape)[0])  # of the cap that is left
    assert found.total_um2 == pytest.approx(2 * np.pi * height, rel=0.01)
    assert (parts["at_face"][0] > 0).tolist() == [True, False, False, False, False, False]


def test_cavities_and_specks_are_left_out():
    mask = ball(1.0)
    whole = EnvelopeMesh.of(mask, spacing=(40, 40, 40)).total_um2
    mask[28:33, 28:33, 28:33] = False
    mask[1:3, 1:3, 1:3] = True
    found = EnvelopeMesh.of(mask, spacing=(40, 40, 40))
    assert found.total_um2 == pytest.approx(whole)
    assert found.n_pieces == 1
    assert found.left_out_um2 > 0


def test_two_nuclei_are_two_pieces_the_larger_first():
    one, two = ball(0.6), ball(0.8)
    height = max(one.shape[1], two.shape[1])
    padded = [np.pad(m, ((0, 0), *[(0, height - n) for n in m.shape[1:]])) for m in (one, two)]
    found = EnvelopeMesh.of(np.concatenate(padded), spacing=(40, 40, 40))
    areas = np.bincount(found.piece, found.area_um2)
    assert areas.tolist() == pytest.approx([4 * np.pi * 0.64, 4 * np.pi * 0.36], rel=0.03)


@pytest.mark.parametrize("full", [False, True])
def test_no_border_is_refused(full):
    with pytest.raises(DataError, match="no envelope"):
        EnvelopeMesh.of(np.full((8, 8, 8), full), spacing=(40, 40, 40))


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 1, 1), (1, 5, 5)])
def test_tiny_volumes_have_none(shape):
    assert not len(parts_of(np.ones(shape, bool))["corner"])


def blockwise(mask, steps):
    """Parts of all blocks of that shape, one after the other."""
    tables = []
    for z in range(0, mask.shape[0], steps[0]):
        for y in range(0, mask.shape[1], steps[1]):
            for x in range(0, mask.shape[2], steps[2]):
                write = Box((z, y, x), tuple(
                    a + s for a, s in zip((z, y, x), steps, strict=True)
                )).clip(mask.shape)
                read = write.grow((envelope_faces.REACH,) * 3).clip(mask.shape)
                tables.append(envelope_faces.partial(
                    mask[read.slices], inside=write.relative_to(read), start=write.start,
                    shape=mask.shape,
                ))
    found = tables[0]
    for table in tables[1:]:
        found = envelope_faces.merge(found, table)
    return found


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.integers(5, 40)] * 3))
def test_any_blocks_give_the_very_same_envelope(steps):
    mask = two_lobes(spacing=(80.0, 80.0, 80.0))
    mask[:2] |= mask[20]  # cut by a face, too
    whole = EnvelopeMesh.of_parts(parts_of(mask), spacing=(80, 80, 80))
    parts = blockwise(mask, steps)
    found = EnvelopeMesh.of_parts(parts, spacing=(80, 80, 80))
    for name in ("vertices_um", "normals", "area_um2", "piece"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name
    assert (found.neighbours != whole.neighbours).nnz == 0
    assert parts["n_inside"].sum() == mask.sum()
    assert parts["at_face"].sum(axis=0).tolist() == parts_of(mask)["at_face"][0].tolist()


def test_axes_may_be_swapped():
    mask = slit_ball()
    one = EnvelopeMesh.of(mask, spacing=(40, 40, 40))
    two = EnvelopeMesh.of(mask.transpose(2, 0, 1), spacing=(40, 40, 40))
    assert one.total_um2 == pytest.approx(two.total_um2, rel=1e-3)
    assert np.sort(one.vertices_um[:, 0]) == pytest.approx(np.sort(two.vertices_um[:, 1]))


def test_a_cavity_alone_is_no_envelope():
    with pytest.raises(DataError, match="cavities"):
        EnvelopeMesh.of(~ball(0.5), spacing=(40, 40, 40))
