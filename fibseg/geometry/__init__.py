"""nm and voxels, boxes, reach, downsampling: geometry without files and without frameworks."""

from fibseg.geometry.box import Box
from fibseg.geometry.connected import connected
from fibseg.geometry.downsample import (
    downsample_annotation,
    downsample_mean,
    downsample_mode,
    halving_factors,
)
from fibseg.geometry.reach import halo_voxels, is_local, reach, reach_nm

__all__ = [
    "Box",
    "connected",
    "downsample_annotation",
    "downsample_mean",
    "downsample_mode",
    "halo_voxels",
    "halving_factors",
    "is_local",
    "reach",
    "reach_nm",
]
