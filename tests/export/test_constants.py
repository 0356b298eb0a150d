"""Grey values for a file: from a volume, or from what training has recorded, or a clear refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from travelling import small_model, small_store, trained_model

from fibseg.errors import DataError
from fibseg.export import load_spec
from fibseg.export.constants import KEY, constants_of, trained_constants


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    return [small_store(folder / f"{n}.ome.zarr", seed=n) for n in range(2)]


def test_they_are_the_percentiles_of_the_volume(stores):
    found = constants_of(stores[0])
    assert (found.low, found.high) == tuple(stores[0].percentiles[p] for p in ("p0.5", "p99.5"))
    assert found.invert
    assert found.largest == 255
    assert (found.volume, found.raw_digest) == ("0", stores[0].raw_digest)


def test_training_keeps_them(stores, tmp_path):
    model = trained_model(tmp_path / "m", stores[0])
    assert trained_constants(load_spec(model), str(model)) == constants_of(stores[0])


def test_a_model_that_does_not_tell_them_asks_for_a_volume(stores, tmp_path):
    _, spec = small_model()
    with pytest.raises(DataError, match=r"m does not tell the grey values .*volume="):
        trained_constants(spec, "m")
    half = load_spec(trained_model(tmp_path / "m", *stores))
    del half.training["volumes"][1][KEY]
    with pytest.raises(DataError, match="does not tell"):
        trained_constants(half, "m")


def test_volumes_that_differ_leave_the_choice_to_the_user(stores, tmp_path):
    model = trained_model(tmp_path / "m", *stores)
    with pytest.raises(DataError, match=r"different grey values \(0 .* to .*, dark, 1 .*volume="):
        trained_constants(load_spec(model), "m")
    alike = trained_model(tmp_path / "alike", stores[0], stores[0])
    assert trained_constants(load_spec(alike), "m").low == constants_of(stores[0]).low


@pytest.mark.parametrize("wrong", [
    {"low": 9.0, "high": 9.0}, {"low": "1"}, {"polarity": "green"}, {"dtype": "float32"},
    {"more": 1}, None,
])
def test_a_changed_record_is_refused(stores, tmp_path, wrong):
    spec = load_spec(trained_model(tmp_path / "m", stores[0]))
    source = spec.training["volumes"][0]
    source[KEY] = wrong if wrong is None else source[KEY] | wrong
    with pytest.raises(DataError, match="cannot be meant"):
        trained_constants(replace(spec), "m")
