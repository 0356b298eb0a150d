"""The number format is tried, and the trial leaves no trace."""

from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import Tensor, nn

from fibseg.training import precision
from fibseg.training.precision import choose_precision, native_bf16

CPU = torch.device("cpu")
SHAPE = (2, 1, 16, 16)


def _work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


class Slower(nn.Module):
    """A convolution that does more work in one of the formats; it may wait in the other."""

    def __init__(self, slow: torch.dtype, *, waits: bool = False) -> None:
        super().__init__()
        self.waits = waits
        self.layer, self.slow = nn.Conv2d(1, 4, 3), slow
        self.norm = nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.layer(image)
        if out.dtype == self.slow:
            _work(0.2)
        elif self.waits:
            time.sleep(0.4)
        return self.norm(out.float())


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda device: True)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("slow", "best"), [(torch.float32, "bf16"), (torch.bfloat16, "32")])
def test_auto_is_what_takes_less_time(slow: torch.dtype, best: str) -> None:
    assert choose_precision("auto", Slower(slow), SHAPE, device=CPU) == best


@pytest.mark.usefixtures("native")
def test_work_counts_and_not_waiting_for_a_busy_machine() -> None:
    network = Slower(torch.float32, waits=True)
    assert choose_precision("auto", network, SHAPE, device=CPU) == "bf16"


@pytest.mark.usefixtures("native")
def test_trying_changes_neither_weights_nor_statistics_nor_random_numbers() -> None:
    network = Slower(torch.float32)
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    choose_precision("auto", network, SHAPE, device=CPU)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def never(*_: object) -> float:
    raise AssertionError("nothing is to be measured")


@pytest.mark.parametrize("wanted", ["bf16", "32"])
def test_a_wish_is_not_measured(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_time", never)
    assert choose_precision(wanted, nn.Identity(), SHAPE, device=CPU) == wanted


@pytest.mark.parametrize(("has", "taken"), [(True, "bf16"), (False, "32")])
def test_several_processes_take_what_is_native_unmeasured(
    has: bool, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_time", never)
    monkeypatch.setattr(precision, "native_bf16", lambda device: has)
    network = nn.Identity()
    assert choose_precision("auto", network, SHAPE, device=CPU, measure=False) == taken


def test_without_native_bfloat16_float32_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_time", never)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert not native_bf16(CPU)
    assert choose_precision("auto", nn.Identity(), SHAPE, device=CPU) == "32"
