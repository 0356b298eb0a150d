"""The report of one volume: a self-contained HTML page with figures."""

from fibseg.report.cells import cell_figure, picture_figure
from fibseg.report.cohort_page import CohortPage, Rows, render_cohort
from fibseg.report.columns import column_title, column_unit
from fibseg.report.conditions import conditions_figure
from fibseg.report.encode import jpeg_uri, picture_uri, png_uri, svg_uri
from fibseg.report.figures import Drawing, plane_scores, png_bytes, svg_text, write_figures
from fibseg.report.histograms import column_histogram, volume_histogram
from fibseg.report.learning import comparison_figure
from fibseg.report.meshes import Mesh, level_within, object_meshes
from fibseg.report.object_table import ObjectTable, color_range
from fibseg.report.overview import Panel, figure_png
from fibseg.report.page import (
    CellSection,
    ClassTable,
    Fact,
    Figure,
    ObjectSection,
    Page,
    RunRow,
    ScoreTable,
    Section,
)
from fibseg.report.panels import panels_figure
from fibseg.report.reliability import threshold_figure
from fibseg.report.render import PAGE_BYTES, SCENE_TRIANGLES, css_color, render
from fibseg.report.scatter import relations, scatter_figure
from fibseg.report.scene import Scene, SceneMesh
from fibseg.report.shares import shares_figure
from fibseg.report.spreading import pairs_figure, section_names, sections_figure
from fibseg.report.suggestions import SuggestedPlane, suggestions_figure
from fibseg.report.sweeps import (
    TrialPoint,
    history_figure,
    importance_figure,
    slices_figure,
)
from fibseg.report.views import AXES, Ids, ObjectLayer, View, error_view, object_ids, plane_view

__all__ = [
    "AXES",
    "PAGE_BYTES",
    "SCENE_TRIANGLES",
    "CellSection",
    "ClassTable",
    "CohortPage",
    "Drawing",
    "Fact",
    "Figure",
    "Ids",
    "Mesh",
    "ObjectLayer",
    "ObjectSection",
    "ObjectTable",
    "Page",
    "Panel",
    "Rows",
    "RunRow",
    "Scene",
    "SceneMesh",
    "ScoreTable",
    "Section",
    "SuggestedPlane",
    "TrialPoint",
    "View",
    "cell_figure",
    "color_range",
    "column_histogram",
    "column_title",
    "column_unit",
    "comparison_figure",
    "conditions_figure",
    "css_color",
    "error_view",
    "figure_png",
    "history_figure",
    "importance_figure",
    "jpeg_uri",
    "level_within",
    "object_ids",
    "object_meshes",
    "pairs_figure",
    "panels_figure",
    "picture_figure",
    "picture_uri",
    "plane_scores",
    "plane_view",
    "png_bytes",
    "png_uri",
    "relations",
    "render",
    "render_cohort",
    "scatter_figure",
    "section_names",
    "sections_figure",
    "shares_figure",
    "slices_figure",
    "suggestions_figure",
    "svg_text",
    "svg_uri",
    "threshold_figure",
    "volume_histogram",
    "write_figures",
]
