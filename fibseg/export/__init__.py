"""What a trained model is on disk: a folder of plain data, nothing in it can execute."""

from fibseg.export.forest_folder import (
    forest_digest,
    is_forest,
    load_forest_spec,
    load_forests,
    save_forest_folder,
    stages_of,
)
from fibseg.export.forest_onnx import INPUT, OUTPUT, forest_to_onnx
from fibseg.export.forest_spec import ForestSpec, forest_versions
from fibseg.export.model_folder import load_network, load_spec, save_model_folder, weights_digest
from fibseg.export.onnx_file import graph_to_onnx
from fibseg.export.spec import FORMAT_VERSION, ModelSpec, WindowSpec, describe_model

__all__ = [
    "FORMAT_VERSION",
    "INPUT",
    "OUTPUT",
    "ForestSpec",
    "ModelSpec",
    "WindowSpec",
    "describe_model",
    "forest_digest",
    "forest_to_onnx",
    "forest_versions",
    "graph_to_onnx",
    "is_forest",
    "load_forest_spec",
    "load_forests",
    "load_network",
    "load_spec",
    "save_forest_folder",
    "save_model_folder",
    "stages_of",
    "weights_digest",
]
