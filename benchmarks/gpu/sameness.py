"""Whether what was made twice is the same, bit for bit: conditionals, by digest, also from another process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from chatterbox_cached.demo import rehearsal

from .. import ways
from .stand import SMALL, Stand, prepare

Digests = dict[str, str]
_SECONDS = 150


def digests(conditionals: Any) -> Digests:
    """Of every tensor, with its dtype, shape and device, by its name."""
    torch = import_module("torch")
    fields = {**vars(conditionals.t3), **conditionals.gen}
    return {name: _digest(value) for name, value in fields.items() if isinstance(value, torch.Tensor)}


def _digest(tensor: Any) -> str:
    about = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.device.type}".encode()
    content = tensor.detach().cpu().contiguous().reshape(-1).view(import_module("torch").uint8)  # NumPy has no bfloat16
    return hashlib.sha256(about + content.numpy().tobytes()).hexdigest()[:16]


def same(one: Digests, other: Digests) -> bool | str:
    """True, or in which fields they differ."""
    apart = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    return not apart or f"**no**: {', '.join(apart)}"


def same_sound(one: Any, other: Any) -> bool | str:
    """True, or by how much they differ."""
    torch = import_module("torch")
    if torch.equal(one, other):
        return True
    if one.shape != other.shape:
        return f"**no**: {one.shape[-1]} and {other.shape[-1]} samples"
    return f"**no**: by {float((one - other).abs().max()):.2g} at most, of {float(one.abs().max()):.2g}"


def works(work: Callable[[], Any]) -> str:
    """``works``, or the error that it raises."""
    try:
        work()
    except Exception as error:
        return said_by(error)
    return "works"


def said_by(error: BaseException) -> str:
    """An error in one line."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said[:120]}"


def expect(way: ways.Enabled, **counts: int) -> None:
    """Raise AssertionError unless the cache has counted this and passed nothing by: a figure is of what it says."""
    stats = way.cache.get_cache_stats()
    found = {name: stats[name] for name in counts}
    assert found == counts, f"expected {counts}, found {found}"
    bypasses = {reason for reason in stats["bypasses"] if reason != "disabled"}  # which a check asks for itself
    assert not bypasses, f"bypasses: {bypasses}"
    assert not stats["errors"], f"errors: {stats['errors']}"


def write_digests(stand: Stand, kinds: list[str], file: Path) -> None:
    """What this process makes of two voices with each of these kinds of model, written to ``file``."""
    parts = rehearsal.build_parts(device=stand.device)
    found = {}
    for kind in kinds:
        model = stand.build(kind, parts, layers=1)  # a preparation has nothing of T3's weights
        found[kind] = [digests(prepare(model, stand.clip(seed))) for seed in range(2)]
    file.write_text(json.dumps(found))


class SecondProcess:
    """Another process that prepares the same voices with the same weights."""

    def __init__(self, stand: Stand, kinds: list[str]) -> None:
        """It begins now, and has some minutes for it."""
        self._until = time.monotonic() + _SECONDS
        self._file = stand.new_folder() / "digests.json"
        small = ["--small"] if stand.sizes is SMALL else []
        command = [sys.executable, "-m", "benchmarks.gpu", "--device", stand.device, "--kinds", *kinds, *small]
        self._process = subprocess.Popen([*command, "--digests", str(self._file)], stdout=subprocess.DEVNULL)

    def found(self, kind: str) -> list[Digests]:
        """Its digests. Raises OSError where it gave none, and TimeoutExpired where it gave none in time."""
        self._process.wait(timeout=max(0.0, self._until - time.monotonic()))
        found: dict[str, list[Digests]] = json.loads(self._file.read_text())
        return found[kind]

    def end(self) -> None:
        """It is not needed any more."""
        self._process.kill()
        self._process.wait()
