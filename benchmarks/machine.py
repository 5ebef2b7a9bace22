"""On what a run was made; no names of machines, users or folders."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import chatterbox_cached

_DISTRIBUTIONS = ("chatterbox-tts", "torch", "librosa", "wrapt", "diskcache", "safetensors", "xxhash")


def describe() -> dict[str, object]:
    """Cores, processor, memory, load at the beginning, and versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _line("/proc/cpuinfo", "model name") or platform.processor(),
        "memory": _line("/proc/meminfo", "MemTotal"),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {
            "chatterbox-cached": chatterbox_cached.__version__,  # which may run from its folder
            **{name: metadata.version(name) for name in _DISTRIBUTIONS},
        },
    }


def _line(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
