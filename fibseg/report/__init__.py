"""The report of one volume: a self-contained HTML page with figures."""

from fibseg.report.cells import cell_figure, picture_figure
from fibseg.report.encode import jpeg_uri, png_uri, svg_uri
from fibseg.report.figures import plane_scores, png_bytes, svg_text, write_figures
from fibseg.report.histograms import column_histogram, volume_histogram
from fibseg.report.meshes import Mesh, level_within, object_meshes
from fibseg.report.overview import Panel, figure_png
from fibseg.report.page import Fact, ObjectSection, Page, RunRow, ScoreTable, css_color, render
from fibseg.report.scatter import relations, scatter_figure
from fibseg.report.shares import shares_figure
from fibseg.report.views import AXES, View, error_view, plane_view

__all__ = [
    "AXES",
    "Fact",
    "Mesh",
    "ObjectSection",
    "Page",
    "Panel",
    "RunRow",
    "ScoreTable",
    "View",
    "cell_figure",
    "column_histogram",
    "css_color",
    "error_view",
    "figure_png",
    "jpeg_uri",
    "level_within",
    "object_meshes",
    "picture_figure",
    "plane_scores",
    "plane_view",
    "png_bytes",
    "png_uri",
    "relations",
    "render",
    "scatter_figure",
    "shares_figure",
    "svg_text",
    "svg_uri",
    "volume_histogram",
    "write_figures",
]
