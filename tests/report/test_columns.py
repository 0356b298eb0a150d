from __future__ import annotations

import pytest

from fibseg.report.columns import column_help, column_title, column_unit


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("volume_um3", "volume (µm³)", "µm³"),
        ("surface_area_um2", "surface area (µm²)", "µm²"),
        ("surface_to_volume_per_um", "surface to volume (1/µm)", "1/µm"),
        ("density_per_um2", "density (1/µm²)", "1/µm²"),
        ("reach_nm", "reach (nm)", "nm"),
        ("sphericity", "sphericity", ""),
        ("um", "um", ""),
        ("_um", "_um".replace("_", " "), ""),
        ("minimum", "minimum", ""),
    ],
)
def test_units_stand_behind_the_name(name: str, title: str, unit: str) -> None:
    assert (column_title(name), column_unit(name)) == (title, unit)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("distance_plasma_membrane_um", "to the surface of the plasma membrane"),
        ("surface_distance_cell_um", "from the nearest surface voxel of the object to the cell"),
        ("mean_surface_distance_cell_um", "mean distance of the object's surface voxels to"),
        ("distance_nearest_um", "the nearer of the membranes of nucleus and cell, where both are"),
        ("surface_distance_nearest_um", "nearer of the membranes of nucleus and cell, where both"),
        ("distance_er.v2_um", "from the centre of the object to the surface of the er.v2"),
        ("surface_distance_er-sheet_um", "from the nearest surface voxel of the object to the er-"),
        ("share_in_er.v2", "lie in the er.v2"),
        ("inside_er-v2", "lies in the er-v2"),
        ("axis_major_z", "part along z of the unit vector along the major principal axis"),
        ("axis_middle_um", "length of the middle principal axis"),
        ("surface_neighbour_2_um", "surface to surface distance to neighbour 2"),
        ("surface_neighbour_2", "label of neighbour 2 by surface distance"),
        ("bbox_z_start", "first voxel of the object along z"),
    ],
)
def test_columns_say_what_they_measure(name: str, words: str) -> None:
    assert words in column_help(name)


def test_a_column_of_somebody_else_is_not_explained() -> None:
    assert column_help("my_favourite") == ""
