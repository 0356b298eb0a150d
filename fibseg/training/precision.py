"""Which number format is faster here, by trying."""

from __future__ import annotations

import copy
import logging
import time

import torch
from torch import Tensor, nn

logger = logging.getLogger("fibseg.training")
ROUNDS = 5
"""Timed steps in either format, after one to warm up; the fastest counts."""


def native_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(capable()) or bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def choose_precision(
    wanted: str, network: nn.Module, shape: tuple[int, int, int, int], *, device: torch.device,
    measure: bool = True,
) -> str:
    """Return ``"bf16"`` or ``"32"``: as wanted, or for ``"auto"`` the faster in a few steps.

    On a CPU the one that its cores work less for: by the clock, other jobs on the same machine
    decided, and a training beside them could end up in the format that takes twice as long.

    Parameters
    ----------
    wanted
        ``"auto"``, ``"bf16"`` or ``"32"``.
    network
        Is copied, not changed.
    shape
        Of a batch (b, c, y, x).
    device
        Where it will be trained.
    measure
        False takes bfloat16 wherever it is native: processes must not come to different results.
    """
    if wanted != "auto":
        return wanted
    if not native_bf16(device):
        return "32"
    if not measure:
        return "bf16"
    with torch.random.fork_rng(devices=[]):
        trial = copy.deepcopy(network).to(device).train()
        image = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
        # In turns, so that a machine that is busy for a moment is so for both.
        rounds = [{p: _time(trial, image, p) for p in ("bf16", "32")} for _ in range(ROUNDS + 1)]
    seconds = {p: min(times[p] for times in rounds[1:]) for p in ("bf16", "32")}
    best = min(seconds, key=lambda p: seconds[p])
    logger.info(
        "precision %s: a step takes %.0f ms of all cores in bfloat16, %.0f ms in float32",
        best, 1e3 * seconds["bf16"], 1e3 * seconds["32"],
    )
    return best


def _time(network: nn.Module, image: Tensor, precision: str) -> float:
    """Seconds of a forward and backward pass; on a CPU those of all cores together."""
    clock = time.process_time if image.device.type == "cpu" else time.perf_counter
    begin = clock()
    with torch.autocast(image.device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = network(image).float().square().mean()
    loss.backward()
    network.zero_grad()
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    return clock() - begin
