"""A trained network on a volume: windows on a global grid, orientations, backends."""

from fibseg.inference.backends import BACKENDS, PRECISIONS, Backend, Wish
from fibseg.inference.block import ModelBlocks
from fibseg.inference.choice import fastest
from fibseg.inference.folder_block import FolderBlocks
from fibseg.inference.foreign_block import ForeignBlocks
from fibseg.inference.foreign_plan import foreign_note, make_foreign_plan
from fibseg.inference.foreign_steps import bound
from fibseg.inference.inside import InsideBlocks, Present
from fibseg.inference.int8 import Int8
from fibseg.inference.network_block import NetworkBlocks, threads_of
from fibseg.inference.oblique_block import ObliqueBlocks
from fibseg.inference.oblique_plan import ObliquePlan, make_oblique_plan, orientations_named
from fibseg.inference.pixel_block import ForestBlocks
from fibseg.inference.pixel_plan import PixelPlan, Stage, coarsest_within, plan_pixels
from fibseg.inference.pixel_samples import features_at
from fibseg.inference.pixels import PixelClassifier
from fibseg.inference.plan import Plan, make_plan, spacing_note
from fibseg.inference.planes import model_normalisation, predict_planes
from fibseg.inference.predict import Predictor
from fibseg.inference.symmetries import SYMMETRIES
from fibseg.inference.views import predict_views

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "SYMMETRIES",
    "Backend",
    "FolderBlocks",
    "ForeignBlocks",
    "ForestBlocks",
    "InsideBlocks",
    "Int8",
    "ModelBlocks",
    "NetworkBlocks",
    "ObliqueBlocks",
    "ObliquePlan",
    "PixelClassifier",
    "PixelPlan",
    "Plan",
    "Predictor",
    "Present",
    "Stage",
    "Wish",
    "bound",
    "coarsest_within",
    "fastest",
    "features_at",
    "foreign_note",
    "make_foreign_plan",
    "make_oblique_plan",
    "make_plan",
    "model_normalisation",
    "orientations_named",
    "plan_pixels",
    "predict_planes",
    "predict_views",
    "spacing_note",
    "threads_of",
]
