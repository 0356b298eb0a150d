"""As many cells at once as there are workers, cells, and memory for."""

from __future__ import annotations

import pytest
from small_cells import balls, small_cell

from fibseg.blocks import Cluster, Processes, Serial, Threads
from fibseg.errors import RoomError
from fibseg.pipeline import cohort_room
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.cohort_room import sharing_of
from fibseg.pipeline.steps import Step


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    return [
        Cell(name, str(small_cell(folder / f"{name}.ome.zarr", mitochondria=balls(6)).path), "x")
        for name in "ab"
    ]


@pytest.fixture
def machine(monkeypatch):
    """Sets cores, and gigabytes that are free."""
    def of(cores, free_gb):
        monkeypatch.setattr(cohort_room, "usable_cores", lambda: cores)
        monkeypatch.setattr(cohort_room, "free_memory", lambda: free_gb * 1e9)
    return of


def not_asked(cell):
    raise AssertionError("there is room for whole volumes")


@pytest.mark.parametrize(("runner", "n", "cores"), [
    (Serial(), 1, 8), (Processes(), 2, 4), (Processes(n_workers=2), 2, 4),
    (Processes(n_workers=1), 1, 8), (Processes(n_workers=30), 2, 4),
])
def test_no_more_than_workers_and_cells_share_all_cores(machine, cells, runner, n, cores):
    machine(8, 100)
    assert sharing_of(runner, cells, not_asked) == (Threads(n), cores)


def test_more_workers_than_cores_have_one_each(machine, cells):
    machine(1, 100)
    assert sharing_of(Processes(n_workers=2), cells, not_asked) == (Threads(2), 1)


def test_workers_elsewhere_are_taken_as_they_are(cells):
    there = Cluster(address="tcp://a:1")
    assert sharing_of(there, cells, not_asked) == (there, 0)
    jobs = Cluster(n_workers=9, slurm={"cores": 8, "memory": "9GB", "processes": 2})
    assert sharing_of(jobs, cells, not_asked) == (jobs, 4)


def test_workers_here_are_no_more_than_cells(machine, cells):
    machine(8, 100)
    assert sharing_of(Cluster(n_workers=6), cells, not_asked) == (Cluster(n_workers=2), 4)


@pytest.mark.parametrize(("free_gb", "n", "cores"), [(13, 2, 2), (9, 2, 1), (5, 1, 1), (1, 1, 1)])
def test_memory_limits_cells_and_their_cores(machine, cells, monkeypatch, free_gb, n, cores):
    machine(16, free_gb)
    monkeypatch.setattr(cohort_room, "_worker_bytes", lambda steps: 2.5e9)
    assert sharing_of(Processes(), cells, lambda cell: []) == (Threads(n), cores)


def test_the_largest_cell_is_rehearsed_and_what_cannot_be_yet_is_left_out(machine, cells, caplog):
    machine(16, 4)
    asked = []

    def steps(cell):
        asked.append(cell.name)
        parts = {"volume": cell.volume, "objects": "cell", "to": [], "neighbours": 0,
                 "classes": None, "correlations": None}
        lacking = {**parts, "objects": "er"}
        return [
            Step("measure", f"tables/{own['objects']}", own, None, []) for own in (parts, lacking)
        ]

    with caplog.at_level("INFO"):
        found = sharing_of(Processes(), cells, steps)
    assert asked == ["a"]
    assert found == (Threads(2), 1), "a process takes a gigabyte at least: three of 3.6"
    assert "tables/er is not rehearsed: " in caplog.text


def test_where_not_even_a_sample_fits_cells_come_one_by_one(machine, cells, monkeypatch):
    def full(*args):
        raise RoomError("killed for want of memory")

    machine(16, 4)
    monkeypatch.setattr(cohort_room, "forecast", full)
    step = Step("measure", "tables/x", {"volume": "a", "objects": "er"}, None, [])
    assert sharing_of(Processes(), cells, lambda cell: [step]) == (Threads(1), 1)
