from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import block_work
import numpy as np
import psutil
import pytest
import zarr

from fibseg.blocks import map_blocks
from fibseg.blocks.interrupt import Interrupt, raising
from fibseg.errors import InterruptedRunError


@pytest.fixture
def keyboard_interrupts():
    """SIGINT raises, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard_interrupts")
def test_the_first_signal_is_noted_and_the_second_acts():
    with Interrupt() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back_also_after_an_error():
    before = signal.getsignal(signal.SIGTERM)

    def work():
        with Interrupt():
            assert signal.getsignal(signal.SIGTERM) is not before
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        work()
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_it_does_nothing():
    seen = []

    def work():
        with Interrupt() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.getsignal(signal.SIGINT))]


COMMAND = """
    import sys
    from pathlib import Path

    sys.path.insert(0, {tests!r})
    import block_work
    import zarr
    from fibseg.blocks import Cluster, Processes, Serial, map_blocks
    from fibseg.cli import main as command

    def verb(words):
        source, target = (zarr.open_array(f"{folder}/{{name}}") for name in ("source", "target"))
        fn = block_work.Poisoned(stuck=(3,), diary={folder!r} + "/diary")
        map_blocks(fn, source, target, block_shape=(1, 4, 4), runner={runner},
                   journal=Path({folder!r}) / "journal")
        return 0

    if __name__ == "__main__":
        sys.modules["fibseg.cli.main"]._dispatch = verb
        sys.exit(command(["objects"]))
"""


@pytest.mark.usefixtures("keyboard_interrupts")
@pytest.mark.parametrize("runner", ["Serial()", "Processes(n_workers=1)", "Cluster(n_workers=1)"])
def test_ctrl_c_twice_ends_at_once_and_the_next_run_does_the_rest(tmp_path: Path, runner: str):
    source, target = (
        zarr.create_array(
            tmp_path / name, shape=(6, 4, 4), chunks=(1, 4, 4), dtype="int64", fill_value=0
        )
        for name in ("source", "target")
    )
    source[:] = np.arange(96).reshape(6, 4, 4)
    diary, journal = tmp_path / "diary", tmp_path / "journal"
    diary.mkdir()
    script = tmp_path / "script.py"
    tests = str(Path(block_work.__file__).parent)
    script.write_text(
        textwrap.dedent(COMMAND.format(tests=tests, folder=str(tmp_path), runner=runner))
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            while not (diary / "3").exists() or journal.read_text().count("done") < 3:
                assert process.poll() is None
                time.sleep(0.01)
            workers = psutil.Process(process.pid).children()
            time.sleep(0.3)  # by then it waits; of two signals that come before, Python makes one
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)  # the first waits for the block, which takes minutes
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=45)
        finally:
            process.kill()
    assert process.returncode == 75
    assert error == (
        "fibseg objects: Interrupted. The same command continues where it stopped.\n"
    )
    assert not psutil.wait_procs(workers, timeout=5)[1]
    assert journal.read_text().count("done") == 3
    np.testing.assert_array_equal(target[3:], 0)
    map_blocks(
        block_work.Poisoned(diary=str(diary)), source, target, block_shape=(1, 4, 4),
        journal=journal,
    )
    np.testing.assert_array_equal(target[:], source[:] + 1)
    assert [(diary / str(n)).read_text() for n in range(3)] == ["x", "x", "x"]


@pytest.fixture
def usr1():
    """SIGUSR1 acts as ever, whatever ran before."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("usr1")
def test_the_end_of_time_is_told_from_other_signals():
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.time_is_up) == (True, False)
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (stop.requested, stop.time_is_up) == (True, True)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.usefixtures("usr1")
def test_a_signal_that_another_program_waits_for_is_left_to_it():
    seen = []

    def of_a_launcher(number, frame):
        seen.append(number)

    signal.signal(signal.SIGUSR1, of_a_launcher)
    with raising(), Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not stop.requested
    assert seen == [signal.SIGUSR1]


@pytest.mark.usefixtures("usr1")
def test_work_that_cannot_stop_in_between_raises_and_gives_way_to_what_can():
    for number in (signal.SIGTERM, signal.SIGUSR1):
        before = signal.getsignal(number)
        with raising():
            with Interrupt() as stop:
                os.kill(os.getpid(), number)
            assert stop.requested
            with pytest.raises(InterruptedRunError, match=signal.Signals(number).name) as caught:
                os.kill(os.getpid(), number)
        assert caught.value.time_is_up == (number == signal.SIGUSR1)
        assert signal.getsignal(number) is before


def test_in_another_thread_nothing_is_raised():
    seen = []

    def work():
        with raising():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
