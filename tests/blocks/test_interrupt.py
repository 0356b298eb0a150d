from __future__ import annotations

import os
import signal
import threading

import pytest

from fibseg.blocks.interrupt import Interrupt


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
