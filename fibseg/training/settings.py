"""Settings of the training itself: how long, how fast, on what."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fibseg.errors import UsageError

PRECISIONS = ("auto", "bf16", "32")
ACCELERATORS = ("cpu", "gpu", "auto")
STRATEGIES = ("auto", "ddp")


@dataclass(frozen=True)
class TrainerSettings:
    """How a network is trained.

    Raises
    ------
    UsageError
        If a value cannot be meant, or neither `max_time` nor `max_steps` is given.
    """

    max_time: str | float | None = "00:00:10:00"
    """DD:HH:MM:SS (or seconds) for all of the training, set-up and test included."""
    max_steps: int | None = None
    """Steps; with `max_time` the fewer of both."""
    precision: str = "auto"
    """`bf16`, `32` or `auto`: bfloat16 where native and faster in a short measurement."""
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises."""
    ema: float = 0.995
    """Decay of the moving average of the weights, which is what is tested and saved."""
    dice: float = 1.0
    """Weight of the Dice loss beside the cross-entropy."""
    class_balance: float = 0.0
    """Weight of a class ~ (1 / its share of labelled pixels) to this power."""
    consistency: float = 0.0
    """Weight of agreement with the averaged network where nothing is painted."""
    confidence: float = 0.8
    """Probability from which the averaged network is believed."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    compile: bool = False
    """Use torch.compile."""
    accelerator: str = "cpu"
    """`cpu`, `gpu` or `auto`: a GPU where there is one."""
    devices: int = 1
    """Of a node; a process for each. They share out each batch: the result is the same."""
    num_nodes: int = 1
    """Nodes, each with so many devices; their processes are started by srun or torchrun."""
    strategy: str = "auto"
    """`auto`, or `ddp` for several devices (what `auto` takes for them too)."""
    threads: int | None = None
    """CPU threads; None: all cores."""
    checkpoint_every_s: float = 60.0
    checkpoint_every_steps: int | None = None
    """Checkpoint at each multiple of this too."""
    log_every: int = 20
    """Steps between two points in TensorBoard."""
    n_pictures: int = 5
    """How often during training the pictures of held-out planes are made; 0 for never."""
    tolerance_nm: float | None = None
    """Of the boundary score; None: 2 pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", str(self.precision))
        for name, choices in (
            ("precision", PRECISIONS), ("accelerator", ACCELERATORS), ("strategy", STRATEGIES),
        ):
            if (value := getattr(self, name)) not in choices:
                raise UsageError(f"trainer.{name}={value!r} is none of {', '.join(choices)}.")
        if self.max_time is None and self.max_steps is None:
            raise UsageError("Give trainer.max_time (DD:HH:MM:SS) or trainer.max_steps.")
        _ = self.seconds
        rules = {
            "learning_rate": self.learning_rate > 0, "weight_decay": self.weight_decay >= 0,
            "warm_up": 0 <= self.warm_up < 1, "ema": 0 <= self.ema < 1, "dice": self.dice >= 0,
            "class_balance": 0 <= self.class_balance <= 1, "consistency": self.consistency >= 0,
            "confidence": 0 <= self.confidence < 1, "clip": self.clip > 0,
            "max_steps": self.max_steps is None or self.max_steps >= 1,
            "devices": self.devices >= 1, "num_nodes": self.num_nodes >= 1,
            "threads": self.threads is None or self.threads >= 1,
            "log_every": self.log_every >= 1, "checkpoint_every_s": self.checkpoint_every_s > 0,
            "checkpoint_every_steps":
                self.checkpoint_every_steps is None or self.checkpoint_every_steps >= 1,
            "n_pictures": self.n_pictures >= 0,
            "tolerance_nm": self.tolerance_nm is None or 0 < self.tolerance_nm < math.inf,
        }
        for name, holds in rules.items():
            if not holds:
                raise UsageError(f"trainer.{name}={getattr(self, name)} cannot be meant.")

    @property
    def n_processes(self) -> int:
        """Of all nodes together."""
        return self.devices * self.num_nodes

    @property
    def seconds(self) -> float:
        """`max_time` in seconds, infinite if None."""
        return math.inf if self.max_time is None else parse_duration(self.max_time)


def parse_duration(text: str | float) -> float:
    """Seconds of ``DD:HH:MM:SS``, ``HH:MM:SS``, ``MM:SS`` or a number of seconds.

    Raises
    ------
    UsageError
        If it is none of these, or not above 0.

    >>> parse_duration("00:00:05:00"), parse_duration("1:30"), parse_duration(20)
    (300.0, 90.0, 20.0)
    """
    parts = str(text).split(":")
    try:
        numbers = [float(p) for p in parts]
    except ValueError:
        numbers = []
    seconds = sum(n * u for n, u in zip(reversed(numbers), (1, 60, 3600, 86400), strict=False))
    wrong = not numbers or len(numbers) > 4 or min(numbers) < 0
    if wrong or not 0 < seconds < math.inf:
        raise UsageError(
            f"trainer.max_time={text} is not a duration. Use DD:HH:MM:SS, e.g. 00:00:10:00."
        )
    return float(seconds)
