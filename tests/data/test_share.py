"""What one of several processes draws is what a single one would draw for the same patches."""

from __future__ import annotations

import pytest
import torch

from fibseg.data import Augmentation, Share, SharedDraws, photometry, warp


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("of", [1, 2, 3, 5])
def test_every_patch_has_one_process(of: int) -> None:
    rows = [row for rank in range(of) for row in Share(rank, of).rows(7)]
    assert sorted(rows) == list(range(7))
    whole = torch.arange(7)
    for rank in range(of):
        assert Share(rank, of).taken(whole).tolist() == list(Share(rank, of).rows(7))


@pytest.mark.parametrize(("n", "of"), [(5, 2), (4, 3), (6, 1)])
def test_a_share_is_changed_as_in_the_whole_batch(n: int, of: int) -> None:
    image = torch.randn(n, 2, 44, 44, generator=generator())
    annotation = (image[:, 0] > 0).to(torch.uint8) + 1
    strength = Augmentation()

    def changed(share: Share, draws: SharedDraws | torch.Generator) -> list[torch.Tensor]:
        x, target = warp(
            share.taken(image), share.taken(annotation), n_channels=2, patch=16,
            strength=strength, generator=draws,
        )
        return [x, target, photometry(x, strength=strength, generator=draws)]

    whole = changed(Share(), generator())
    for rank in range(of):
        share = Share(rank, of)
        draws = SharedDraws(generator(), n=n, share=share)
        for mine, theirs in zip(changed(share, draws), whole, strict=True):
            torch.testing.assert_close(mine, share.taken(theirs), rtol=0, atol=1e-4)
    assert not torch.allclose(whole[0][0], whole[0][1])
