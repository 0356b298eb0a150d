"""Functions that run in two processes which know each other, as those of one training do."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from fibseg.data import Share
from fibseg.models import NetworkSpec, build_network, masked_dice_ce
from fibseg.training.together import SharedBatchNorm, in_any, shared, total

SPEC = NetworkSpec(features=(4, 8), dropout=0.3)
N, STEPS = 6, 8


def in_two(work: Callable[[Share], Any], folder: Path) -> list[Any]:
    """What a function of the share returns in two processes, started for it alone."""
    folder.mkdir()
    spawn = multiprocessing.get_context("spawn")
    started = [spawn.Process(target=_one, args=(work, rank, str(folder))) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / str(rank), weights_only=True) for rank in (0, 1)]


def _one(work: Callable[[Share], Any], rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    torch.save(work(Share(rank, 2)), Path(folder) / str(rank))
    distributed.destroy_process_group()


def task() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and targets; patches of even number are all labelled, the others in a few pixels."""
    random = torch.Generator().manual_seed(3)
    image = torch.randn(N, 1, 16, 16, generator=random)
    annotation = 1 + (image[:, 0] + 0.5 * torch.randn(N, 16, 16, generator=random) > 0).long()
    annotation[1::2, 1:] = 0
    annotation[1::2, :, 4:] = 0
    target = torch.stack([annotation == 1, annotation == 2], 1).float()
    return image, target


def trained(share: Share, *, naive: bool = False) -> dict[str, torch.Tensor]:
    """Weights after some steps; `naive` takes the mean of each process' own loss."""
    torch.manual_seed(0)
    network: Any = shared(build_network(SPEC, in_channels=1, n_classes=1), n=N, share=share)
    model = network if share.of == 1 else DistributedDataParallel(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    image, target = (share.taken(part) for part in task())
    for step in range(STEPS):
        torch.manual_seed(step)
        loss = masked_dice_ce(model(image), target, total=None if naive else total)
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (loss if naive else loss * share.of).backward()
        optimizer.step()
    return dict(network.state_dict())


def all_of_it(share: Share) -> dict[str, Any]:
    """Everything that one test wants to know, in one start of two processes."""
    flags = in_any(share.rank == 1, False, True, device=torch.device("cpu"))
    part = torch.tensor([1.0, 10.0 * share.rank], requires_grad=True)
    whole = total(part)
    whole.sum().backward()
    return {
        "flags": list(flags), "sums": whole.detach(), "slope": part.grad,
        "normed": normed(share), "together": trained(share), "naive": trained(share, naive=True),
    }


def normed(share: Share) -> dict[str, torch.Tensor]:
    """Batch norm of an uneven share, its gradient by the input, and what it remembers."""
    random = torch.Generator().manual_seed(1)
    x = 5 + 3 * torch.randn(5, 3, 4, 4, generator=random)
    weight = torch.randn(5, 3, 4, 4, generator=random)
    layer: nn.Module = nn.Sequential(nn.BatchNorm2d(3))
    shared(layer, n=5, share=share)
    assert share.of == 1 or isinstance(layer[0], SharedBatchNorm)  # type: ignore[index]
    own = share.taken(x).clone().requires_grad_()
    y = layer(own)
    (y * share.taken(weight)).square().sum().backward()
    assert own.grad is not None
    return {"y": y.detach(), "slope": own.grad, **layer.state_dict()}
