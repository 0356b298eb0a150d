"""How fast backends were on this machine: a small file in the user's cache folder.

It only saves time: a file that is damaged, foreign or cannot be written is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fibseg.errors import FibsegError
from fibseg.volume import fingerprint
from fibseg.volume.files import write_bytes

FILE = "backends.json"
FOLDER_VARIABLE = "FIBSEG_CACHE"
MOST = 200
"""Measurements that are kept, the latest ones."""

_PACKAGES = ("torch", "onnxruntime", "openvino")

Rates = dict[str, float]
"""Megapixels a second by backend."""


def cache_file() -> Path:
    """The file: in ``FIBSEG_CACHE``, or in ``fibseg`` of the user's cache folder."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        return Path(folder) / FILE
    if os.name == "nt" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "fibseg" / FILE
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fibseg" / FILE


def machine() -> dict[str, Any]:
    """What the speed of this machine depends on: processor, cores, releases of the backends."""
    found: dict[str, Any] = {"processor": _processor(), "cores": os.cpu_count()}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def kept_rates(facts: dict[str, Any]) -> Rates:
    """Rates that were measured with these facts before; empty if none."""
    entry = _read().get(fingerprint(facts))
    return entry["megapixels_per_second"] if entry else {}


def keep_rates(facts: dict[str, Any], rates: Rates) -> None:
    """Add a measurement to the file; one that cannot be written is done without."""
    key = fingerprint(facts)
    entries = {k: v for k, v in _read().items() if k != key}
    entries[key] = {**facts, "megapixels_per_second": {k: round(v, 3) for k, v in rates.items()}}
    latest = dict(list(entries.items())[-MOST:])
    with contextlib.suppress(OSError, FibsegError):
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        write_bytes(cache_file(), (json.dumps(latest, indent=1) + "\n").encode())


def _read() -> dict[str, dict[str, Any]]:
    """All that is in the file and can be meant."""
    try:
        found = json.loads(cache_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: entry for key, entry in found.items() if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    """Whether an entry holds rates."""
    rates = entry.get("megapixels_per_second") if isinstance(entry, dict) else None
    return isinstance(rates, dict) and all(
        isinstance(rate, float | int) and not isinstance(rate, bool) and math.isfinite(rate)
        for rate in rates.values()
    )


def _processor() -> str:
    """Name of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
