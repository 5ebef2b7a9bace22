"""A model's turn: one call at a time on one model.

Upstream keeps the voice in one slot per model, and T3 keeps its patched copy on itself, so two threads on one model
would speak with each other's voice.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from .forks import renew_after_fork


class Turns:
    """The turn of every model in this process."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[weakref.ref[Any], threading.RLock]] = {}
        self.renew_locks()
        renew_after_fork(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._of.clear()

    def of(self, model: object) -> threading.RLock:
        """The lock to hold while something runs on ``model``; the same for all caches, and free for its holder."""
        known = self._of.get(id(model))
        if known is not None and known[0]() is model:
            return known[1]
        with self._lock:
            known = self._of.get(id(model))
            if known is None or known[0]() is not model:
                identity = id(model)
                known = weakref.ref(model, lambda _: self._of.pop(identity, None)), threading.RLock()
                self._of[identity] = known
            return known[1]


_turns = Turns()
turn = _turns.of
