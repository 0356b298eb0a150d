"""Training: the step, its schedule, crash-safe checkpoints, the test on held-out planes."""

from fibseg.training.checkpoint import CrashSafeIO, newest
from fibseg.training.fit import Trained, fit
from fibseg.training.held_out import TestPlane, score_held_out
from fibseg.training.settings import TrainerSettings, parse_duration

__all__ = [
    "CrashSafeIO", "TestPlane", "Trained", "TrainerSettings", "fit", "newest", "parse_duration",
    "score_held_out",
]
