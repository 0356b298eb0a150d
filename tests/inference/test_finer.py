"""From working pixels back to voxels: linear interpolation, alike for any window."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fibseg.inference.axis import Axis
from fibseg.inference.finer import Slots


def axis(core: int, step: int, margin: int, n_windows: int = 3) -> Axis:
    length = n_windows * step
    return Axis(length=length, source=length, source_factor=1, core=core, step=step, margin=margin)


def stitched(probs: torch.Tensor, y: Axis, x: Axis) -> torch.Tensor:
    """Slots of a plane of whole windows (margins included), put side by side."""
    slots = Slots(y, x, blended=False)
    height, width = y.n_windows * y.core, x.n_windows * x.core
    out = torch.zeros(1, probs.shape[1] * y.slots * x.slots, height, width)
    for i in range(y.n_windows):
        for j in range(x.n_windows):
            top, left = i * y.core, j * x.core
            window = probs[..., top : top + y.window, left : left + x.window]
            core = slots.fill(window[(..., *slots.needs)])
            out[..., top : top + y.core, left : left + x.core] = core
    return out


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("n_classes", [1, 2])
def test_whole_factors_are_bilinear_interpolation(factor: int, n_classes: int) -> None:
    y, x = axis(6, 6 * factor, 2), axis(4, 4 * factor, 2, n_windows=2)
    torch.manual_seed(0)
    probs = torch.rand(1, n_classes, 6 * 3 + 4, 4 * 2 + 4)
    expected = functional.interpolate(
        probs, scale_factor=factor, mode="bilinear", align_corners=False
    )[..., 2 * factor : -2 * factor, 2 * factor : -2 * factor]
    plane = stitched(probs, y, x)
    found = Slots(y, x, blended=False).read(plane, (0, 0), (0, 0), (y.length, x.length))
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("core", "step"), [(6, 6), (6, 10), (6, 16), (8, 9)])
def test_a_ramp_stays_a_ramp_and_every_cut_reads_the_same(core: int, step: int) -> None:
    a = axis(core, step, 3)
    n = a.n_windows * core + 2 * 3
    ramp = (torch.arange(n, dtype=torch.float32) - 3 + 0.5) * step / core - 0.5
    probs = ramp.expand(1, 1, n, n).contiguous()
    plane = stitched(probs, a, a)
    slots = Slots(a, a, blended=False)
    whole = slots.read(plane, (0, 0), (0, 0), (a.length, a.length))
    inner = slice(step, a.length - step)
    expected = torch.arange(a.length, dtype=torch.float32)[inner]
    torch.testing.assert_close(whole[0, 0, 7, inner], expected, rtol=0, atol=1e-4)
    for start, stop in [((0, 3), (5, 4)), ((step, step - 1), (2 * step, 2 * step + 1))]:
        part = slots.read(plane, (0, 0), start, stop)
        assert torch.equal(part, whole[..., start[0] : stop[0], start[1] : stop[1]])


def test_a_window_decides_about_its_core_alone() -> None:
    a = axis(6, 12, 2)
    slots = Slots(a, a, blended=False)
    assert slots.needs == (slice(1, 9), slice(1, 9)), "and the pixel beside it"
    probs = torch.ones(2, 3, a.window, a.window)
    probs[..., :1] = probs[..., -1:] = torch.nan
    filled = slots.fill(probs[(..., *slots.needs)])
    assert filled.shape == (2, 3 * a.slots**2, a.core, a.core)
    assert (filled == 1).all()
    blended = Slots(a, a, blended=True).fill(torch.ones(1, 1, a.window, a.window))
    assert (blended == 1).all()
