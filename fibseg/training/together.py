"""Several processes that train as one: what each has is added up before anything is divided.

A batch is dealt out to them (`fibseg.data.Share`); losses, batch statistics and dropout are those
of the whole batch, so that weights do not depend on the number of processes, rounding aside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from fibseg.data import Share


def several() -> bool:
    """Whether this is one of several processes that know each other."""
    there = distributed.is_available() and distributed.is_initialized()
    return there and distributed.get_world_size() > 1


def total(part: Tensor) -> Tensor:
    """Sum over all processes of what each has, shape as `part`; its gradient is that of the part.

    A loss of such sums has in each process the part of the gradient that comes from there. Their
    sum is the gradient of the whole; DistributedDataParallel takes the mean, so that the loss is to
    be multiplied by the number of processes.
    """
    if not several():
        return part
    whole = part.detach().clone()
    distributed.all_reduce(whole)
    return whole + (part - part.detach())


def in_any(*flags: bool, device: torch.device) -> tuple[bool, ...]:
    """Which of the flags are set in any process.

    Parameters
    ----------
    device
        That the processes exchange tensors of.
    """
    if not several():
        return flags
    found = torch.tensor(flags, dtype=torch.int32, device=device)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return tuple(bool(value) for value in found.tolist())


class _Sum(torch.autograd.Function):
    """The sum over all processes, through which gradients of all of them flow back."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone()
        distributed.all_reduce(whole)
        return whole


def _sum(part: Tensor) -> Tensor:
    whole: Tensor = _Sum.apply(part)  # type: ignore[no-untyped-call]
    return whole


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm by mean and variance of the patches of all processes (Ioffe 2015).

    As `torch.nn.SyncBatchNorm`, which knows no CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`, shape (b, c, y, x)."""
        if not (self.training and several()):
            return super().forward(x)
        axes, wide = (0, 2, 3), (1, -1, 1, 1)
        values = x.float()
        n_own = values.new_tensor([x.numel() / x.shape[1]])
        sums = _sum(torch.cat([values.sum(axes), n_own]))
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = values - mean.view(wide)
        variance = _sum(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1).clamp_min(1))
        scale = (variance + self.eps).rsqrt() * self.weight
        found: Tensor = centred * scale.view(wide) + self.bias.view(wide)
        return found.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class SharedDropout(nn.Dropout2d):
    """Drops the channels of a patch that a process with all patches would drop.

    Parameters
    ----------
    p
        Share of channels.
    n
        Patches of all processes together.
    share
        The own ones.
    """

    def __init__(self, p: float, *, n: int, share: Share) -> None:
        super().__init__(p)
        self.n, self.share = n, share

    def forward(self, x: Tensor) -> Tensor:
        """`x`, shape (b, c, y, x), with some channels 0 and the others larger."""
        if not self.training or not self.p:
            return x
        kept = x.new_empty((self.n, x.shape[1], 1, 1)).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * self.share.taken(kept)


def shared(network: nn.Module, *, n: int, share: Share, batch_norm: bool = True) -> nn.Module:
    """The network with layers that take the batch of all processes for theirs, in place.

    Parameters
    ----------
    network
        Its weights and their names stay.
    n
        Patches of all processes together.
    share
        The own ones; with all of them nothing is changed.
    batch_norm
        Leave False where Lightning changes these layers, on GPUs.
    """
    if share.of == 1:
        return network
    for name, child in network.named_children():
        if isinstance(child, nn.Dropout2d):
            setattr(network, name, SharedDropout(child.p, n=n, share=share))
        elif isinstance(child, nn.BatchNorm2d) and batch_norm:
            layer = SharedBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
            layer.load_state_dict(child.state_dict())
            setattr(network, name, layer)
        else:
            shared(child, n=n, share=share, batch_norm=batch_norm)
    return network
