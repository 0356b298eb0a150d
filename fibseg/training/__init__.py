"""Training: the step, its schedule, crash-safe checkpoints, the test on held-out planes."""

from fibseg.training.checkpoint import CrashSafeIO, newest
from fibseg.training.device import training_device
from fibseg.training.fit import Trained, fit
from fibseg.training.held_out import TestVolume, log_scores, score_held_out
from fibseg.training.processes import launch
from fibseg.training.progress import noted_scores
from fibseg.training.settings import TrainerSettings, parse_duration
from fibseg.training.stop import queued_again

__all__ = [
    "CrashSafeIO", "TestVolume", "Trained", "TrainerSettings", "fit", "launch", "log_scores",
    "newest", "noted_scores", "parse_duration", "queued_again", "score_held_out", "training_device",
]
