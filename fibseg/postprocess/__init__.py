"""From probabilities to clean masks and numbered objects: pure functions of arrays."""

from fibseg.postprocess.components import components, fill_holes, remove_small
from fibseg.postprocess.distance import distance, signed_distance
from fibseg.postprocess.filters import smooth, threshold
from fibseg.postprocess.growing import grow
from fibseg.postprocess.morphology import closing, dilation, erosion, opening
from fibseg.postprocess.selection import hysteresis, largest
from fibseg.postprocess.size import fewest_voxels, most_voxels
from fibseg.postprocess.watershed import split_objects

__all__ = [
    "closing",
    "components",
    "dilation",
    "distance",
    "erosion",
    "fewest_voxels",
    "fill_holes",
    "grow",
    "hysteresis",
    "largest",
    "most_voxels",
    "opening",
    "remove_small",
    "signed_distance",
    "smooth",
    "split_objects",
    "threshold",
]
