"""fibseg: deep-learning segmentation and cell profiling of volume electron microscopy."""

__version__ = "0.1.0"
