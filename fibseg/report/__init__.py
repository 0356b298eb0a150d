"""The report of one volume: a self-contained HTML page with figures."""

from fibseg.report.columns import column_title, column_unit
from fibseg.report.encode import jpeg_uri, png_uri, svg_uri
from fibseg.report.figures import plane_scores, volume_histogram
from fibseg.report.meshes import Mesh
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
)
from fibseg.report.render import PAGE_BYTES, SCENE_TRIANGLES, css_color, render
from fibseg.report.scene import Scene, SceneMesh
from fibseg.report.views import AXES, Ids, View, error_view, object_ids, plane_view

__all__ = [
    "AXES",
    "PAGE_BYTES",
    "SCENE_TRIANGLES",
    "CellSection",
    "ClassTable",
    "Fact",
    "Figure",
    "Ids",
    "Mesh",
    "ObjectSection",
    "ObjectTable",
    "Page",
    "Panel",
    "RunRow",
    "Scene",
    "SceneMesh",
    "ScoreTable",
    "View",
    "color_range",
    "column_title",
    "column_unit",
    "css_color",
    "error_view",
    "figure_png",
    "jpeg_uri",
    "object_ids",
    "plane_scores",
    "plane_view",
    "png_uri",
    "render",
    "svg_uri",
    "volume_histogram",
]
