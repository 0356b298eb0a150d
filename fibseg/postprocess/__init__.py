"""From probabilities to clean masks and numbered objects: pure functions of arrays."""

from fibseg.postprocess.components import components, fill_holes, remove_small
from fibseg.postprocess.filters import smooth, threshold
from fibseg.postprocess.morphology import closing, dilation, erosion, opening
from fibseg.postprocess.size import fewest_voxels, most_voxels

__all__ = [
    "closing",
    "components",
    "dilation",
    "erosion",
    "fewest_voxels",
    "fill_holes",
    "most_voxels",
    "opening",
    "remove_small",
    "smooth",
    "threshold",
]
