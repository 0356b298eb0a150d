from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from fibseg.errors import DataError
from fibseg.training import CrashSafeIO, newest
from fibseg.training.checkpoint import LAST, PREVIOUS, load, to_bytes


def state(step: int) -> dict[str, Any]:
    """Something like what Lightning saves."""
    g = torch.Generator().manual_seed(step)
    weight = torch.randn(4, 3, 3, 3, generator=g).to(memory_format=torch.channels_last)
    return {
        "global_step": step,
        "state_dict": {"weight": weight, "n": torch.tensor(step)},
        "optimizer_states": [
            {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"betas": (0.9, 0.99)}]}
        ],
        "loops": {"a": [True, None, 1.5, "x"], "b": {}},
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype and a.stride() == b.stride()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b and type(a) is type(b))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    CrashSafeIO().save_checkpoint(state(3), tmp_path / LAST)
    assert same(load(tmp_path / LAST), state(3))
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


def test_equal_states_are_equal_files() -> None:
    assert to_bytes(state(1)) == to_bytes(state(1)) != to_bytes(state(2))


def test_two_generations_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        CrashSafeIO().save_checkpoint(state(step), tmp_path / LAST)
    assert load(tmp_path / LAST)["global_step"] == 3
    assert load(tmp_path / PREVIOUS)["global_step"] == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "missing"])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    for step in (1, 2):
        CrashSafeIO().save_checkpoint(state(step), tmp_path / LAST)
    path = tmp_path / LAST
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-200], "empty": b"", "flip": data[::-1]}[damage])
    found = newest(tmp_path)
    assert found is not None
    assert found[0].name == PREVIOUS
    assert same(found[1], state(1))


def test_no_checkpoint_and_no_whole_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    (tmp_path / LAST).write_bytes(b"x")
    with pytest.raises(DataError, match="overwrite=true"):
        newest(tmp_path)


class Harmful:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_not_executed(tmp_path: Path, zipped: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / LAST
    if zipped:
        torch.save({"json": Harmful(trace), "tensors": []}, path)
    else:
        path.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(DataError, match="nothing but plain tensors"):
        load(path)
    assert not trace.exists()


def test_objects_are_not_saved() -> None:
    with pytest.raises(TypeError, match="PosixPath"):
        to_bytes({"a": Path("x")})


WRITER = """
import sys, torch
from pathlib import Path
from fibseg.training.checkpoint import CrashSafeIO, LAST
io, folder = CrashSafeIO(), Path(sys.argv[1])
for step in range(100000):
    weight = torch.full((200_000,), float(step))
    io.save_checkpoint({"global_step": step, "weight": weight}, folder / LAST)
    print(step, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    for trial in range(2):
        folder = tmp_path / str(trial)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        time.sleep(0.0037 * (trial + 1))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        reported = int(rest[-1]) if rest else int(lines[-1])
        found = newest(folder)
        assert found is not None
        step = found[1]["global_step"]
        assert step >= reported
        assert (found[1]["weight"] == step).all()
