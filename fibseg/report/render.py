"""From a page to its HTML: one file, escaped, without network, below a size that can be mailed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fibseg.errors import DataError
from fibseg.pictures import OKABE_ITO, Color
from fibseg.pictures.palettes import OBJECT_COLORS
from fibseg.report.object_table import table_data
from fibseg.report.page import Page
from fibseg.report.scene import mesh_data

PAGE_BYTES = 15_000_000
"""No page is larger."""
TABLE_BYTES = 3_000_000
"""All tables together; the smallest objects are left out beyond it, and the page says so."""
SCENE_TRIANGLES = 400_000
"""A budget for the meshes of a scene: about 4 MB."""
SCRIPTS = (
    "data", "color", "matrix", "shaders", "mesh", "viewer", "pointer", "overlay", "legend",
    "panel", "slices", "query", "table", "download", "start",
)
"""Files of the script, in the order of what needs what."""


def render(page: Page) -> str:
    """HTML of a page; every text in it is escaped.

    Raises
    ------
    DataError
        If it is larger than `PAGE_BYTES`.
    """
    script = data = None
    if interactive(page):
        script = script_text()
        data = safe_json(page_data(page))
    html = templates().get_template("page.html").render(
        page=page, many=css_stripes(OKABE_ITO[:5]),
        script=Markup(script) if script else None, data=Markup(data) if data else None,
        script_source=Markup(f"script-src '{script_hash(script)}'; ") if script else "",
    )
    n_bytes = len(html.encode("utf-8", "replace"))
    if n_bytes > PAGE_BYTES:
        raise DataError(
            f"the page of {page.name} takes {n_bytes / 1e6:.1f} MB, more than "
            f"{PAGE_BYTES / 1e6:.0f}: {_shares(page, data or '')}. Use fewer or smaller planes "
            "(max_pixels) or fewer triangles."
        )
    return html


def templates() -> Environment:
    """The templates of all pages; every text that goes into them is escaped."""
    environment = Environment(
        loader=PackageLoader("fibseg.report", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["css"] = css_color
    return environment


def interactive(page: Page) -> bool:
    """Whether there is anything for a script to do."""
    return page.scene is not None or any(s.table is not None for s in page.objects)


def page_data(page: Page) -> dict[str, Any]:
    """What the script works on, as JSON takes it."""
    n_tables = sum(s.table is not None for s in page.objects)
    kinds = [
        {
            "name": s.name, "color": s.color,
            "table": s.table and table_data(s.table, n_bytes=TABLE_BYTES // n_tables),
        }
        for s in page.objects
    ]
    scene = page.scene
    return {
        "name": page.name,
        "kinds": kinds,
        "meshes": [mesh_data(m) for m in scene.meshes] if scene else [],
        "size": list(scene.size_um[::-1]) if scene and scene.size_um else None,
        "planes": [
            [vars(ids) for ids in view.ids if page.objects[ids.kind].table is not None]
            for view in page.views
        ],
        "palettes": {k: list(v) for k, v in page.palettes.items()},
        "missing": page.missing, "object_colors": OBJECT_COLORS,
    }


def script_text() -> str:
    """The script of the page: all files in one scope of its own."""
    folder = resources.files("fibseg.report") / "templates"
    files = [(folder / f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    return '\n(() => {\n"use strict";\n' + "\n".join(files) + "})();\n"


def script_hash(script: str) -> str:
    """Source expression that lets a browser run just this script (Content Security Policy 3).

    >>> script_hash("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def safe_json(data: Mapping[str, Any]) -> str:
    r"""JSON that no text in it can end or change as a script element of a page.

    >>> safe_json({"a": "</script><!-- & \u2028"})
    '{"a":"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"}'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def css_color(color: Color) -> str:
    """Colour as CSS writes it.

    >>> css_color((230, 159, 0))
    'rgb(230 159 0)'
    """
    return "rgb({} {} {})".format(*(int(c) for c in color))


def css_stripes(colors: Sequence[Color]) -> str:
    """Background with all colours side by side, for kinds whose objects have one each."""
    step = 100 / len(colors)
    stops = (
        f"{css_color(c)} {i * step:g}% {(i + 1) * step:g}%" for i, c in enumerate(colors)
    )
    return f"linear-gradient(90deg, {', '.join(stops)})"


def _shares(page: Page, data: str) -> str:
    """What of a page takes how much, in words."""
    views = [*page.views, *(v for s in page.scores for v in s.views)]
    planes = sum(len(v.base) + sum(len(uri) for _, uri in v.layers) for v in views)
    figures = sum(len(f.image) for s in page.objects for f in s.figures)
    return (
        f"planes {planes / 1e6:.1f} MB, figures {figures / 1e6:.1f} MB, tables and meshes "
        f"{len(data) / 1e6:.1f} MB"
    )
