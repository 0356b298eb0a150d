"""Two processes train as one, also where one of them has nearly all of the labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from two_processes import all_of_it, in_two, normed, task, trained

from fibseg.data import Share
from fibseg.models import build_network
from fibseg.models.spec import NetworkSpec
from fibseg.training.together import SharedDropout, in_any, several, shared, total

AGREE = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_two(all_of_it, tmp_path_factory.mktemp("two") / "run")


def farthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Largest difference of any weight or running statistic."""
    assert a.keys() == b.keys()
    return max(float((a[k].double() - b[k].double()).abs().max()) for k in a)


def test_two_processes_train_as_one_and_a_mean_of_their_losses_does_not(
    found: list[dict[str, Any]]
) -> None:
    labelled = task()[1].sum((1, 2, 3))
    assert labelled[0::2].min() > 50 * labelled[1::2].max()
    alone = trained(Share())
    for one in found:
        assert farthest(one["together"], alone) < AGREE
        assert farthest(one["naive"], alone) > 1000 * AGREE
    assert farthest(found[0]["together"], found[1]["together"]) == 0


def test_flags_of_any_process_and_sums_of_all(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["flags"] == [True, False, True]
        assert one["sums"].tolist() == [2.0, 10.0]
        assert one["slope"].tolist() == [1.0, 1.0]
    assert not several()
    cpu = torch.device("cpu")
    assert in_any(True, False, device=cpu) == (True, False)
    part = torch.tensor([1.0])
    assert total(part) is part


def test_batch_norm_knows_the_whole_batch(found: list[dict[str, Any]]) -> None:
    alone = normed(Share())
    for name in ("y", "slope"):
        for rank, one in enumerate(found):
            torch.testing.assert_close(one["normed"][name], alone[name][rank::2])
    for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
        for one in found:
            torch.testing.assert_close(one["normed"][name], alone[name])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_dropout_drops_what_a_single_process_drops(n: int) -> None:
    x = torch.randn(7, 40, 2, 2)
    torch.manual_seed(5)
    alone = nn.functional.dropout2d(x, 0.3)
    for rank in range(n):
        layer = SharedDropout(0.3, n=7, share=Share(rank, n))
        torch.manual_seed(5)
        torch.testing.assert_close(layer(x[rank::n]), alone[rank::n], rtol=0, atol=0)
        assert layer.eval()(x) is x


def test_a_network_keeps_its_weights_and_their_names() -> None:
    spec = NetworkSpec(features=(4, 8), dropout=0.2)
    torch.manual_seed(0)
    network = build_network(spec, in_channels=1, n_classes=1)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    kinds = [type(m).__name__ for m in network.modules()]
    assert shared(network, n=4, share=Share()) is network
    assert [type(m).__name__ for m in network.modules()] == kinds
    shared(network, n=4, share=Share(1, 2), batch_norm=False)
    now = {type(m).__name__ for m in network.modules()}
    assert {"SharedDropout", "BatchNorm2d"} <= now
    shared(network, n=4, share=Share(1, 2))
    now = {type(m).__name__ for m in network.modules()}
    assert "SharedBatchNorm" in now
    assert "BatchNorm2d" not in now
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], before[k]) for k in before)
