"""A model's turn: one call at a time on one model.

Upstream keeps the voice in one slot per model, and T3 keeps its patched copy on itself, so two threads on one model
would speak with each other's voice.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

_turns: dict[int, tuple[weakref.ref[Any], threading.RLock]] = {}
_lock = threading.Lock()


def turn(model: object) -> threading.RLock:
    """The lock to hold while something runs on ``model``; the same for all caches, and free for its holder."""
    known = _turns.get(id(model))
    if known is not None and known[0]() is model:
        return known[1]
    with _lock:
        known = _turns.get(id(model))
        if known is None or known[0]() is not model:
            identity = id(model)
            known = weakref.ref(model, lambda _: _turns.pop(identity, None)), threading.RLock()
            _turns[identity] = known
        return known[1]
