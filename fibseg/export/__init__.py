"""What a trained model is on disk: a folder of plain data, nothing in it can execute."""

from fibseg.export.model_folder import load_network, load_spec, save_model_folder, weights_digest
from fibseg.export.spec import FORMAT_VERSION, ModelSpec, WindowSpec, describe_model

__all__ = [
    "FORMAT_VERSION",
    "ModelSpec",
    "WindowSpec",
    "describe_model",
    "load_network",
    "load_spec",
    "save_model_folder",
    "weights_digest",
]
