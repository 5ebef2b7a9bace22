"""A model's turn: one call at a time on one model.

Upstream keeps the voice in one slot per model, and T3 keeps its patched copy on itself, so two threads on one model
would speak with each other's voice. What speaks piece by piece reserves the turn from its first piece to its last.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from .forks import RenewedAfterFork

# Whatever is not gone on with for so long may never be: it may be kept somewhere, or wait for the very caller that
# waits for it. Then others go first, and it is told so.
PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_RELAYS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


class Turn:
    """One model's. ``lock`` is held while something runs on the model; free for its holder.

    ``reserved``: by reference, what goes on later and has the turn until then. Whoever has taken the lock and finds
    something there calls ``let_finish``.
    """

    def __init__(self, model: object, let_go: Callable[[Any], object]) -> None:
        self.model = weakref.ref(model, let_go)
        self.lock = threading.RLock()
        self.reserved: set[weakref.ref[Reservation]] = set()
        self.out_of_turn: dict[object, int] = {}  # by who they are, their threads
        self.last: object = None  # of those, whether it has ended or not

    def let_finish(self, mine: Reservation | None = None) -> None:
        """Wait, with the lock taken once, until what other threads have reserved is finished, or not gone on with.

        Who has reserved the turn itself does not wait, nor does a thread for what it was the last to go on with.
        """
        while any(other.keeps_out(mine) for other in self._others(mine)):
            self.lock.release()
            try:
                time.sleep(_LOOK_SECONDS)
            finally:
                self.lock.acquire()
        for other in self._others(mine):
            other.passed_by = other.passed_by or not other.consumer_is_running()

    def _others(self, mine: Reservation | None) -> list[Reservation]:
        there = (reference() for reference in list(self.reserved))
        return [each for each in there if each is not None and each is not mine]

    @contextlib.contextmanager
    def run_out_of_turn(self) -> Iterator[None]:
        """While something runs on the model that does not wait for its turn."""
        this = object()
        try:
            self.out_of_turn[this] = threading.get_ident()  # before it is the last, which a watch looks at first
            self.last = this
            yield
        finally:
            self.out_of_turn.pop(this, None)


class Reservation:
    """Of a turn, by what runs on the model step by step; in which thread that is may change.

    ``passed_by``: whether something else has run on the model between two steps that was not the consumer's own doing.
    It is at an end when it is finished, or gone: a turn knows it by a weak reference.
    """

    def __init__(self) -> None:
        self.passed_by = self.finished = False
        self._turn: Turn | None = None
        self._here = weakref.ref(self)
        self._thread, self._left = 0, 0.0
        self._consumer: tuple[int, object, int] | None = None

    def keep(self, turn: Turn, consumer: FrameType | None) -> None:
        """Reserve the ``turn``, whose lock is taken, until the next step, for which the frame ``consumer`` asks."""
        if self._turn is not turn:  # a forked child has others
            self._turn, self._here = turn, weakref.ref(self, turn.reserved.discard)
        self._thread, self._left = threading.get_ident(), time.monotonic()
        while consumer is not None and consumer.f_code.co_flags & _RELAYS:
            consumer = consumer.f_back
        # Not the frame itself, which would keep alive all that is in it: this reservation as well.
        self._consumer = consumer and (id(consumer), consumer.f_code, consumer.f_lasti)
        turn.reserved.add(self._here)

    def finish(self) -> None:
        """Let others have the turn."""
        self.finished = True
        if self._turn is not None:
            self._turn.reserved.discard(self._here)

    def keeps_out(self, other: Reservation | None) -> bool:
        """Whether this thread, with a reservation of its own or without, has to wait for this one."""
        if self._thread == threading.get_ident() or self.passed_by or (other is not None and other.is_kept()):
            return False
        return time.monotonic() - self._left < PATIENCE_SECONDS

    def is_kept(self) -> bool:
        """Whether it has the turn now."""
        return self._turn is not None and self._here in self._turn.reserved

    def consumer_is_running(self) -> bool:
        """Whether what asked for the last step is what runs in this thread now, and has not just come back to that.

        Then what runs is its own doing. Where not, a thread that serves several consumers has gone on to another one.
        """
        if self._thread != threading.get_ident() or self._consumer is None:
            return False
        identity, code, at = self._consumer
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (id(frame) != identity or frame.f_code is not code):
            frame = frame.f_back
        return frame is not None and frame.f_lasti != at


class Turns(RenewedAfterFork):
    """The turn of every model in this process."""

    def __init__(self) -> None:
        self._of: dict[int, Turn] = {}
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._of.clear()

    def of(self, model: object) -> Turn:
        """The turn of ``model``; the same for all caches."""
        known = self._of.get(id(model))
        return known if known is not None and known.model() is model else self._made(model)

    def out_of(self, model: object) -> contextlib.AbstractContextManager[None]:
        """While something runs on ``model`` that does not wait for its turn."""
        return self.of(model).run_out_of_turn()

    def watch(self, model: object) -> Callable[[], bool]:
        """To be asked later: whether nothing of other threads has run on ``model`` out of turn since now."""
        known = self.of(model)
        last = known.last
        others = any(each != threading.get_ident() for each in list(known.out_of_turn.values()))
        return lambda: known.last is last and not others

    def _made(self, model: object) -> Turn:
        with self._lock:
            known = self._of.get(id(model))
            if known is None or known.model() is not model:
                identity = id(model)
                known = self._of[identity] = Turn(model, lambda _: self._of.pop(identity, None))
            return known


_turns = Turns()
turn, out_of_turn, watch = _turns.of, _turns.out_of, _turns.watch
