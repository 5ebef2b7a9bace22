"""What all processes of one program did, counted together, for ``chatterbox-cached run --stats``.

Each process keeps its counts in a file of its own and writes it anew with every count, since a worker may be killed at
any time. A forked child begins at zero, in a file of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from .forks import renew_after_fork
from .stats import Count

REPORT = "CHATTERBOX_CACHED_REPORT"  # the variable that names the folder


class Tally:
    """This process's counts, kept in ``folder``."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self.renew_locks()
        renew_after_fork(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Count] = Counter()
        self._file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex}"

    def add(self, counts: Mapping[Count, float]) -> None:
        """Count, and write what has been counted so far. Where the folder is gone, nobody reads it any more."""
        with self._lock, contextlib.suppress(OSError):
            self._counts.update(counts)
            whole = self._file.with_suffix(".json")
            self._file.write_text(json.dumps([[kind, name, n] for (kind, name), n in self._counts.items()]))
            os.replace(self._file, whole)


class Report:
    """The sum over all processes that kept their counts in ``folder``."""

    def __init__(self, folder: str) -> None:
        self.processes = 0
        self._counts: Counter[Count] = Counter()
        for file in Path(folder).glob("*.json"):
            self.processes += 1
            for kind, name, number in json.loads(file.read_text()):
                self._counts[kind, name] += number

    def __str__(self) -> str:
        asked = self._sum("hits") + self._sum("misses") + self._sum("bypasses")
        if not asked:
            return "chatterbox-cached: no voice was asked for."
        rows = [
            ("hits", self._sum("hits"), self._by_name("hits")),
            ("misses", self._sum("misses"), f"prepared in {self._sum('prepare_seconds'):.1f} s"),
            ("bypasses", self._sum("bypasses"), self._by_name("bypasses")),
            ("not stored", self._sum("not_stored"), self._by_name("not_stored")),
            ("errors", self._sum("errors"), self._by_name("errors")),
            ("mismatches", self._sum("mismatches"), "of exaggeration"),
        ]
        shown = [row for row in rows if row[1] or row[0] in ("hits", "misses", "bypasses")]
        lines = [f"  {name:<11}{number:>6.0f}  {detail if number else ''}".rstrip() for name, number, detail in shown]
        saved = f"{self._sum('saved_seconds'):.1f} s saved"
        head = f"chatterbox-cached: voices asked for: {asked:.0f}, in processes: {self.processes}, {saved}"
        return "\n".join([head, *lines])

    def _sum(self, kind: str) -> float:
        return sum(number for (each, _), number in self._counts.items() if each == kind)

    def _by_name(self, kind: str) -> str:
        names = sorted((name, number) for (each, name), number in self._counts.items() if each == kind)
        return ", ".join(f"{name}: {number:.0f}" for name, number in names)
