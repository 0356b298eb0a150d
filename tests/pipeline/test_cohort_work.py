"""A cell is done if its commands and its store are those of the mark that says so."""

from __future__ import annotations

import json
import signal

import pytest
from small_cells import add_labels, balls, small_cell

from fibseg.blocks import Ended, Threads
from fibseg.blocks.task import Outcome
from fibseg.errors import InterruptedRunError
from fibseg.pipeline import cohort_work
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.cohort_room import Sharing
from fibseg.pipeline.cohort_work import Work, state_of


class Told:
    """A runner that knows how each unit ends, and does none of them."""

    def __init__(self, ends):
        self.ends, self.seen = ends, []

    def outcomes(self, task, blocks, *, ordered=False):
        for block in blocks:
            name = task.units[block.index].name
            self.seen.append(name)
            yield Outcome(block, self.ends[name]())


@pytest.fixture
def work(tmp_path):
    cells = [
        Cell(n, str(small_cell(tmp_path / f"{n}.ome.zarr", er=balls(3)).path), "x") for n in "abc"
    ]
    return Work(tmp_path / "out", cells, [[["profile", f"volume={c.volume}"]] for c in cells])


@pytest.fixture
def told(monkeypatch):
    """Ends of the units by name; whoever is not named is done."""
    def of(**ends):
        runner = Told({**dict.fromkeys("abc", lambda: Ended(0, 1.0)), **ends})
        monkeypatch.setattr(cohort_work, "sharing_of", lambda *a: Sharing(runner, 1))
        return runner
    return of


def carried_out(work):
    for cell in work.cells:
        work.folder(cell).mkdir(parents=True, exist_ok=True)
    return work.carry_out(Threads(1), lambda cell: [])


def test_what_is_done_is_not_done_again_and_what_failed_is(work, told):
    runner = told(b=lambda: Ended(65, 2.0, "broken"))
    assert carried_out(work) == {"b": "broken"}
    assert sorted(runner.seen) == ["a", "b", "c"]
    assert work.missing() == [1]
    again = told()
    assert carried_out(work) == {}
    assert again.seen == ["b"]
    idle = told()
    assert carried_out(work) == {}
    assert idle.seen == []


def test_a_store_that_is_another_now_is_worked_on_again(work, told):
    told()
    carried_out(work)
    store = work.cells[2].store
    before = state_of(store)
    add_labels(store, "er", balls(4), overwrite=True, inputs="y")
    assert state_of(store) != before
    assert work.missing() == [2]


def test_other_commands_are_other_work(work, told):
    told()
    carried_out(work)
    other = [*work.commands[:2], [["profile", "volume=x", "cell=null"]]]
    assert Work(work.out, work.cells, other).missing() == [2]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_mark_is_none(work, told, text):
    told()
    carried_out(work)
    mark = work.folder(work.cells[0]) / "done.json"
    assert json.loads(mark.read_text())["commands"] == work.commands[0]
    mark.write_text(text)
    assert work.missing() == [0]


def test_a_damaged_product_has_no_digest_and_is_no_reason_to_stop(work):
    table = work.cells[0].store.path / "tables" / "er.parquet"
    table.parent.mkdir()
    table.write_bytes(b"torn")
    assert state_of(work.cells[0].store)["tables/er"] is None
    assert len(work.missing()) == 3


def test_a_signal_stops_the_rest_and_says_how_far_it_came(work, told):
    def signalled():
        signal.raise_signal(signal.SIGTERM)
        assert (work.out / ".stop").exists(), "units on any machine are told"
        return Ended(75, 1.0, "stopped")

    told(b=signalled, c=lambda: Ended(75, 0.0, "not begun"))
    with pytest.raises(InterruptedRunError, match="after 1 of 3 cells"):
        carried_out(work)
    assert not (work.out / ".stop").exists()
    assert work.missing() == [1, 2]


def test_a_unit_that_no_worker_survived_is_a_failure(work, told, monkeypatch):
    class Dead(Told):
        def outcomes(self, task, blocks, *, ordered=False):
            for block in blocks:
                yield Outcome(block, error="its worker process died twice")

    monkeypatch.setattr(cohort_work, "sharing_of", lambda *a: Sharing(Dead({}), 1))
    assert set(carried_out(work).values()) == {"its worker process died twice"}


def test_the_largest_come_first(tmp_path, told, monkeypatch):
    sizes = {"a": 2, "b": 9, "c": 5}
    monkeypatch.setattr(Cell, "n_voxels", property(lambda self: sizes[self.name]))
    cells = [Cell(n, str(small_cell(tmp_path / f"{n}.ome.zarr").path), "x") for n in sizes]
    runner = told()
    carried_out(Work(tmp_path / "out", cells, [[["profile"]]] * 3))
    assert runner.seen == ["b", "c", "a"]
