"""Sparse annotated planes: loading, what is held out, patches, augmentation."""

from fibseg.data.augment import photometry, warp
from fibseg.data.normalise import RULE, Normalisation, normalise, refuse_not_finite
from fibseg.data.oblique import LabelledPart, ObliquePatches, study_patches
from fibseg.data.paint import Paint, painted_voxels
from fibseg.data.patches import DROPOUT, TURN, Batch, Patches, Steps, key
from fibseg.data.planes import PlaneStack, load_planes, mirrored, read_planes, working_spacing
from fibseg.data.resample import resample, resample_annotation, resampled_shape, working_factor
from fibseg.data.sparse import Augmentation, SparseData
from fibseg.data.split import HeldOut, Split, split_planes

__all__ = [
    "DROPOUT", "RULE", "TURN", "Augmentation", "Batch", "HeldOut", "LabelledPart",
    "Normalisation", "ObliquePatches", "Paint", "Patches", "PlaneStack", "SparseData", "Split",
    "Steps", "key", "load_planes", "mirrored", "normalise", "painted_voxels", "photometry",
    "read_planes", "refuse_not_finite", "resample", "resample_annotation", "resampled_shape",
    "split_planes", "study_patches", "warp", "working_factor", "working_spacing",
]
