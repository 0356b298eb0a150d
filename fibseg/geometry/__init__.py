"""nm and voxels, boxes, reach, downsampling: geometry without files and without frameworks."""

from fibseg.geometry.box import Box
from fibseg.geometry.connected import connected
from fibseg.geometry.downsample import (
    downsample_annotation,
    downsample_mean,
    downsample_mode,
    halving_factors,
)
from fibseg.geometry.orientation import (
    Orientation,
    along,
    even_orientations,
    finest_nm,
    orthogonal_orientations,
    random_orientation,
    rotated,
    study_orientations,
)
from fibseg.geometry.reach import halo_voxels, is_local, reach, reach_nm
from fibseg.geometry.sampling import (
    plane_points,
    sample_labels,
    sample_linear,
    within_volume,
)

__all__ = [
    "Box",
    "Orientation",
    "along",
    "connected",
    "downsample_annotation",
    "downsample_mean",
    "downsample_mode",
    "even_orientations",
    "finest_nm",
    "halo_voxels",
    "halving_factors",
    "is_local",
    "orthogonal_orientations",
    "plane_points",
    "random_orientation",
    "reach",
    "reach_nm",
    "rotated",
    "sample_labels",
    "sample_linear",
    "study_orientations",
    "within_volume",
]
