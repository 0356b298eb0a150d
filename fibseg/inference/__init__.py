"""A trained network on a volume: windows on a global grid, orientations, backends."""

from fibseg.inference.backends import BACKENDS, PRECISIONS, Backend
from fibseg.inference.block import ModelBlocks
from fibseg.inference.orientations import ORIENTATIONS
from fibseg.inference.plan import Plan, make_plan, spacing_note
from fibseg.inference.planes import model_normalisation, predict_planes
from fibseg.inference.predict import Predictor

__all__ = [
    "BACKENDS",
    "ORIENTATIONS",
    "PRECISIONS",
    "Backend",
    "ModelBlocks",
    "Plan",
    "Predictor",
    "make_plan",
    "model_normalisation",
    "predict_planes",
    "spacing_note",
]
