"""A model's turn: one call at a time on one model.

Upstream keeps the voice in one slot per model, and T3 keeps its patched copy on itself, so two threads on one model
would speak with each other's voice.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .forks import RenewedAfterFork


class _Turn:
    """One model's: the lock that is its turn, and who runs on it without."""

    def __init__(self, model: object, let_go: Callable[[Any], object]) -> None:
        self.model = weakref.ref(model, let_go)
        self.lock = threading.RLock()
        self.out_of_turn: dict[object, int] = {}  # by who they are, their threads
        self.last: object = None  # of those, whether it has ended or not


class Turns(RenewedAfterFork):
    """The turn of every model in this process."""

    def __init__(self) -> None:
        self._of: dict[int, _Turn] = {}
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._of.clear()

    def of(self, model: object) -> threading.RLock:
        """The lock to hold while something runs on ``model``; the same for all caches, and free for its holder."""
        known = self._of.get(id(model))
        return known.lock if known is not None and known.model() is model else self._made(model).lock

    @contextlib.contextmanager
    def out_of(self, model: object) -> Iterator[None]:
        """While something runs on ``model`` that does not wait for its turn."""
        known, this = self._made(model), object()
        try:
            known.out_of_turn[this] = threading.get_ident()  # before it is the last, which a watch looks at first
            known.last = this
            yield
        finally:
            known.out_of_turn.pop(this, None)

    def watch(self, model: object) -> Callable[[], bool]:
        """To be asked later: whether nothing of other threads has run on ``model`` out of turn since now."""
        known = self._made(model)
        last = known.last
        others = any(each != threading.get_ident() for each in list(known.out_of_turn.values()))
        return lambda: known.last is last and not others

    def _made(self, model: object) -> _Turn:
        with self._lock:
            known = self._of.get(id(model))
            if known is None or known.model() is not model:
                identity = id(model)
                known = self._of[identity] = _Turn(model, lambda _: self._of.pop(identity, None))
            return known


_turns = Turns()
turn, out_of_turn, watch = _turns.of, _turns.out_of, _turns.watch
