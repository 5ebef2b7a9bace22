"""Brief works of several threads follow each other, since taking turns at every operation of PyTorch costs more."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .forks import RenewedAfterFork

_Result = TypeVar("_Result")


class OneByOne(RenewedAfterFork):
    """Lets brief works of several threads follow each other.

    PyTorch lets go of Python's lock in each of its operations, seven to a hit, and where other threads wait for that
    lock each time one may take it: eight threads together would do a fifth of what one does. Here they wait for
    another lock, and look now and then whether it is free: to be woken by each that lets go of it would be a switch of
    threads for each hit. It is no more than a courtesy, so no thread waits for longer than ``WAIT_SECONDS``.
    """

    WAIT_SECONDS = 0.05
    LOOK_SECONDS = 0.002

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    def give_way(self) -> None:
        """What this thread is about to do is not brief: let the other threads go ahead."""
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def run(self, work: Callable[..., _Result], *args: Any) -> _Result:
        """What ``work(*args)`` gives, in turn with that of other threads or, after a while, without."""
        lock = self._lock
        try:
            if not lock.acquire(blocking=False):
                self._wait_for(lock)
            return work(*args)
        finally:
            try:  # noqa: SIM105 - see forks.holding
                lock.release()
            except RuntimeError:
                pass

    def _wait_for(self, lock: threading.RLock) -> None:
        for _ in range(round(self.WAIT_SECONDS / self.LOOK_SECONDS)):
            time.sleep(self.LOOK_SECONDS)
            if lock.acquire(blocking=False):
                return


one_by_one = OneByOne()
