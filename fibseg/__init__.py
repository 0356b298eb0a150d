"""fibseg: deep-learning segmentation and cell profiling of volume electron microscopy."""

import os

__version__ = "0.1.0"

# Threads of torch that wait for each other spin by default. On a machine that is busy with other
# work they take the time of those that they wait for, and a step takes twice as long or more; on a
# quiet one sleeping costs some per cent (benchmarks/busy_machine.py). Read when torch is first
# imported; a user's own setting stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
