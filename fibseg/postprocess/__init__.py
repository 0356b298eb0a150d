"""From probabilities to clean masks and numbered objects: pure functions of arrays."""

from fibseg.postprocess.adaptive import adaptive_threshold
from fibseg.postprocess.components import components, fill_holes, remove_small
from fibseg.postprocess.distance import distance, signed_distance
from fibseg.postprocess.features import filter_objects
from fibseg.postprocess.filters import smooth, threshold
from fibseg.postprocess.growing import grow_regions
from fibseg.postprocess.masking import invert, mask_by
from fibseg.postprocess.morphology import closing, dilation, erosion, opening
from fibseg.postprocess.particles import enhance_particles, preserve_bright_particles
from fibseg.postprocess.selection import hysteresis_threshold, keep_largest
from fibseg.postprocess.size import fewest_voxels, most_voxels
from fibseg.postprocess.surface import smooth_surface
from fibseg.postprocess.watershed import split_large, watershed

__all__ = [
    "adaptive_threshold",
    "closing",
    "components",
    "dilation",
    "distance",
    "enhance_particles",
    "erosion",
    "fewest_voxels",
    "fill_holes",
    "filter_objects",
    "grow_regions",
    "hysteresis_threshold",
    "invert",
    "keep_largest",
    "mask_by",
    "most_voxels",
    "opening",
    "preserve_bright_particles",
    "remove_small",
    "signed_distance",
    "smooth",
    "smooth_surface",
    "split_large",
    "threshold",
    "watershed",
]
