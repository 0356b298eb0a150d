"""The synthetic cell: its truth agrees with itself and with the numbers of the field."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes, mesh_surface_area

from fibseg.errors import UsageError
from fibseg.phantom import Cell, make_cell

SHAPE = (96, 128, 128)


@pytest.fixture(scope="module")
def cell() -> Cell:
    return make_cell(SHAPE, seed=3)


def centres_um(cell: Cell) -> np.ndarray:
    return np.stack([cell.pores[f"{a}_um"] for a in "zyx"], axis=1)


def axes(cell: Cell) -> np.ndarray:
    return np.stack([cell.pores[f"axis_{a}"] for a in "zyx"], axis=1)


def count(mask: np.ndarray) -> int:
    return int(cc3d.connected_components(mask, connectivity=26).max())


def area_um2(mask: np.ndarray) -> float:
    smooth = ndimage.gaussian_filter(mask.astype(float), 1.0)
    vertices, faces, _, _ = marching_cubes(smooth, 0.5, spacing=(0.02, 0.02, 0.02))
    return float(mesh_surface_area(vertices, faces))


def test_image_and_labels_share_a_grid(cell: Cell) -> None:
    assert cell.image.dtype == np.uint8
    assert cell.image.shape == SHAPE
    assert {v.shape for v in cell.labels.values()} == {SHAPE}
    assert cell.spacing == (20.0, 20.0, 20.0)


def test_parts_lie_where_they_belong(cell: Cell) -> None:
    truth = {k: v > 0 for k, v in cell.labels.items()}
    assert not (truth["nucleus"] & ~truth["cell"]).any()
    assert np.array_equal(truth["cytoplasm"], truth["cell"] & ~truth["nucleus"])
    for name in ("envelope", "heterochromatin", "nucleolus", "pockets"):
        assert not (truth[name] & ~truth["nucleus"]).any(), name
    for name in ("mitochondria", "er", "golgi", "vesicles", "lysosomes", "droplets"):
        assert not (truth[name] & ~truth["cytoplasm"]).any(), name
    exclusive = ["mitochondria", "er", "golgi", "vesicles", "lysosomes", "droplets",
                 "pores", "pockets", "heterochromatin", "nucleolus"]  # fmt: skip
    total = np.sum([truth[name] for name in exclusive], axis=0)
    assert total.max() == 1


def test_stain_is_dark(cell: Cell) -> None:
    truth = cell.labels
    grey = {k: float(cell.image[v > 0].mean()) for k, v in truth.items() if v.any()}
    resin = float(cell.image[~truth["cell"]].mean())
    assert resin > grey["pockets"] > grey["nucleus"] > grey["mitochondria"]
    assert grey["cytoplasm"] > grey["mitochondria"] > grey["lysosomes"]
    assert grey["nucleus"] - grey["heterochromatin"] > 15
    assert grey["envelope"] < grey["cytoplasm"]


def test_a_threshold_cannot_find_mitochondria(cell: Cell) -> None:
    truth = cell.labels["mitochondria"] > 0
    best = 0.0
    for sigma in (0, 1, 2, 3):
        smooth = ndimage.gaussian_filter(cell.image.astype(np.float32), sigma)
        for level in range(80, 160, 4):
            found = smooth < level
            best = max(best, (found & truth).sum() / (found | truth).sum())
    assert best < 0.6


def test_mitochondria_fill_a_tenth_and_are_separate(cell: Cell) -> None:
    labels = cell.labels["mitochondria"]
    share = np.count_nonzero(labels) / cell.labels["cytoplasm"].sum()
    assert 0.09 < share < 0.12
    assert count(labels > 0) == labels.max() == len(np.unique(labels)) - 1


def test_nucleus_has_a_big_and_a_small_lobe(cell: Cell) -> None:
    assert count(cell.labels["nucleus"]) == 1
    distance = ndimage.distance_transform_edt(cell.labels["nucleus"])
    sizes = np.sort(np.bincount(cc3d.connected_components(distance > 0.6 * distance.max()).ravel()))
    lobes = cell.pores["lobe"]
    assert set(lobes) == {1, 2}
    assert (lobes == 1).sum() > (lobes == 2).sum()
    assert sizes.size >= 2


def test_pores_have_the_size_of_the_field(cell: Cell) -> None:
    voxels = np.bincount(cell.labels["pores"].ravel())[1:]
    assert np.array_equal(voxels, cell.pores["n_voxels"])
    assert voxels.min() >= 100
    assert voxels.max() <= 150
    assert count(cell.labels["pores"] > 0) == len(voxels) == cell.labels["pores"].max()


def test_pore_centres_keep_their_distance(cell: Cell) -> None:
    nearest = cKDTree(centres_um(cell)).query(centres_um(cell), k=2)[0][:, 1]
    assert nearest.min() >= 0.2


def test_pore_density_is_that_of_hela(cell: Cell) -> None:
    density = len(cell.pores["label"]) / area_um2(cell.labels["nucleus"])
    assert 6 <= density <= 10


def test_pore_rows_agree_with_the_label_image(cell: Cell) -> None:
    numbers = cell.pores["label"]
    assert np.array_equal(numbers, np.arange(1, len(numbers) + 1))
    labels = cell.labels["pores"]
    centroids = np.array(ndimage.center_of_mass(labels > 0, labels, numbers))
    assert np.abs(centroids * 0.02 - centres_um(cell)).max() < 0.02


def test_pore_axes_are_normals_of_the_envelope(cell: Cell) -> None:
    inside = cell.labels["nucleus"]
    signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    slope = np.stack(np.gradient(ndimage.gaussian_filter(signed, 1.5)), axis=-1)
    at = tuple(np.rint(centres_um(cell) / 0.02).astype(int).T)
    normals = slope[at] / np.linalg.norm(slope[at], axis=1, keepdims=True)
    assert np.allclose(np.linalg.norm(axes(cell), axis=1), 1)
    cosine = (normals * axes(cell)).sum(axis=1)
    assert np.median(cosine) > 0.97
    assert cosine.min() > 0.7


def test_each_pore_has_its_own_pocket_on_the_nuclear_side(cell: Cell) -> None:
    pockets = cell.labels["pockets"]
    voxels = np.bincount(pockets.ravel())[1:]
    assert np.array_equal(voxels, cell.pores["pocket_n_voxels"])
    assert voxels.min() >= 400
    assert voxels.max() <= 1200
    # Never touching, not even by a corner: as many components as pores.
    assert count(pockets > 0) == len(cell.pores["label"])
    middles = np.array(ndimage.center_of_mass(pockets > 0, pockets, cell.pores["label"])) * 0.02
    along = ((middles - centres_um(cell)) * axes(cell)).sum(axis=1)
    assert (along < -0.05).all()
    assert np.linalg.norm(middles - centres_um(cell), axis=1).max() < 0.3


def test_pockets_are_brighter_than_what_surrounds_them(cell: Cell) -> None:
    pockets = cell.labels["pockets"] > 0
    shell = ndimage.binary_dilation(pockets, iterations=3) & cell.labels["nucleus"] & ~pockets
    shell &= ~ndimage.binary_dilation(cell.labels["envelope"], iterations=1)
    assert cell.image[pockets].mean() > cell.image[shell].mean() + 10


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, again, other = (make_cell((24, 64, 64), seed=s) for s in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    for name, labels in first.labels.items():
        assert np.array_equal(labels, again.labels[name]), name
    for name, column in first.pores.items():
        assert np.array_equal(column, again.pores[name]), name
    assert not np.array_equal(first.image, other.image)


def test_the_global_random_state_is_left_alone() -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_cell((8, 16, 16), seed=1)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 5), (1, 40, 40), (40, 1, 40), (24, 64, 64), (33, 71, 50)]
)
def test_any_shape_gives_a_cell(shape: tuple[int, int, int]) -> None:
    cell = make_cell(shape, seed=1)
    assert cell.image.shape == shape
    assert len(cell.pores["label"]) == cell.labels["pockets"].max() == cell.labels["pores"].max()
    assert count(cell.labels["pockets"] > 0) == len(cell.pores["label"])


@pytest.mark.parametrize("spacing", [(40.0, 40.0, 40.0), (50.0, 30.0, 30.0), (15.0, 15.0, 15.0)])
def test_counts_of_voxels_follow_the_spacing(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(1800 / s) for s in spacing)
    cell = make_cell(shape, seed=2, spacing=spacing)
    assert len(cell.pores["label"]) >= 8
    volume = float(np.prod(spacing)) / 8000
    slack = 0.5  # counts are whole
    assert (cell.pores["n_voxels"] * volume >= 100 - slack * volume).all()
    assert (cell.pores["n_voxels"] * volume <= 150 + slack * volume).all()
    assert (cell.pores["pocket_n_voxels"] * volume >= 400 - slack * volume).all()
    assert (cell.pores["pocket_n_voxels"] * volume <= 1200 + slack * volume).all()
    assert count(cell.labels["pockets"] > 0) == len(cell.pores["label"])
    assert cKDTree(centres_um(cell)).query(centres_um(cell), k=2)[0][:, 1].min() >= 0.2


def test_pores_can_be_switched_off() -> None:
    cell = make_cell((24, 64, 64), seed=1, pores=False)
    assert not cell.labels["pores"].any()
    assert not cell.labels["pockets"].any()
    assert all(len(column) == 0 for column in cell.pores.values())


def lobe_ratio(seed: int, gradient: bool) -> float:
    """Density of pores on the small lobe over that on the big one."""
    cell = make_cell(SHAPE, seed=seed, pore_gradient=gradient)
    nucleus, pores = cell.labels["nucleus"], cell.pores
    # Each voxel of the envelope belongs to the lobe of its nearest pore.
    shell = np.argwhere(nucleus & ~ndimage.binary_erosion(nucleus))
    lobe = pores["lobe"][cKDTree(centres_um(cell)).query(shell * 0.02)[1]]
    return float(
        ((pores["lobe"] == 2).sum() / (lobe == 2).sum())
        / ((pores["lobe"] == 1).sum() / (lobe == 1).sum())
    )


def test_the_small_lobe_has_denser_pores_unless_switched_off() -> None:
    assert lobe_ratio(3, True) > 1.15
    assert 0.85 < lobe_ratio(3, False) < 1.15


def thickness_and_depth(gradient: bool) -> float:
    """Correlation of the half width of mitochondria with their distance from membranes."""
    labels = make_cell(SHAPE, seed=4, pores=False, thickness_gradient=gradient).labels
    depth = ndimage.distance_transform_edt(labels["cytoplasm"])
    width = ndimage.distance_transform_edt(labels["mitochondria"])
    ridge = (width == ndimage.maximum_filter(width, 5)) & (width >= 2)
    return float(np.corrcoef(depth[ridge], width[ridge])[0, 1])


def test_mitochondria_are_thicker_inside_unless_switched_off() -> None:
    with_gradient, without = thickness_and_depth(True), thickness_and_depth(False)
    assert with_gradient > 0.55
    assert without < with_gradient - 0.25


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (0, 10, 10)},
        {"shape": (10, 10)},
        {"shape": (10.5, 10, 10)},
        {"spacing": (20, 20, 0)},
        {"spacing": (20, 20)},
        {"spacing": (20, 20, float("nan"))},
        {"mitochondria_share": 0.9},
        {"pores_per_um2": -1},
        {"seed": -1},
    ],
)
def test_senseless_settings_are_refused_by_name(wrong: dict[str, object]) -> None:
    settings = {"shape": (8, 8, 8), **wrong}
    with pytest.raises(UsageError, match=next(iter(wrong))):
        make_cell(**settings)
