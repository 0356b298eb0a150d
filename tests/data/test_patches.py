from __future__ import annotations

import numpy as np
import pytest
import torch
from painted_cell import make_cell

from fibseg.data import Patches, Share, SparseData, Steps, key, load_planes
from fibseg.data.planes import PlaneStack
from fibseg.errors import DataError

DATA = SparseData(patch=32, batch=6, unlabelled=2)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[PlaneStack]:
    volume = make_cell(tmp_path_factory.mktemp("cell") / "a.ome.zarr", n_classes=3)
    return load_planes([volume], ["mitochondria"], data=DATA, context=1)


def test_a_batch_depends_on_seed_and_step_only(stacks: list[PlaneStack]) -> None:
    first = Patches(stacks, n_channels=4, data=DATA, seed=1)
    second = Patches(stacks, n_channels=4, data=DATA, seed=1)
    first.batch(3)
    for a, b in zip(first.batch(7), second.batch(7), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.batch(7)[0], first.batch(8)[0])
    other = Patches(stacks, n_channels=4, data=DATA, seed=2)
    assert not np.array_equal(first.batch(7)[0], other.batch(7)[0])


def test_processes_draw_different_slots(stacks: list[PlaneStack]) -> None:
    one, two = (
        Patches(stacks, n_channels=4, data=DATA, seed=1, share=Share(r, 2)) for r in (0, 1)
    )
    assert not set(one.centres(0)) & set(two.centres(0))


@pytest.mark.parametrize("n", [2, 3])
def test_processes_share_out_the_batch_of_one(stacks: list[PlaneStack], n: int) -> None:
    whole = Patches(stacks, n_channels=4, data=DATA, seed=1)
    parts = [
        Patches(stacks, n_channels=4, data=DATA, seed=1, share=Share(r, n)) for r in range(n)
    ]
    joined: list[tuple[int, int, int, int] | None] = [None] * 8
    for rank, part in enumerate(parts):
        joined[rank::n] = part.centres(5)
    assert joined == whole.centres(5)
    image, _, _ = whole.batch(5)
    assert np.array_equal(parts[1].batch(5)[0], image[1::n])


def test_crops_are_the_planes_mirrored_at_the_border(stacks: list[PlaneStack]) -> None:
    patches = Patches(stacks, n_channels=4, data=DATA, seed=0)
    half = patches.half
    image, annotation, inside = patches._crop(0, 1, 2, 3)
    assert image.shape == (3, 2 * half, 2 * half)
    plane = stacks[0].annotation[1]
    assert np.array_equal(annotation[half - 2 : half + 9, half - 3 : half + 9], plane[:11, :12])
    assert not annotation[: half - 2].any()
    assert not inside[: half - 2].any()
    assert inside[half - 2 :, half - 3 :].all()
    assert np.array_equal(image[:, half - 2 + 5], image[:, half - 2 - 5])  # rows 5 and -5


def test_every_class_is_drawn_as_often(stacks: list[PlaneStack]) -> None:
    patches = Patches(stacks, n_channels=4, data=SparseData(patch=32, foreground=0.6), seed=0)
    random = np.random.default_rng(0)
    values = []
    for _ in range(2000):
        stack, (plane, y, x) = patches.rows.draw(random, foreground=0.6)
        values.append(stacks[stack].annotation[plane, y, x])
    share = np.bincount(values, minlength=5)[1:] / 2000
    np.testing.assert_allclose(share, [0.4, 0.2, 0.2, 0.2], atol=0.04)


def test_voxels_of_a_class_are_drawn_evenly(stacks: list[PlaneStack]) -> None:
    patches = Patches(stacks, n_channels=4, data=SparseData(patch=32, foreground=1.0), seed=0)
    random = np.random.default_rng(1)
    drawn = [patches.rows.draw(random, foreground=1.0)[1][0] for _ in range(3000)]
    planes = np.bincount(drawn, minlength=3) / 3000
    counts = np.stack([(stacks[0].annotation == v).sum((1, 2)) for v in (2, 3, 4)], 1)
    np.testing.assert_allclose(planes, (counts / counts.sum(0)).mean(1), atol=0.04)


def test_steps_go_on_from_any_step(stacks: list[PlaneStack]) -> None:
    patches = Patches(stacks, n_channels=4, data=DATA, seed=1)
    from_start, later = iter(Steps(patches, start=0)), iter(Steps(patches, start=2))
    next(from_start), next(from_start)
    a, b = next(from_start), next(later)
    assert a.step == b.step == 2
    assert torch.equal(a.image, b.image)
    assert a.image.shape[0] == 8


def test_a_class_without_voxels_is_refused(stacks: list[PlaneStack]) -> None:
    with pytest.raises(DataError, match="value 5"):
        Patches(stacks, n_channels=5, data=DATA, seed=0)


def test_keys_differ_for_every_purpose() -> None:
    keys = {key(s, t, u, p) for s in range(3) for t in range(3) for u in range(3) for p in (1, 2)}
    assert len(keys) == 54
    assert all(0 <= k < 2**63 for k in keys)


def test_patches_without_label_come_from_planes_that_are_trained_on(
    stacks: list[PlaneStack],
) -> None:
    import dataclasses

    annotation = stacks[0].annotation.copy()
    annotation[1] = 0
    held = [dataclasses.replace(stacks[0], annotation=annotation)]
    patches = Patches(held, n_channels=4, data=DATA, seed=0)
    planes = {centre[1] for step in range(40) for centre in patches.centres(step)}
    assert planes == {0, 2}


def test_centres_lie_near_a_voxel_of_their_plane(stacks: list[PlaneStack]) -> None:
    patches = Patches(stacks, n_channels=4, data=SparseData(patch=32, batch=8), seed=0)
    for step in range(20):
        for stack, plane, y, x in patches.centres(step):
            near = stacks[stack].annotation[plane, max(0, y - 8) : y + 9, max(0, x - 8) : x + 9]
            assert near.any()
