"""`backend=auto` measures once, prefers the rule where it is close, and survives what fails."""

from __future__ import annotations

import logging

import pytest
import torch
from inference_fakes import random_model

from fibseg.inference import Backend, Wish, fastest
from fibseg.inference.choice import WORTH, best, measured

FIRST, SECOND = Backend("openvino", "float32"), Backend("torch", "float32")
SHAPE = (2, 1, 64, 64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FIBSEG_CACHE", str(tmp_path))


@pytest.fixture
def model():
    return random_model(features=(4, 8))


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(Wish, "candidates", lambda wish: (FIRST, SECOND))


def choose(model, *, n_voxels=WORTH, loads=None, shape=SHAPE):
    network, spec = model

    def load():
        if loads is not None:
            loads.append(1)
        return network

    return fastest(Wish(), spec, shape, n_voxels=n_voxels, load=load)


def test_what_is_clearly_faster_wins_and_else_the_first():
    both = (FIRST, SECOND)
    for rate, wanted in ((0.5, FIRST), (1.0, FIRST), (1.09, FIRST), (1.11, SECOND), (9.0, SECOND)):
        assert best(both, {str(FIRST): 1.0, str(SECOND): rate}) == wanted
    assert best(both, {}) == FIRST
    assert best(both, {str(SECOND): 5.0}) == FIRST, "nothing is known of the first"
    assert best(both, {str(FIRST): 0.0, str(SECOND): 0.1}) == SECOND, "the first does not work"


def test_it_is_measured_once(model, two, monkeypatch, caplog):
    asked = []

    def measure(network, backends, shape):
        asked.append((backends, shape))
        return {str(FIRST): 1.0, str(SECOND): 3.0}

    monkeypatch.setattr("fibseg.inference.choice.measured", measure)
    loads: list[int] = []
    with caplog.at_level(logging.INFO, "fibseg.inference"):
        assert choose(model, loads=loads) == SECOND
        assert choose(model, loads=loads) == SECOND
    assert len(asked) == len(loads) == 1
    assert caplog.text.count("which backend is fastest is measured") == 1
    trained_again = random_model(features=(4, 8), seed=7)
    assert choose(trained_again, loads=loads) == SECOND
    assert len(loads) == 1, "weights decide nothing"
    choose(random_model(features=(4, 16)), loads=loads)
    choose(model, loads=loads, shape=(2, 1, 64, 96))
    assert len(loads) == 3, "architecture and window do"


def test_small_volumes_are_not_worth_it(model, two):
    loads: list[int] = []
    assert choose(model, n_voxels=WORTH - 1, loads=loads) == FIRST
    assert loads == []


def test_one_candidate_needs_no_measuring(model):
    loads: list[int] = []
    _, spec = model
    got = fastest(
        Wish("torch", "float32"), spec, SHAPE, n_voxels=WORTH, load=lambda: loads.append(1)
    )
    assert got == Backend("torch", "float32")
    assert loads == []


def test_real_rates_are_positive_and_threads_are_as_before(model):
    before = torch.get_num_threads()
    backends = list(Wish(precision="float32").candidates())
    rates = measured(model[0], backends, SHAPE)
    assert set(rates) == {str(b) for b in backends}
    assert min(rates.values()) > 0
    assert torch.get_num_threads() == before


def test_one_that_fails_is_left_out_with_its_reason(model, caplog, monkeypatch):
    compile_it = Backend.compile

    def refuse(backend, network, shape):
        if backend == FIRST:
            raise RuntimeError("no such instruction")
        return compile_it(backend, network, shape)

    monkeypatch.setattr(Backend, "compile", refuse)
    rates = measured(model[0], [FIRST, SECOND], SHAPE)
    assert rates[str(FIRST)] == 0
    assert best((FIRST, SECOND), rates) == SECOND
    assert "no such instruction" in caplog.text
