"""What all tests share: the folder of real data, and the environment that keeps runs small."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("fibseg", deadline=None)
settings.load_profile("fibseg")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        default=os.environ.get("FIBSEG_DATA"),
        help="folder with the real electron microscopy of benchmarks/README.md",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: two processes then end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_walk.py")


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest) -> Callable[[str], dict[str, np.ndarray]]:
    """A function that loads one of the real data files, or skips the test with the reason."""
    folder = request.config.getoption("--data")

    def load(name: str) -> dict[str, np.ndarray]:
        if not folder:
            pytest.skip("real data not given: pytest --data=DIR or FIBSEG_DATA=DIR")
        path = Path(folder) / name
        if not path.is_file():
            pytest.skip(f"{path} is not there; benchmarks/README.md names its source")
        with np.load(path) as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load
