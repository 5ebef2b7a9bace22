"""Where and of what program an entry was made: what is told of it, and decides no key.

Processors, GPUs and numbers of threads make differences in the last bits, which no one hears; a program that wants none
at all can ask for entries of its own set-up alone.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any

from ..upstream import packages
from ..upstream.families import Family, class_of

_PROGRAM = ("class", "chatterbox")


def origin_of(model: Any, family: Family) -> str:
    """What is told of an entry that this model makes now, as JSON text."""
    kind = class_of(model, family)
    program = {"class": f"{kind.__module__}.{kind.__qualname__}", "chatterbox": packages.version_of_class(kind)}
    return json.dumps({**program, **setup_of(model.device)}, sort_keys=True)


def setup_of(device: Any) -> dict[str, Any]:
    """The machine as far as it can decide last bits: processor, numbers of threads, GPU and cuDNN.

    ``processor`` is its capability as PyTorch names it, such as AVX512; ``threads`` are those of each library.
    """
    import torch

    on_gpu = torch.device(device).type == "cuda"
    return {
        "architecture": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": {"torch": torch.get_num_threads(), **_pools()},
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,  # type: ignore[no-untyped-call]
    }


def _pools() -> dict[str, int]:
    """Threads of the linear algebra that NumPy and SciPy call, the most that any has."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    counts = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {"blas": max(counts)} if counts else {}


def elsewhere(origin: str, here: Mapping[str, Any]) -> tuple[str, ...]:
    """In what an entry's set-up differs from ``here`` (see setup_of), as phrases; empty where it says nothing."""
    theirs = json.loads(origin) if origin else {}
    names = [name for name in here if name in theirs and theirs[name] != here[name]]
    return tuple(f"{name} {_said(theirs[name])}, here {_said(here[name])}" for name in names)


def _said(value: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else str(value)
