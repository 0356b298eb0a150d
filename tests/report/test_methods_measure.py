from __future__ import annotations

from typing import Any

import pytest

from fibseg.report.methods_measure import measurement_text

DISTANCES = ["distance_nucleus_um", "distance_plasma_membrane_um", "distance_nearest_um"]
MEASURED: dict[str, Any] = {
    "to": ["nucleus", "plasma_membrane", "er"], "nearest": ["nucleus", "plasma_membrane"],
    "cell": "plasma_membrane", "nucleus": "nucleus", "keep_border": False, "too_small": 0,
    "neighbours": 3,
    "profile": {"cytoplasm": {"volume_um3": 9.0, "share_of_cell": 0.8},
                "mitochondria": {"volume_um3": 1.0, "share_of_cytoplasm": 0.1}},
    "classes": {"column": "distance_nucleus_um", "rule": "perinuclear where x ≤ 1",
                "limits": [1, 2], "counts": {"perinuclear": 7, "peripheral": 4, "": 1}},
    "correlations": {"column": ["surface_to_volume_per_um"] * 4, "n_draws": [2000] * 3 + [1500],
                     "with_column": [*DISTANCES, "distance_er_um"]},
    "correlated_without": [3, 8],
    "null": {"table": {"with_column": DISTANCES}, "simulated": {}, "voxel_nm": [60.0, 40.0, 40.0],
             "n_simulations": 199, "seed": 3, "n_unplaced": 0},
}


def told(
    n_objects: int = 20, n_cut: int = 2, *, settings: dict[str, Any] | None = None, **changed: Any
) -> str:
    return measurement_text(
        "mitochondria", n_objects=n_objects, n_cut=n_cut, measured={**MEASURED, **changed},
        settings=settings,
    )


def test_every_parameter_is_told() -> None:
    text = told(settings={"correlations": {"seed": 11}})
    assert "Of mitochondria (20 objects)" in text
    assert "2 objects cut by a face of the image volume were left out of shape statistics." in text
    assert "Distances to nucleus, plasma membrane and er are" in text
    assert "from the centre of the nearest surface voxel to the centre of the nearest face" in text
    assert "the nearest membrane is the nearer of nucleus and plasma membrane." in text
    assert "Of every object the 3 nearest other objects were found" in text
    assert "A share of the cell and the cytoplasm is the part of its voxels" in text
    assert "the cytoplasm is the plasma membrane without the nucleus." in text
    assert "Spatial classes: perinuclear where x ≤ 1 (7 perinuclear, 4 peripheral)." in text
    assert "of surface to volume with distance to nucleus, distance to plasma membrane, " in text
    assert "distance to nearest membrane and distance to er are Pearson's r" in text
    assert "(2,000 draws, seed 11), without 2 objects that lie by more than half in the" in text
    assert "199 simulations" in text
    assert "working voxels of 60 × 40 × 40 nm, at most 2,000 tries for an object, 2 sweeps" in text
    assert "seed 3)" in text
    for word in ("found no place", "no surface is stated", "None"):
        assert word not in text


def test_the_null_treats_its_columns_and_its_objects_only() -> None:
    sentence = next(s for s in told().split(". ") if "spatial null" in s)
    assert sentence.startswith(
        "Those with distance to nucleus, distance to plasma membrane and distance to nearest "
        "membrane were compared with a spatial null"
    )
    assert "distance to er" not in sentence
    assert "all objects, rigid" not in sentence
    assert "all other objects stay where they are, in the way of these" in sentence


@pytest.mark.parametrize(
    ("kept", "fate"),
    [(True, "were kept in shape statistics, with the part that is seen."),
     (False, "were left out of shape statistics."), (None, "2 objects are cut by a face")],
)
def test_objects_at_faces_are_told_as_they_were_treated(kept: bool | None, fate: str) -> None:
    text = told(keep_border=kept)
    assert fate in text
    assert ("left out of shape" in text) == (kept is False)


def test_objects_that_are_too_small_are_told() -> None:
    assert "Of 1 object with too few voxels no surface is stated." in told(too_small=1)


@pytest.mark.parametrize(
    ("to", "nearest", "said"),
    [
        (["nucleus"], ["nucleus"], None),
        (["a", "b"], ["a", "b"], "the nearer of a and b."),
        (["a", "b", "c"], ["a", "b", "c"], "the nearest of a, b and c."),
        (["nucleus", "cell", "truth_er"], ["nucleus", "cell"], "the nearer of nucleus and cell."),
    ],
)
def test_the_nearest_membrane_is_that_of_its_targets(
    to: list[str], nearest: list[str], said: str | None
) -> None:
    text = told(to=to, nearest=nearest, correlations=None, null=None)
    assert ("the nearest membrane is" in text) == (said is not None)
    assert said is None or said in text


def test_the_seed_of_the_bootstrap_is_that_of_the_null_where_nothing_else_tells() -> None:
    assert "(2,000 draws, seed 3)" in told()
    assert "(2,000 draws)" in told(null=None)


def test_what_was_not_measured_is_not_told() -> None:
    text = told(
        n_objects=1, n_cut=0, to=[], classes=None, correlations=None, null=None, neighbours=0,
        profile={}, nearest=[],
    )
    assert "(1 object)" in text
    for word in ("Distances", "classes", "Correlations", "null", "cut by", "neighb", "share",
                 "cytoplasm"):
        assert word not in text


def test_without_a_nucleus_there_is_no_cytoplasm_to_define() -> None:
    text = told(nucleus=None, profile={"mitochondria": {"share_of_cell": 0.1}}, null=None)
    assert "A share of the cell is the part of its voxels that belongs to an organelle." in text
    assert "cytoplasm" not in text


def test_one_of_anything_is_one() -> None:
    null = {**MEASURED["null"], "n_unplaced": 3}
    text = told(n_cut=1, correlated_without=[4], neighbours=1, null=null)
    assert "1 object cut by a face of the image volume was left out" in text
    assert "3 objects found no place" in text
    assert "without 1 object that lies by more than half" in text
    assert "the nearest other object was found" in text


def test_a_table_of_an_earlier_version_has_its_text() -> None:
    new = ("keep_border", "cell", "nucleus", "correlated_without", "too_small", "nearest")
    old = {key: value for key, value in MEASURED.items() if key not in new}
    text = measurement_text("er", n_objects=9, n_cut=1, measured=old)
    assert "1 object is cut by a face of the image volume." in text
    assert "None" not in text
