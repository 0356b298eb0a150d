from __future__ import annotations

import numpy as np
import pytest
from inference_fakes import FakeVolume, random_image, random_model

from fibseg.errors import UsageError
from fibseg.inference import SYMMETRIES, predict_planes, predict_views
from fibseg.inference.backends import Backend
from fibseg.inference.transfer import place_of, to_device


def volume() -> FakeVolume:
    return FakeVolume(random_image((5, 60, 44)))


@pytest.mark.parametrize("tta", SYMMETRIES)
def test_the_first_view_is_what_infer_writes_and_their_mean_is_its_tta(tta: str) -> None:
    model, cell = random_model(n_classes=2), volume()
    how = {"backend": "torch", "precision": "float32"}
    views = np.stack(list(predict_views(*model, cell, [1, 4], tta=tta, **how)))
    assert views.shape == (2, len(SYMMETRIES[tta]), 2, 60, 44)
    if tta != "d4":  # windows for quarter turns are squares, others need not be
        plain = np.stack(list(predict_planes(*model, cell, [1, 4], **how)))
        np.testing.assert_array_equal(views[:, 0], plain)
    fused = np.stack(list(predict_planes(*model, cell, [1, 4], tta=tta, **how)))
    # Each view is rounded to a byte of its own.
    assert np.abs(views.mean(1) - fused).max() <= 1.0


def test_views_of_a_lopsided_network_differ() -> None:
    views = next(predict_views(*random_model(), volume(), [2], backend="torch"))
    assert len({view.tobytes() for view in views}) == 4


def test_unknown_ways_are_refused() -> None:
    with pytest.raises(UsageError, match="flips"):
        predict_views(*random_model(), volume(), [0], tta="some")


def test_planes_go_where_the_network_of_this_worker_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the functions that say so for the network: of several GPUs it is not always the first."""
    model, cell = random_model(), volume()
    how = {"tta": "none", "backend": "torch", "precision": "float32"}
    want = next(predict_views(*model, cell, [2], **how))
    asked, sent = [], []
    monkeypatch.setattr(
        "fibseg.inference.views.place_of", lambda d: asked.append(d) or place_of(d)
    )
    monkeypatch.setattr(
        "fibseg.inference.views.to_device", lambda p, d: sent.append(d) or to_device(p, d)
    )
    assert np.array_equal(next(predict_views(*model, cell, [2], **how)), want)
    device = Backend.choose("torch", "float32").device
    assert asked == [device]
    assert set(sent) == {place_of(device)}
