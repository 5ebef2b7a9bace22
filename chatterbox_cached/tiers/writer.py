"""Writes behind the caller's back: in order, but for what fails, in one thread, and none is lost in silence."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..concurrency.forks import RenewedAfterFork
from ..log import logger

MOST_WAITING = 512
MOST_BYTES = 64 * 2**20
LOOK_SECONDS = 0.25
IDLE_SECONDS = 5.0


class Write(NamedTuple):
    """Something to be done. ``attempt`` says whether it is done with, or is to be tried again. Without ``nbytes`` it is
    no entry, and not counted where it is given up.
    """

    attempt: Callable[[], bool]
    nbytes: int
    voice: str = ""


class Writer(RenewedAfterFork):
    """A bounded queue, and the thread that works it off. What finds no room, or no end, is told to ``dropped``.

    ``by_hand``: called before the last attempts, those of ``flush``. A forked child begins with an empty queue: what
    waits is the parent's to write.
    """

    def __init__(self, dropped: Callable[[int], None], by_hand: Callable[[], None] = lambda: None) -> None:
        self._dropped, self._by_hand = dropped, by_hand
        self.dropped = 0
        super().__init__()
        weak = weakref.ref(self)
        self._at_end: Callable[[], object] = lambda: (writer := weak()) and writer.flush()
        atexit.register(self._at_end)

    def renew_locks(self) -> None:
        self._lock = threading.Condition()
        self._waiting: deque[Write] = deque()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._working = self._failed_last = self._heeds_workers_end = False

    def __len__(self) -> int:
        return len(self._waiting) + self._working

    def submit(self, write: Write) -> None:
        """Have it done later."""
        with self._lock:
            full = len(self._waiting) >= MOST_WAITING or self._bytes + write.nbytes > MOST_BYTES
            if not full:
                self._waiting.append(write)
                self._bytes += write.nbytes
                self._begin()
                self._lock.notify_all()
        if full:
            self._drop([write])

    def drop_voice(self, voice: str) -> None:
        """Write nothing of this voice that still waits."""
        with self._lock:
            self._keep_waiting([write for write in self._waiting if write.voice != voice or not voice])

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until all is written, one attempt fails, or so long; says whether it is. The rest is dropped."""
        if not len(self):
            return True
        self._by_hand()
        with self._lock:
            self._failed_last = False
            self._begin()
            self._lock.notify_all()
            if self._thread is not None:
                self._lock.wait_for(lambda: not len(self) or self._failed_last, seconds)
        if self._thread is None:
            self._work_off(time.monotonic() + seconds)
        with self._lock:
            left = list(self._waiting)
            self._keep_waiting([])
        self._drop(left)
        return not left

    def _begin(self) -> None:
        if not self._heeds_workers_end and (util := sys.modules.get("multiprocessing.util")) is not None:
            util.Finalize(None, self._at_end, exitpriority=0)  # its workers end by os._exit, past atexit
            self._heeds_workers_end = True
        if self._thread is None or not self._thread.is_alive():
            self._thread = None
            thread = threading.Thread(target=self._work, name="chatterbox-cached-writer", daemon=True)
            with contextlib.suppress(RuntimeError):  # none can begin: the next call sees to it, or flush
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        while True:
            with self._lock:
                # A thread that waits for ever would keep all that it could write to: a cache that nobody uses any more.
                if not self._lock.wait_for(lambda: self._waiting, IDLE_SECONDS):
                    self._thread = None
                    return
            if not self._do_next():
                with self._lock:
                    self._lock.wait(LOOK_SECONDS)

    def _work_off(self, until: float) -> None:
        while self._waiting and not self._failed_last and time.monotonic() < until:
            self._do_next()

    def _do_next(self) -> bool:
        """Says whether what is first is done with. Else it is the last now, lest it keep the others back for ever."""
        with self._lock:
            if not self._waiting:
                return True
            write = self._waiting[0]
            self._working = True
        done = False
        try:
            done = write.attempt()
        except BaseException:  # whatever it is, this thread has others to write
            logger().debug("An attempt to write ended early.", exc_info=True)
        with self._lock:
            if self._waiting and self._waiting[0] is write:
                if done:
                    self._waiting.popleft()
                    self._bytes -= write.nbytes
                else:
                    self._waiting.rotate(-1)
            self._working, self._failed_last = False, not done
            self._lock.notify_all()
        return done

    def _keep_waiting(self, writes: list[Write]) -> None:
        self._waiting = deque(writes)
        self._bytes = sum(write.nbytes for write in writes)

    def _drop(self, writes: list[Write]) -> None:
        if count := sum(write.nbytes > 0 for write in writes):
            self.dropped += count
            self._dropped(count)
