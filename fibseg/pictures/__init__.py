"""Pictures for people: overlays, hatching, palettes, panels. Array to RGB, uint8."""

from fibseg.pictures.column_colors import (
    CLASS_COLORS,
    MISSING,
    ColumnColors,
    column_colors,
    sequential,
)
from fibseg.pictures.palettes import (
    CORRECT,
    INVENTED,
    MISSED,
    OKABE_ITO,
    Color,
    class_color,
    heat,
    object_colors,
)
from fibseg.pictures.panels import length_text, scale_bar_nm, tile
from fibseg.pictures.planes import (
    annotation_overlay,
    blend,
    error_layer,
    error_map,
    gray,
    hatch,
    hatch_layer,
    label_layer,
    outlines,
    overlay,
    probability,
)

__all__ = [
    "CLASS_COLORS",
    "CORRECT",
    "INVENTED",
    "MISSED",
    "MISSING",
    "OKABE_ITO",
    "Color",
    "ColumnColors",
    "annotation_overlay",
    "blend",
    "class_color",
    "column_colors",
    "error_layer",
    "error_map",
    "gray",
    "hatch",
    "hatch_layer",
    "heat",
    "label_layer",
    "length_text",
    "object_colors",
    "outlines",
    "overlay",
    "probability",
    "scale_bar_nm",
    "sequential",
    "tile",
]
