"""What voices that are kept hold in memory: upstream's own, and the cache's."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import subprocess
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..upstream import slots
from ..upstream.families import Family
from .presentation import say, time_of

_KEPT = 2  # of upstream's own conditionals, to see what they hold in memory


def warm_up_and_weigh(model: Any, family: Family, voice: Path) -> float | None:
    """Bytes that stay in use for each of upstream's own conditionals that is kept; None where that can't be seen.

    The first preparation is not counted in anything: it compiles, loads libraries and fills the allocator's pools.
    """
    started = time.perf_counter()
    prepare = getattr(model, family.prepare)
    prepare(voice)
    kept = [slots.held(model, family)]
    say(f"The first preparation, which also warms up and isn't counted: {time_of(time.perf_counter() - started)}.")
    before = _memory_in_use(model.device)
    for _ in range(_KEPT):
        prepare(voice)
        kept.append(slots.held(model, family))
    after = _memory_in_use(model.device)
    slots.hold(model, family, None)
    return None if before is None or after is None else (after - before) / _KEPT


def _memory_in_use(device: Any) -> int | None:
    """Bytes in use on a GPU, or the resident set size of this process; None where the system doesn't say."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where there is no glibc
        ctypes.CDLL(None).malloc_trim(0)  # or what was freed, and is still the process's, would be counted as in use
    torch, kind = import_module("torch"), str(device).partition(":")[0]
    if kind != "cpu":
        return int(torch.mps.current_allocated_memory() if kind == "mps" else torch.cuda.memory_allocated(device))
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        asked = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, check=True)
        return int(asked.stdout) * 1024
    with contextlib.suppress(OSError):  # a container without ps
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def per_voice(upstream: float | None, stats: Mapping[str, Any]) -> dict[str, float | None]:
    """Megabytes that stay in use for each voice that is kept."""
    return {
        "upstream_mb": None if upstream is None else upstream / 1e6,
        "cache_mb": stats["memory_size_mb"] / max(1, stats["memory_cached_items"]),
        "disk_mb": stats["disk_cache_size_mb"] / max(1, stats["disk_cached_items"]),
    }
