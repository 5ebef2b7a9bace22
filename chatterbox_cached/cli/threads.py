"""How many threads each of several processes takes, and how it is told to: in every library that has threads.

PyTorch, NumPy's and SciPy's linear algebra and numba each have threads of their own, and how many there are changes the
last bits of what PyTorch and linear algebra make. Each library reads a variable when it is loaded, and some are loaded
in the middle of the first preparation, so a process is told by its environment, before it begins.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ALL = "OMP_NUM_THREADS"
_READ_BY_LIBRARIES = (
    _ALL,  # OpenMP: PyTorch, and whatever has no variable of its own
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def environment_of_each(processes: int) -> dict[str, str]:
    """The variables with which each of so many processes takes its share of the processor, in all of its libraries.

    The processor is ``OMP_NUM_THREADS`` where that is set, else the cores that this process may use.
    """
    share = max(1, (_asked_for() or _cores()) // processes)
    return dict.fromkeys(_READ_BY_LIBRARIES, str(share))


def _asked_for() -> int:
    with suppress(ValueError):
        return max(0, int(os.environ.get(_ALL, "").partition(",")[0]))  # of a list, the outermost level
    return 0


def _cores() -> int:
    """As PyTorch counts them: what two hardware threads of one core do together is no more."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len({_core_of(processor) for processor in mine})


def _core_of(processor: int) -> str:
    with suppress(OSError):
        return Path(_SIBLINGS.format(processor)).read_text()
    return str(processor)
