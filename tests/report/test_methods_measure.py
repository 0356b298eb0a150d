from __future__ import annotations

from typing import Any

from fibseg.report.methods_measure import measurement_text

MEASURED: dict[str, Any] = {
    "to": ["nucleus", "plasma_membrane"],
    "classes": {"column": "distance_nucleus_um", "rule": "perinuclear where x ≤ 1",
                "limits": [1, 2], "counts": {"perinuclear": 7, "peripheral": 4, "": 1}},
    "correlations": {"column": ["surface_to_volume_per_um"] * 2, "n_draws": [2000, 1500],
                     "with_column": ["distance_nucleus_um", "distance_nearest_um"]},
    "null": {"table": {}, "simulated": {}, "voxel_nm": [60.0, 40.0, 40.0], "n_simulations": 199,
             "seed": 3, "n_unplaced": 0},
}


def told(n_objects: int = 20, n_cut: int = 2, **changed: Any) -> str:
    return measurement_text(
        "mitochondria", n_objects=n_objects, n_cut=n_cut, measured={**MEASURED, **changed}
    )


def test_every_parameter_is_told() -> None:
    text = told()
    assert "Of mitochondria (20 objects)" in text
    assert "2 objects cut by a face of the image volume were left out" in text
    assert "Distances to nucleus and plasma membrane are" in text
    assert "the nearest is the least of them." in text
    assert "Spatial classes: perinuclear where x ≤ 1 (7 perinuclear, 4 peripheral)." in text
    assert "of surface to volume with distance to nucleus and distance to nearest " in text
    assert "2,000 draws" in text
    assert "199 simulations" in text
    assert "working voxels of 60 × 40 × 40 nm, seed 3" in text
    assert "found no place" not in text


def test_what_was_not_measured_is_not_told() -> None:
    text = told(n_objects=1, n_cut=0, to=[], classes=None, correlations=None, null=None)
    assert "(1 object)" in text
    for word in ("Distances", "classes", "Correlations", "null", "cut by"):
        assert word not in text


def test_one_target_has_no_nearest_and_lost_objects_are_told() -> None:
    text = told(n_cut=1, to=["nucleus"], null={**MEASURED["null"], "n_unplaced": 3})
    assert "the nearest" not in text.partition("Spatial")[0].replace("the nearest point", "")
    assert "1 object cut by a face of the image volume was left out" in text
    assert "3 objects found no place" in text
