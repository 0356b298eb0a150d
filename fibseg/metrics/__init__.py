"""Scores of a segmentation: overlap, boundary, objects, places. Every state adds over blocks."""

from fibseg.metrics.boundary import BoundaryScore, boundary_voxels, reach_of_boundary_score
from fibseg.metrics.comparison import Compared, Comparison
from fibseg.metrics.edits import LIMIT_HOURS, SECONDS_PER_EDIT, Edits
from fibseg.metrics.evaluation import PLACE_NAMES, SCORE_NAMES, Evaluation, score_text
from fibseg.metrics.left_out import LeaveOneOut, LeftOutCell, mean_of_cells
from fibseg.metrics.objects import IGNORED, Contingency, ObjectScore
from fibseg.metrics.overlap import Overlap, overlap_per_class
from fibseg.metrics.planes import (
    Scores,
    default_tolerance_nm,
    painted_objects,
    plane_components,
    score_planes,
)
from fibseg.metrics.points import PointScores, match_points
from fibseg.metrics.regions import region_boxes, region_edges, region_looks, region_means
from fibseg.metrics.reliability import HALF, ProbabilityCounts, Reliability
from fibseg.metrics.suggesting import Regions, Suggested, packed, suggest
from fibseg.metrics.thresholds import Interval, ThresholdScores
from fibseg.metrics.uncertainty import UNCERTAINTIES

__all__ = [
    "HALF",
    "IGNORED",
    "LIMIT_HOURS",
    "PLACE_NAMES",
    "SCORE_NAMES",
    "SECONDS_PER_EDIT",
    "UNCERTAINTIES",
    "BoundaryScore",
    "Compared",
    "Comparison",
    "Contingency",
    "Edits",
    "Evaluation",
    "Interval",
    "LeaveOneOut",
    "LeftOutCell",
    "ObjectScore",
    "Overlap",
    "PointScores",
    "ProbabilityCounts",
    "Regions",
    "Reliability",
    "Scores",
    "Suggested",
    "ThresholdScores",
    "boundary_voxels",
    "default_tolerance_nm",
    "match_points",
    "mean_of_cells",
    "overlap_per_class",
    "packed",
    "painted_objects",
    "plane_components",
    "reach_of_boundary_score",
    "region_boxes",
    "region_edges",
    "region_looks",
    "region_means",
    "score_planes",
    "score_text",
    "suggest",
]
