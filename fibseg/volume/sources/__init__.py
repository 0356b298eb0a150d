"""Reading stacks: every input format behind one `Source`, box by box."""

from fibseg.volume.sources.folder import missing_planes
from fibseg.volume.sources.open import open_source
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.units import FileSpacing

__all__ = ["FileSpacing", "Source", "missing_planes", "open_source"]
