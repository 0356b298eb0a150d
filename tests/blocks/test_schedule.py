from __future__ import annotations

import functools
import logging
import re

import block_work
from hypothesis import given, settings
from hypothesis import strategies as st

from fibseg.blocks import Journal, Serial
from fibseg.blocks.schedule import GIVE_UP_AFTER, run_blocks
from fibseg.errors import DataError, PartlyDoneError


def odd_is_poison(bad, block):
    if block.index in bad:
        raise ValueError(f"poison in {block.index}")
    return block.index * 10


def poisoned(bad):
    return block_work.Plain(functools.partial(odd_is_poison, bad))


def collected(runner, task, n, **options):
    """Values that came, and the complaint at the end."""
    values, complaint = [], ""
    blocks = block_work.some_blocks(n)
    try:
        for outcome in run_blocks(runner, task, blocks, total=n, label="test", **options):
            values.append(outcome.value)
    except PartlyDoneError as error:
        complaint = str(error)
    return values, complaint


@settings(deadline=None)
@given(st.integers(0, 30), st.sets(st.integers(0, 29), max_size=GIVE_UP_AFTER - 1))
def test_every_block_comes_once_or_is_named(n, bad):
    bad = {index for index in bad if index < n}
    values, complaint = collected(Serial(), poisoned(bad), n)
    assert values == [10 * index for index in range(n) if index not in bad]
    assert bool(complaint) == bool(bad)
    for index in bad:
        assert f"poison in {index}" in complaint


def test_a_long_list_of_failures_is_cut_short(caplog):
    bad = set(range(1, 31))
    _, complaint = collected(Serial(), poisoned(bad), 31)
    assert "30 of 31 blocks failed, 1 are done" in complaint
    assert complaint.endswith("only the missing blocks again.")
    assert "and 22 more" in complaint
    assert caplog.text.count("Traceback") == 30, "the log holds every error"


def test_a_reason_that_blocks_share_is_told_once():
    def damaged(block):
        if block.index != 1:
            raise DataError("c/0 is damaged." if block.index < 3 else "c/7 is damaged.")

    _, complaint = collected(Serial(), block_work.Plain(damaged), 4)
    told = (
        "block 0 at (0,), block 2 at (2,): DataError: c/0 is damaged; "
        "block 3 at (3,): DataError: c/7 is damaged. The log"
    )
    assert told in complaint


def test_after_earlier_successes_it_does_not_give_up():
    bad = set(range(20))
    task = poisoned(bad)
    assert re.search("(8|9|10) of 20 blocks failed", collected(Serial(), task, 20)[1])
    assert "20 of 20 blocks failed" in collected(Serial(), task, 20, done=1)[1]


def test_failures_are_noted_in_the_journal(tmp_path):
    with Journal(tmp_path / "journal", "k") as journal:
        collected(Serial(), poisoned({2}), 5, journal=journal)
    assert "failed 2" in (tmp_path / "journal").read_text()


def test_a_run_that_goes_on_says_where(caplog):
    caplog.set_level(logging.INFO, "fibseg")
    for done in (0, 4, 5):
        blocks = block_work.some_blocks(5 - done)
        options = {"total": 5, "done": done, "label": f"with {done}"}
        run = run_blocks(Serial(), poisoned(set()), blocks, **options)
        assert len(list(run)) == 5 - done
    assert re.findall(r"with \d: goes on after .*", caplog.text) == [
        "with 4: goes on after 4 of 5 blocks"
    ]


def test_progress_counts_what_was_done_before(caplog):
    caplog.set_level(logging.INFO, "fibseg")
    blocks = block_work.some_blocks(2)
    task = poisoned(set())
    list(run_blocks(Serial(), task, blocks, total=12, done=10, label="infer"))
    assert "infer: 12 of 12 blocks" in caplog.text
