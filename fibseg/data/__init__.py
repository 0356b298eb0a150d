"""Sparse annotated planes: loading, what is held out, patches, augmentation."""

from fibseg.data.augment import photometry, warp
from fibseg.data.dense import (
    as_annotation,
    is_objects,
    painting,
    painting_classes,
    painting_digest,
    painting_name,
)
from fibseg.data.normalise import RULE, Normalisation, normalise, refuse_not_finite
from fibseg.data.oblique import LabelledPart, ObliquePatches
from fibseg.data.oblique_data import ObliqueData
from fibseg.data.oblique_source import RotatedPlanes, labelled_plane, load_parts, spread
from fibseg.data.paint import Paint, painted_voxels
from fibseg.data.patches import DROPOUT, TURN, Batch, Patches, Steps, key
from fibseg.data.planes import PlaneStack, load_planes, mirrored, read_planes, working_spacing
from fibseg.data.resample import resample, resample_annotation, resampled_shape, working_factor
from fibseg.data.reserved import Reserved, choose_reserved
from fibseg.data.share import Share, SharedDraws
from fibseg.data.source import HeldOutPlane, PaintedPlanes, Source
from fibseg.data.space import SpaceSplit, labelled_cells, split_space
from fibseg.data.sparse import Augmentation, SparseData
from fibseg.data.split import HeldOut, Split, split_planes

__all__ = [
    "DROPOUT", "RULE", "TURN", "Augmentation", "Batch", "HeldOut", "HeldOutPlane", "LabelledPart",
    "Normalisation", "ObliqueData", "ObliquePatches", "Paint", "PaintedPlanes", "Patches",
    "PlaneStack", "Reserved", "RotatedPlanes", "Share", "SharedDraws", "Source", "SpaceSplit",
    "SparseData", "Split", "Steps",
    "as_annotation", "choose_reserved", "is_objects", "key", "labelled_cells", "labelled_plane",
    "load_parts",
    "load_planes", "mirrored", "normalise", "painted_voxels", "painting", "painting_classes",
    "painting_digest", "painting_name", "photometry", "read_planes", "refuse_not_finite",
    "resample", "resample_annotation", "resampled_shape", "split_planes", "split_space", "spread",
    "warp", "working_factor", "working_spacing",
]
