"""The share that one of several processes has in every batch, and in its random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Every `of`-th patch of a batch, from number `rank` on; by default all of them.

    >>> list(Share(1, 3).rows(8))
    [1, 4, 7]
    """

    rank: int = 0
    of: int = 1

    def rows(self, n: int) -> range:
        """Numbers of the own patches among `n`."""
        return range(self.rank, n, self.of)

    def taken(self, whole: Tensor) -> Tensor:
        """The own rows of what was made for all patches."""
        return whole if self.of == 1 else whole[self.rank :: self.of]


class SharedDraws:
    """Random numbers of the own patches: what they would get in a process that has all of them.

    Parameters
    ----------
    generator
        In the same state in every process.
    n
        Patches of all processes together.
    share
        The own ones.
    """

    def __init__(self, generator: torch.Generator, *, n: int, share: Share) -> None:
        self.generator, self.n, self.share = generator, n, share
        self.device = generator.device

    def rand(self, shape: tuple[int, ...]) -> Tensor:
        """Uniform numbers from 0 to 1; the first axis are the own patches."""
        whole = torch.rand((self.n, *shape[1:]), generator=self.generator, device=self.device)
        return self.share.taken(whole)

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Normal numbers; the first axis are the own patches."""
        whole = torch.randn((self.n, *shape[1:]), generator=self.generator, device=self.device)
        return self.share.taken(whole)
