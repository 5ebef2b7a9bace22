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
from typing import Any, TypeVar

from .forks import RenewedAfterFork
from .waiting import is_made_here, waits_for_this

_Result = TypeVar("_Result")
# Whatever is not gone on with for so long may never be: it may be kept somewhere, or wait for the very caller that
# waits for it. Then others go first, and it is told so.
PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_WATCH_SECONDS = 0.02  # how often a thread that waits for a turn looks whether its holder waits for it
_RELAYS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


_waiting: dict[int, Turn] = {}  # which thread waits for which turn


class Turn:
    """One model's, held by the thread that has the ``lock`` by ``taken``; free for its holder.

    ``reserved``: by reference, what goes on later and has the turn until then.
    """

    def __init__(self, model: object, let_go: Callable[[Any], object]) -> None:
        self.model = weakref.ref(model, let_go)
        self.lock = threading.RLock()
        self.holder = 0  # the thread; none where that is not known
        self.reserved: set[weakref.ref[Reservation]] = set()
        self.out_of_turn: dict[object, int] = {}  # by who they are, their threads
        self.last: object = None  # of those, whether it has ended or not

    @contextlib.contextmanager
    def taken(self, mine: Reservation | None = None, *, at_once: bool = False) -> Iterator[bool]:
        """While this thread has the turn. It is had ``at_once``, or after what other threads have reserved is finished
        or not gone on with; who has reserved it itself does not wait, nor does a thread for what it was the last to go
        on with.

        Gives whether this thread works for the one that has the turn and waits for it: then it goes ahead within that.
        """
        this = threading.get_ident()
        if self.holder == this:
            yield False
            return
        try:
            works_for_it = not self._take(this)
            if self.reserved and not (works_for_it or at_once):
                works_for_it = self._let_finish(mine, this)
            if self.holder == this:
                yield works_for_it
            else:
                with self.run_out_of_turn():
                    yield works_for_it
        finally:  # without a call in Python before the lock is let go, as in forks.holding
            if self.holder == this:
                self.holder = 0
            try:  # noqa: SIM105
                self.lock.release()
            except RuntimeError:
                pass

    def run(self, work: Callable[..., _Result], *args: Any, at_once: bool) -> _Result:
        """What ``work(works_for_it, *args)`` gives while this thread has the turn, both as by ``taken``; in a fifth of
        its time where the turn is free.
        """
        this, before = threading.get_ident(), self.holder
        try:
            if self.lock.acquire(blocking=False) and (at_once or before == this or not self.reserved):
                self.holder = this
                return work(False, *args)
        finally:  # as above
            if self.holder == this:
                self.holder = before
            try:  # noqa: SIM105
                self.lock.release()
            except RuntimeError:  # it was not free
                pass
        with self.taken(at_once=at_once) as works_for_it:
            return work(works_for_it, *args)

    @contextlib.contextmanager
    def taken_if_free(self) -> Iterator[None]:
        """As ``taken``, but without any wait: out of turn where another thread has it."""
        this, before = threading.get_ident(), self.holder
        free = self.lock.acquire(blocking=False)
        try:
            if free:
                self.holder = this
            with contextlib.nullcontext() if free else self.run_out_of_turn():
                yield
        finally:
            if free:
                self.holder = before
                self.lock.release()

    def _take(self, this: int) -> bool:
        """Take the lock; False where the thread that has it waits for this one, which would be for ever."""
        if not self.lock.acquire(blocking=False):
            _waiting[this] = self
            try:
                while not self.lock.acquire(timeout=_WATCH_SECONDS):
                    if self._waits_for(this):
                        return False
            finally:
                _waiting.pop(this, None)
        self.holder = this
        return True

    def _waits_for(self, this: int) -> bool:
        """Whether the holder waits for this thread, by way of other turns or of what Python has for that."""
        holder, threads = self.holder, list[int]()
        last = holder
        while last not in (0, this, *threads):
            threads.append(last)
            waits_for = _waiting.get(last)
            if waits_for is None:
                # If it does, it does nothing else meanwhile; if it is still the holder, it did not wait too early.
                return waits_for_this(last) and self.holder == holder
            last = waits_for.holder
        return last == this

    def _let_finish(self, mine: Reservation | None, this: int) -> bool:
        """Wait, with the lock taken, for what others have reserved; whether one of them waits for this thread."""
        while any(other.keeps_out(mine) for other in self._others(mine)):
            self.holder = 0
            self.lock.release()
            time.sleep(_LOOK_SECONDS)
            if not self._take(this):
                return True
        works_for_it = False
        for other in self._others(mine):
            if other.waits_for_this_thread():
                works_for_it = True
            else:
                other.passed_by = other.passed_by or not other.consumer_is_running()
        return works_for_it

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
        self._awaits: object = None

    def keep(self, turn: Turn, consumer: FrameType | None, awaits: object = None) -> None:
        """Reserve the ``turn``, whose lock is taken, until the next step, for which the frame ``consumer`` asks.

        ``awaits``: the future that is to be done before that, if any.
        """
        if self._turn is not turn:  # a forked child has others
            self._turn, self._here = turn, weakref.ref(self, turn.reserved.discard)
        self._thread, self._left = threading.get_ident(), time.monotonic()
        while consumer is not None and consumer.f_code.co_flags & _RELAYS:
            consumer = consumer.f_back
        # Not the frame itself, which would keep alive all that is in it: this reservation as well.
        self._consumer = consumer and (id(consumer), consumer.f_code, consumer.f_lasti)
        self._awaits = awaits
        turn.reserved.add(self._here)

    def finish(self) -> None:
        """Let others have the turn."""
        self.finished, self._awaits = True, None
        if self._turn is not None:
            self._turn.reserved.discard(self._here)

    def keeps_out(self, other: Reservation | None) -> bool:
        """Whether this thread, with a reservation of its own or without, has to wait for this one."""
        if self._thread == threading.get_ident() or self.passed_by or (other is not None and other.is_kept()):
            return False
        return time.monotonic() - self._left < PATIENCE_SECONDS and not self.waits_for_this_thread()

    def waits_for_this_thread(self) -> bool:
        """Whether it awaits what this thread is at."""
        return is_made_here(self._awaits)

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
        _waiting.clear()

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
