"""Where and of what program an entry was made: what is told of it, and decides no key.

Processors, GPUs and numbers of threads make differences in the last bits, which no one hears; a program that wants none
at all can ask for entries of its own set-up alone.
"""

from __future__ import annotations

import functools
import json
import platform
import sys
from collections.abc import Mapping
from typing import Any

from ..upstream import packages
from ..upstream.encodings import Encoding, part_at
from ..upstream.families import Family, class_of, name_of

_PROGRAM = ("class", "chatterbox")


def origin_of(model: Any, family: Family | Encoding) -> str:
    """What is told of an entry that this model makes now, as JSON text."""
    device = next(part_at(model, family.encoders[0]).parameters()).device
    return json.dumps({**_program(model, family), **setup_of(device)}, sort_keys=True)


def origin_of_imported(model: Any, family: Family) -> str:
    """What is told of an entry that was brought here for this model: nothing of where it was made."""
    return json.dumps(_program(model, family), sort_keys=True)


def _program(model: Any, family: Family | Encoding) -> dict[str, str]:
    kind = class_of(model, family)
    part = {"part": family.name} if isinstance(family, Encoding) else {}
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "chatterbox": packages.version_of_class(kind), **part}


def model_of(told: Mapping[str, Any]) -> str:
    """The class that an entry told of in a word, such as ``english``; ``encoders`` for what is of any."""
    return "encoders" if "part" in told else name_of(str(told.get("class", "unknown")))


def is_whole(origin: str) -> bool:
    """Whether an entry that told this is a voice, and not what one of the encoders gave by itself."""
    return "part" not in _told(origin)


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
        pools = _libraries(len(sys.modules)).info()
    except ImportError:
        return {}
    counts = [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]
    return {"blas": max(counts)} if counts else {}


@functools.lru_cache(maxsize=1)
def _libraries(_: int) -> Any:
    """The loaded libraries, of which numbers are asked; found anew, which takes long, when more modules are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def elsewhere(origin: str, here: Mapping[str, Any]) -> tuple[str, ...]:
    """In what an entry's set-up differs from ``here`` (see setup_of), as phrases; empty where it says nothing."""
    theirs = _told(origin)
    names = [name for name in here if name in theirs and theirs[name] != here[name]]
    return tuple(f"{name} {_said(theirs[name])}, here {_said(here[name])}" for name in names)


def elsewhere_than_here(told: Mapping[str, Any], device: str) -> tuple[str, ...]:
    """``elsewhere`` for what an entry told that was made on this type of device, compared with this machine's own.

    It loads torch, but for an entry that says nothing of a set-up; empty where there is none.
    """
    if "processor" not in told:
        return ()
    try:
        import torch
    except ImportError:
        return ()
    here = setup_of(device if device != "cuda" or torch.cuda.is_available() else "cpu")
    return elsewhere(json.dumps(told), here)


def is_from(origin: str, here: Mapping[str, Any]) -> bool:
    """Whether an entry says that it was made on the set-up ``here``; one that does not say it may be from anywhere."""
    theirs = _told(origin)
    return all(name in theirs and theirs[name] == here[name] for name in here)


def with_parts(origin: str, parts: Mapping[str, Any]) -> str:
    """``origin`` with the parts of the entry that are what its encoders gave: by name their maker, and the milliseconds
    that they took.
    """
    return json.dumps({**json.loads(origin), "parts": parts}, sort_keys=True) if parts else origin


def part_told(origin: str, name: str, maker: str) -> float | None:
    """How many seconds this part of an entry took, where the entry says that it is what ``maker`` gave."""
    match _told(origin).get("parts"):
        case {**parts} if isinstance(said := parts.get(name), list) and said[:1] == [maker] and len(said) == 2:
            return said[1] / 1000 if type(said[1]) is int else None
    return None


@functools.lru_cache(maxsize=256)
def _told(origin: str) -> Mapping[str, Any]:
    try:
        told = json.loads(origin) if origin else {}
    except (ValueError, RecursionError):  # an entry may say anything
        return {}
    return told if isinstance(told, dict) else {}


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in sorted(value.items()))
    return "none" if value is None else str(value)
