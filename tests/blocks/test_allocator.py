"""Freed memory stays in the context, and goes back to the system after it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fibseg.blocks import allocator
from fibseg.blocks.allocator import KEPT, MAP, TRIM, USUAL, kept_memory

LOOK = """
import contextlib, resource, sys
import psutil
from fibseg.blocks.allocator import kept_memory

def faults(n=6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        blocks = [bytearray(3_000_000) for _ in range(20)]
        del blocks
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / n

outside = faults()
with kept_memory():
    faults()
    inside = faults()
    held = psutil.Process().memory_info().rss
freed = held - psutil.Process().memory_info().rss
print(outside, inside, freed)
"""


@pytest.mark.skipif(allocator._glibc() is None, reason="the C library is not glibc")
def test_memory_is_kept_inside_and_given_back_afterwards():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    outside, inside, freed = map(float, done.stdout.split())
    assert outside > 1000
    assert inside < outside / 20
    assert freed > 4e7


class Library:
    """A C library that notes what is set, and refuses values above a limit."""

    def __init__(self, limit):
        self.limit, self.set, self.trimmed = limit, [], 0

    def mallopt(self, parameter, value):
        self.set.append((parameter, value))
        return int(value <= self.limit)

    def malloc_trim(self, _):
        self.trimmed += 1


def test_an_older_library_gets_what_it_takes(monkeypatch):
    library = Library(2**25)
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    with kept_memory():
        inside = list(library.set)
        assert not library.trimmed
    assert inside == [(TRIM, KEPT[TRIM][0]), (MAP, 2**30), (MAP, 2**25)]
    assert library.set[3:] == [(TRIM, USUAL[TRIM][0]), (MAP, USUAL[MAP][0])]
    assert library.trimmed == 1


def test_it_is_given_back_after_an_error(monkeypatch):
    library = Library(2**31)
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    with pytest.raises(ZeroDivisionError), kept_memory():
        1 / 0  # noqa: B018
    assert library.trimmed == 1


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_another_library_is_left_alone(monkeypatch, error):
    def no_library(_):
        raise error

    monkeypatch.setattr(allocator.ctypes, "CDLL", no_library)
    with kept_memory():
        pass
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    with kept_memory():
        pass
