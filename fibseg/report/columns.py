"""What a column of a table is called on the page, in which unit, and what it says."""

from __future__ import annotations

import re

UNITS = {
    "per_um3": "1/µm³", "per_um2": "1/µm²", "per_um": "1/µm", "um3": "µm³", "um2": "µm²",
    "um": "µm", "nm": "nm",
}
"""Ends of the names of columns; the longest that fits counts."""

_NEAREST = (
    "the nearer of the membranes of nucleus and cell, where both are measured, else the nearest of "
    "all targets"
)
_KNOWN = {
    "label": "number of the object in the label image",
    "n_voxels": "voxels of the object",
    "volume_um3": "voxels times the size of a voxel",
    "surface_area_um2": "surface of the object, faces of the volume left out",
    "surface_to_volume_per_um": "surface area by volume: high for thin or folded objects",
    "sphericity": "surface of the ball of the same volume by the surface; 1 for a ball",
    "elongation": "major by middle principal axis; 1 if not elongated",
    "flatness": "middle by minor principal axis; 1 if not flat",
    "euler_number": "pieces minus tunnels plus cavities; 1 for a solid without holes",
    "touches_border": "cut off by a face of the volume; without keep_border no shape is stated",
    "distance_nearest_um": f"from the centre of the object to {_NEAREST}",
    "surface_distance_nearest_um": f"from the nearest surface voxel of the object to {_NEAREST}",
    "nearest_um": "from centre to centre of the nearest other object",
    "mean_distance_8_um": "mean from the centre to the eight nearest; missing below nine objects",
    "kernel_density_per_um3": "sum of Gaussians around the centres of all objects",
    "envelope_distance_um": "from the centre to the envelope of the nucleus, negative inside",
    "density_per_um2": "objects on the connected piece of envelope around it, by its area",
    "mean_curvature_per_um": "of the envelope: positive where it bulges, negative in a furrow",
    "gaussian_curvature_per_um2": "of the envelope: negative on saddles",
    "section": "part of the nucleus, on either side of its furrow; 1 has the larger envelope",
    "cluster": "crowd on the envelope, the largest is 1; 0 is none",
    "spatial_class": "where in the cell the object lies, by the rule that the methods state",
}

_PATTERNS = (
    (r"mean_surface_distance_(.+)_um", "mean distance of the object's surface voxels to the {0}"),
    (r"surface_distance_(.+)_um", "from the nearest surface voxel of the object to the {0}"),
    (r"distance_(.+)_um", "from the centre of the object to the surface of the {0}"),
    (r"share_in_(.+)", "share of the object's voxels that lie in the {0}"),
    (r"inside_(.+)", "more than half of the object lies in the {0}"),
    (r"centroid_([zyx])_um", "centre of geometry along {0}, from the first voxel of the volume"),
    (r"bbox_([zyx])_start", "first voxel of the object along {0}"),
    (r"bbox_([zyx])_stop", "one past the last voxel of the object along {0}"),
    (r"axis_major_([zyx])", "part along {0} of the unit vector along the major principal axis"),
    (r"axis_(\w+)_um", "length of the {0} principal axis"),
    (r"(\w+)_neighbour_(\d+)_um", "{0} to {0} distance to neighbour {1} of the same kind"),
    (r"(\w+)_neighbour_(\d+)", "label of neighbour {1} by {0} distance"),
    (r"intensity_(\w+)", "{0} of the raw intensities in the object"),
)


def column_title(name: str) -> str:
    """Name of a column in words, with its unit.

    >>> column_title("volume_um3"), column_title("surface_to_volume_per_um")
    ('volume (µm³)', 'surface to volume (1/µm)')
    >>> column_title("surface_distance_nucleus_um"), column_title("distance_nearest_um")
    ('surface distance to nucleus (µm)', 'distance to nearest membrane (µm)')
    """
    stem, unit = _parts(name)
    words = re.sub(r"^((?:mean_)?(?:surface_)?distance)_", r"\1_to_", stem)
    words = re.sub(r"_to_nearest$", "_to_nearest_membrane", words).replace("_", " ")
    words = re.sub(r"distance to (\d+)$", r"distance to nearest \1", words)
    return f"{words} ({unit})" if unit else words


def column_unit(name: str) -> str:
    """Unit of a column, empty where it has none.

    >>> column_unit("distance_nucleus_um"), column_unit("sphericity")
    ('µm', '')
    """
    return _parts(name)[1]


def column_help(name: str) -> str:
    """What a column says, in half a sentence; empty for columns that fibseg does not make.

    >>> column_help("distance_nucleus_um")
    'from the centre of the object to the surface of the nucleus'
    """
    if name in _KNOWN:
        return _KNOWN[name]
    for pattern, text in _PATTERNS:
        found = re.fullmatch(pattern, name)
        if found:
            return text.format(*(g.replace("_", " ") for g in found.groups()))
    return ""


def _parts(name: str) -> tuple[str, str]:
    for end, unit in UNITS.items():
        if name.endswith(f"_{end}") and len(name) > len(end) + 1:
            return name[: -len(end) - 1], unit
    return name, ""
