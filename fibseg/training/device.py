"""Where a network is trained, and whether that is there."""

from __future__ import annotations

import torch

from fibseg.errors import UsageError
from fibseg.training.settings import TrainerSettings


def training_device(settings: TrainerSettings) -> torch.device:
    """Kind of device that the settings ask for, ``cuda`` or ``cpu``.

    Raises
    ------
    UsageError
        If they ask for more GPUs than torch sees.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.accelerator == "cpu" or (settings.accelerator == "auto" and not n_gpus):
        return torch.device("cpu")
    if settings.devices > n_gpus:
        raise UsageError(
            f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}, but "
            f"torch sees {n_gpus} GPU{'s' * (n_gpus != 1)}. Use "
            f"{f'trainer.devices={n_gpus}' if n_gpus else 'trainer=cpu'}."
        )
    return torch.device("cuda")
