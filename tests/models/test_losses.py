from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss

from fibseg.models import consistency, masked_dice_ce


def _one_hot(annotation: torch.Tensor, n: int) -> torch.Tensor:
    """Target of an annotation in which 0 is unlabelled, 1 background, 2… classes."""
    return torch.stack([(annotation == c + 1).float() for c in range(n)], 1)


def test_no_label_gives_zero_loss_and_zero_gradient() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = masked_dice_ce(logits, torch.zeros(2, 3, 8, 8))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_fully_labelled_equals_monai_dice_and_torch_cross_entropy() -> None:
    torch.manual_seed(1)
    logits, annotation = torch.randn(2, 3, 8, 8), torch.randint(1, 4, (2, 8, 8))
    got = masked_dice_ce(logits, _one_hot(annotation, 3))
    dice = DiceLoss(
        include_background=False, softmax=True, to_onehot_y=True, batch=True, smooth_nr=1,
        smooth_dr=1,
    )(logits, (annotation - 1)[:, None])
    cross_entropy = torch.nn.functional.cross_entropy(logits, annotation - 1)
    torch.testing.assert_close(got, dice + cross_entropy)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_unlabelled_pixels_do_not_matter(seed: int, share: float) -> None:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 2, 6, 6, generator=g)
    annotation = torch.randint(1, 3, (1, 6, 6), generator=g)
    annotation[torch.rand(1, 6, 6, generator=g) < share] = 0
    other = torch.where((annotation == 0)[:, None], torch.randn(1, 2, 6, 6, generator=g), logits)
    target = _one_hot(annotation, 2)
    torch.testing.assert_close(masked_dice_ce(logits, target), masked_dice_ce(other, target))


def test_soft_targets_are_normalised_to_the_labelled_share() -> None:
    logits = torch.randn(1, 2, 4, 4)
    target = torch.zeros(1, 2, 4, 4)
    target[:, 1] = 0.8  # four fifths labelled, all of it the class
    torch.testing.assert_close(
        masked_dice_ce(logits, target), masked_dice_ce(logits, (target > 0).float())
    )


def test_class_weights_shift_the_balance() -> None:
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 0] = 2.0  # background everywhere: the second pixel is wrong
    target = _one_hot(torch.tensor([[[1, 2]]]), 2)
    light = masked_dice_ce(logits, target, dice_weight=0.0, class_weights=[1.0, 0.1])
    heavy = masked_dice_ce(logits, target, dice_weight=0.0, class_weights=[0.1, 1.0])
    assert light < masked_dice_ce(logits, target, dice_weight=0.0) < heavy


def test_consistency_counts_sure_usable_pixels_only() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    teacher = torch.tensor([[[[0.0, 0.5, 0.0]], [[1.0, 0.5, 1.0]]]])
    usable = torch.tensor([[[[True, True, False]]]])
    got = consistency(logits, teacher, usable, confidence=0.8)
    torch.testing.assert_close(got, torch.log(torch.tensor(2.0)) / 3)  # 1 pixel of 2 usable + 1
