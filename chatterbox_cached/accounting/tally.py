"""What all processes of one program did, counted together, for ``chatterbox-cached run --stats``.

Each process keeps its counts in a file of its own and writes it anew with every count, since a worker may be killed at
any time. A forked child begins at zero, in a file of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..concurrency.forks import RenewedAfterFork
from .process_wide import Count
from .stats import CLASSES, ENCODERS, VOICES

_BY_NAME = ("hits", "seams", *CLASSES.values(), "bypasses", "not_stored", "errors", "shared_dropped")
_FOUND = ((CLASSES[VOICES], ": voices as a whole"), (CLASSES[ENCODERS], ": calls of the encoders"))


class Tally(RenewedAfterFork):
    """This process's counts, kept in ``folder``."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Count] = Counter()
        self._file = self._folder / f"{os.getpid()}-{os.urandom(16).hex()}"

    def add(self, counts: Mapping[Count, float]) -> None:
        """Count, and write what has been counted so far. Without the folder `run` has ended, and reads it no more."""
        with self._lock, contextlib.suppress(OSError):
            self._counts.update(counts)
            whole = self._file.with_suffix(".json")
            self._file.write_text(json.dumps([[kind, name, n] for (kind, name), n in self._counts.items()]))
            os.replace(self._file, whole)


class Report:
    """The sum over all processes that kept their counts in ``folder``."""

    def __init__(self, folder: str) -> None:
        self._processes = 0
        self._counts: Counter[Count] = Counter()
        for file in Path(folder).glob("*.json"):
            counts = json.loads(file.read_text())
            self._processes += any(kind not in CLASSES.values() for kind, _, _ in counts)
            for kind, name, number in counts:
                self._counts[kind, name] += number

    def figures(self) -> dict[str, Any]:
        """All that was counted: hits by tier, bypasses, what was not stored and errors by reason, seconds."""
        by_name = {kind: self._by_name(kind) for kind in _BY_NAME}
        sums = ("misses", "mismatches", "prepare_seconds", "saved_seconds")
        return {"processes": self._processes, **by_name, **{kind: self._counts[kind, ""] for kind in sums}}

    def __str__(self) -> str:
        now = self.figures()
        hits, bypasses = sum(now["hits"].values()), sum(now["bypasses"].values())
        asked = hits + now["misses"] + bypasses
        rows = [
            ("hits", hits, _listed(now["hits"]) + self._by_encoders()),
            ("misses", now["misses"], f"prepared in {now['prepare_seconds']:.1f} s"),
            ("bypasses", bypasses, _listed(now["bypasses"])),
        ]
        more = [
            ("not stored", sum(now["not_stored"].values()), _listed(now["not_stored"])),
            ("errors", sum(now["errors"].values()), _listed(now["errors"])),
            ("dropped", sum(now["shared_dropped"].values()), _listed(now["shared_dropped"])),
            ("mismatches", now["mismatches"], "of exaggeration"),
        ]
        shown = [*(rows if asked else []), *(row for row in more if row[1])]
        if not shown:
            found = ", ".join(name for kind in CLASSES.values() for name in now[kind])
            return f"chatterbox-cached: no voice was asked for{f' of {found}' if found else ''}."
        saved = f"{now['saved_seconds']:.1f} s saved"
        shown += [("found", len(now[kind]), ", ".join(now[kind]) + how) for kind, how in _FOUND if now[kind]]
        head = f"chatterbox-cached: voices asked for: {asked}, in processes: {self._processes}, {saved}"
        return "\n".join([head, *(f"  {name:<11}{n:>6}  {detail if n else ''}".rstrip() for name, n, detail in shown)])

    def _by_encoders(self) -> str:
        number = self._counts["seams", ENCODERS]
        return f"; by calls of the encoders: {number}" if number else ""

    def _by_name(self, kind: str) -> dict[str, int]:
        return {name: number for (each, name), number in sorted(self._counts.items()) if each == kind}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts.items())
