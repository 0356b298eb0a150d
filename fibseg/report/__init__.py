"""The report of one volume: a self-contained HTML page with figures."""

from fibseg.report.encode import jpeg_uri, png_uri, svg_uri
from fibseg.report.figures import plane_scores, volume_histogram
from fibseg.report.overview import Panel, figure_png
from fibseg.report.page import Fact, ObjectSection, Page, RunRow, ScoreTable, css_color, render
from fibseg.report.views import AXES, View, error_view, plane_view

__all__ = [
    "AXES",
    "Fact",
    "ObjectSection",
    "Page",
    "Panel",
    "RunRow",
    "ScoreTable",
    "View",
    "css_color",
    "error_view",
    "figure_png",
    "jpeg_uri",
    "plane_scores",
    "plane_view",
    "png_uri",
    "render",
    "svg_uri",
    "volume_histogram",
]
