"""What blocks of a network and of a pixel classifier have in common."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from forest_fakes import random_forests
from inference_fakes import FakeVolume, random_image, random_model

from fibseg.data import Normalisation
from fibseg.geometry import Box
from fibseg.inference import Backend, ForestBlocks, ModelBlocks, make_plan, plan_pixels
from fibseg.volume import fingerprint

VOLUME = FakeVolume(random_image((20, 40, 44)), n_levels=2)
NORMAL = Normalisation(60.0, 190.0, invert=True)


def network():
    plan = make_plan(random_model(features=(4, 4))[1], VOLUME)
    backend = Backend(name="torch", precision="float32", device="cpu")
    return ModelBlocks("models/a", "0a", plan, NORMAL, backend, tta="flips")


def forests():
    return ForestBlocks("models/b", "0b", plan_pixels(random_forests()[1], VOLUME), NORMAL)


@pytest.mark.parametrize("task", [network(), forests()])
def test_settings_are_all_but_folder_and_digest(task):
    settings = task.settings()
    assert {"plan", "normalisation"} <= set(settings)
    assert not {"folder", "digest"} & set(settings)
    key = fingerprint(settings)
    assert fingerprint(replace(task, folder="elsewhere", digest="1").settings()) == key
    other = replace(task, normalisation=Normalisation(61.0, 190.0, invert=True))
    assert fingerprint(other.settings()) != key


@pytest.mark.parametrize("task", [network(), forests()])
def test_they_travel_and_read_what_their_plan_says(task):
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert hash(again) == hash(task), "loaded once per process"
    write = Box((0, 8, 8), (16, 24, 40))
    assert task.read_box(write, VOLUME.shape) == task.plan.read_box(write)


def test_orientations_and_backend_are_part_of_a_networks_settings():
    task = network()
    assert task.settings()["tta"] == "flips"
    assert task.settings()["backend"] == "float32", "who computes it makes no other product"
    assert task.means() == {"name": "torch", "precision": "float32", "device": "cpu"}
    assert "windows of" in task.note()
    assert "classified on level" in forests().note()
