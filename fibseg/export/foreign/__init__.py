"""Models made elsewhere: ONNX, CZANN and bioimage.io files, all taken for hostile."""

from fibseg.export.foreign.model import ForeignModel, Side
from fibseg.export.foreign.read import is_model_file, read_foreign
from fibseg.export.foreign.steps import Step

__all__ = ["ForeignModel", "Side", "Step", "is_model_file", "read_foreign"]
