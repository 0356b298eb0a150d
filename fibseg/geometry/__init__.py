"""nm and voxels, boxes, reach, downsampling: geometry without files and without frameworks."""

from fibseg.geometry.box import Box
from fibseg.geometry.reach import halo_voxels, is_local, reach, reach_nm

__all__ = ["Box", "halo_voxels", "is_local", "reach", "reach_nm"]
