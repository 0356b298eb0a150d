"""A training step on a quiet and on a busy machine, with threads that spin or sleep.

python benchmarks/busy_machine.py --others 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

STEP = """
import time, torch
from fibseg.models import NetworkSpec, build_network
network = build_network(NetworkSpec(), in_channels=1, n_classes=1).train()
image = torch.zeros(8, 1, 128, 128).contiguous(memory_format=torch.channels_last)
for i in range({n}):
    begin = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(image).float().square().mean()
    loss.backward()
    network.zero_grad()
    print(time.perf_counter() - begin)
"""
BUSY = "while True: pass"
WARM = 2
"""First steps, which also allocate and compile."""

WAYS = {"spinning": {"GOMP_SPINCOUNT": "300000"}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}
"""What libgomp does by itself, and what fibseg asks for."""


def seconds(way: str, n: int) -> float:
    """Median of a step with threads that wait in that way."""
    done = subprocess.run(
        [sys.executable, "-c", STEP.format(n=n + WARM)], env=os.environ | WAYS[way],
        capture_output=True, text=True, check=True,
    )
    return statistics.median(float(line) for line in done.stdout.split()[WARM:])


def main() -> None:
    """Print a row for each number of other processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", type=int, default=3, help="processes that compute beside")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    for n_others in (0, given.others):
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n_others)]
        time.sleep(0.5)
        try:
            rounds = [
                {way: seconds(way, given.steps) for way in WAYS}
                for _ in range(given.rounds)
            ]
        finally:
            for other in others:
                other.kill()
        spin, sleep = (min(r[way] for r in rounds) for way in WAYS)
        print(f"{n_others} others: spinning {spin:.2f} s, sleeping {sleep:.2f} s a step, "
              f"{spin / sleep:.1f} times")


if __name__ == "__main__":
    main()
