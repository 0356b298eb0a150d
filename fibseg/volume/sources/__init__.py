"""Reading stacks: every input format behind one `Source`, box by box."""

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
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.stream import PlacedPlanes, copy
from fibseg.volume.sources.survey import Survey, survey
from fibseg.volume.sources.units import FileSpacing

__all__ = [
    "FileSpacing",
    "PlacedPlanes",
    "Source",
    "Survey",
    "bad_voxels",
    "checked_spacing",
    "copy",
    "expected_spacing",
    "missing_planes",
    "open_source",
    "refuse_contradiction",
    "refuse_gaps",
    "refuse_other_shape",
    "refuse_unless_image",
    "survey",
]
