"""Reading stacks: every input format behind one `Source`, box by box."""

from fibseg.volume.sources.blanked import BlankedSource
from fibseg.volume.sources.expect import (
    bad_voxels,
    checked_spacing,
    expected_spacing,
    refuse_contradiction,
    refuse_gaps,
    refuse_other_shape,
    refuse_unless_image,
)
from fibseg.volume.sources.folder import missing_planes
from fibseg.volume.sources.open import open_source
from fibseg.volume.sources.placed import PlacedPlanes, UnpackedPlanes
from fibseg.volume.sources.plan import reading_blocks, writing_blocks
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.survey import Part, Survey, part_of
from fibseg.volume.sources.units import FileSpacing

__all__ = [
    "BlankedSource",
    "FileSpacing",
    "Part",
    "PlacedPlanes",
    "Source",
    "Survey",
    "UnpackedPlanes",
    "bad_voxels",
    "checked_spacing",
    "expected_spacing",
    "missing_planes",
    "open_source",
    "part_of",
    "reading_blocks",
    "refuse_contradiction",
    "refuse_gaps",
    "refuse_other_shape",
    "refuse_unless_image",
    "writing_blocks",
]
