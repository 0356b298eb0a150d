"""SIGKILL at random moments: nothing is lost, nothing is different, nothing is done twice.

    python benchmarks/kills.py [--kills 20] [--seed 0] [--only train|infer|objects|workers]
                               [--keep DIR]

`fibseg train`, `fibseg infer` and `fibseg objects` (components and their table, on processes) are
killed at moments drawn evenly over the time that an undisturbed run works, as many times each as
--kills says, and started again by the same command until they are done. Then single workers of
`fibseg objects` and `fibseg infer` are killed, on processes and on a Dask cluster.

After each run every product must be that of the undisturbed run (arrays by the digest of their
voxels, tables and weights byte by byte), `fibseg verify` must find nothing, and no block that was
committed at a kill may have been computed again (see committed.py for how that is known). The exit
code is 1 otherwise. A volume of 20 blocks and a tiny model are made first.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from killing import (
    MODEL,
    STORE,
    Command,
    Score,
    complaints,
    fresh_copy,
    kill_run,
    kill_workers,
    products,
)

from fibseg.blocks import IN_FLIGHT
from fibseg.phantom import make_cell, sparse_annotation
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

PIECE = (160, 64, 64)
N_WORKERS = 2
KILLS_OF_A_RUN = 2
"""So many workers of one run are killed at most, so that every kind of run has its turn."""

INFER = (
    "infer", f"model={MODEL}", f"volume={STORE}", "name=m", "backend=torch", "precision=float32",
    "block_shape=[64,64,64]",
)
OBJECTS = ("objects", f"volume={STORE}", "name=m", "out=n")
PROCESSES = ("blocks=processes", f"blocks.n_workers={N_WORKERS}")
CLUSTER = ("blocks=cluster", f"blocks.n_workers={N_WORKERS}")
COMMANDS = {
    "train": Command(
        ("train", f"volume={STORE}", "annotation=mitochondria", f"out={MODEL}",
         "network.features=[8,16]", "data.patch=32", "data.batch=4", "data.gap_nm=40",
         "trainer.max_time=null", "trainer.max_steps=200", "trainer.precision=32",
         "trainer.threads=1", "trainer.checkpoint_every_steps=5"),
        target=MODEL,
    ),
    "infer": Command(
        (*INFER, *PROCESSES), target=f"{STORE}/probabilities/m", window=N_WORKERS * IN_FLIGHT
    ),
    "objects": Command(
        (*OBJECTS, *PROCESSES), target=f"{STORE}/labels/n", window=N_WORKERS * IN_FLIGHT
    ),
}
"""Each works on what the one before it made."""

WORKERS = [
    ("objects", COMMANDS["objects"]),
    ("infer", Command((*INFER, *PROCESSES), target=f"{STORE}/probabilities/m")),
    ("objects", Command((*OBJECTS, *CLUSTER), target=f"{STORE}/labels/n")),
]
"""Commands whose workers are killed, and the verb whose undisturbed run they must equal."""


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="of each verb, and of workers")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=[*COMMANDS, "workers"])
    parser.add_argument("--pieces", type=int, default=8, help="of 160 planes, of the volume")
    parser.add_argument("--keep", type=Path, help="folder to work in, which is left as it is")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        trial = Trial(given.keep or Path(temporary), seed=given.seed)
        trial.prepare(n_pieces=given.pieces)
        asked = [given.only] if given.only else [*COMMANDS, "workers"]
        scores = {name: trial.score(name, given.kills) for name in asked}
    sys.stdout.write(table(scores))
    return int(any(score.wrong for score in scores.values()))


class Trial:
    """The undisturbed runs, in a folder, and the killed ones beside them."""

    def __init__(self, work: Path, *, seed: int) -> None:
        self.work, self.seed = work, seed
        self.seconds: dict[str, float] = {}

    def prepare(self, *, n_pieces: int) -> None:
        """Make the volume, and let every command run once undisturbed."""
        base = self.work / "base"
        shutil.rmtree(base, ignore_errors=True)
        make_store(base / STORE, n_pieces=n_pieces)
        for name, command in COMMANDS.items():
            fresh_copy(base, self.work / f"before-{name}")
            base = fresh_copy(base, self.work / f"after-{name}")
            self.seconds[name] = command.undisturbed(base)
            sys.stderr.write(f"{name}: {self.seconds[name]:.1f} s of undisturbed work\n")
        if not len(Volume.open(base / STORE).table("n")["label"]):
            raise SystemExit("there are no objects: the trial would prove nothing")

    def score(self, name: str, n_kills: int) -> Score:
        """Kill so many times, in as many runs as that takes."""
        score, chance = Score(), random.Random(f"{self.seed} {name}")
        turns = itertools.cycle(workers_here() if name == "workers" else [(name, COMMANDS[name])])
        while score.kills < n_kills and score.runs < 10 * n_kills:
            verb, command = next(turns)
            folder = fresh_copy(self.work / f"before-{verb}", self.work / f"{name}-{score.runs}")
            left = n_kills - score.kills
            if name == "workers":
                run = kill_workers(
                    command, folder, min(left, KILLS_OF_A_RUN), self.seconds[verb], chance
                )
            else:
                run = kill_run(command, folder, left, self.seconds[verb], chance)
            wrong = complaints(folder, products(self.work / f"after-{verb}"))
            score.add(run, wrong=[f"{folder.name}: {what}" for what in wrong])
            sys.stderr.write(f"{name}: {score.kills} of {n_kills} kills\n")
            if not wrong:
                shutil.rmtree(folder)
        return score


def workers_here() -> list[tuple[str, Command]]:
    """Commands whose workers are killed, without the cluster where Dask is not installed."""
    if importlib.util.find_spec("distributed"):
        return WORKERS
    return [(verb, command) for verb, command in WORKERS if "blocks=cluster" not in command.words]


def make_store(path: Path, *, n_pieces: int) -> None:
    """A phantom cell, over and over again along z, every other time mirrored, and its painting."""
    cell = make_cell(PIECE, pores=False)
    image, truth = cell.image, cell.labels["mitochondria"]
    turns = [slice(None, None, -1 if n % 2 else 1) for n in range(n_pieces)]
    shape = (n_pieces * PIECE[0], *PIECE[1:])
    volume = Volume.create(
        path, shape=shape, dtype=image.dtype, spacing=cell.spacing, polarity="dark"
    )
    volume.raw()[:] = np.concatenate([image[turn] for turn in turns])
    finish_raw(volume)
    painting = volume.create_labels(
        "mitochondria", kind="annotation", dtype=np.uint8, inputs="phantom",
        classes={"mitochondria": 2},
    )
    painting.array[:] = np.concatenate(
        [sparse_annotation(truth, every=20, seed=n)[turn] for n, turn in enumerate(turns)]
    )
    finish_product(painting)


def table(scores: dict[str, Score]) -> str:
    """What came out, one line per verb, and everything that is wrong."""
    rows = [("", "kills", "runs", "committed", "again", "in flight", "result")]
    for name, score in scores.items():
        numbers = (score.kills, score.runs, score.committed, score.again, score.in_flight)
        result = f"{len(score.wrong)} differences" if score.wrong else "equal"
        rows.append((name, *map(str, numbers), result))
    lines = ["".join(f"{cell:>11}" for cell in row) for row in rows]
    return "\n".join([*lines, *(w for score in scores.values() for w in score.wrong), ""])


if __name__ == "__main__":
    sys.exit(main())
