"""An end to each operation on another machine, whatever it hangs in.

A client's own timeouts are for each wait for the network: a server that sends a byte now and then, or a name that is
looked up for half a minute, holds a caller for as long as it likes. So an operation runs in a thread of its own, which
is used again: on a busy machine a new one begins only after those that run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .forks import RenewedAfterFork

_Result = TypeVar("_Result")
_MOST_IDLE = 8


def within(seconds: float, operation: Callable[[], _Result]) -> _Result:
    """What ``operation`` gives, or raises. Raises TimeoutError after ``seconds``, and lets it end unseen."""
    run = _Run(operation)
    try:
        _idle_threads.take_up(run)
    except RuntimeError:  # Python is ending, where no thread can begin: the client's own timeouts must do
        return operation()
    if not run.ended.acquire(timeout=seconds):
        raise TimeoutError(f"no answer within {seconds:g} s")
    if run.error is not None:
        raise run.error
    result: _Result = run.result
    return result


class _Run:
    """One operation, and what came of it once ``ended`` is free."""

    def __init__(self, operation: Callable[[], Any]) -> None:
        self._operation = operation
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = threading.Lock()
        self.ended.acquire()

    def go(self) -> None:
        try:
            self.result = self._operation()
        except BaseException as error:  # it is raised where it is waited for
            self.error = error


class _Reused:
    """A thread that does one operation after the other."""

    def __init__(self, idle: list[_Reused]) -> None:
        self._idle, self._wanted = idle, threading.Lock()
        self._next: list[_Run] = []
        self._wanted.acquire()
        threading.Thread(target=self._work, name="chatterbox-cached-shared", daemon=True).start()

    def take_up(self, run: _Run) -> None:
        self._next.append(run)
        self._wanted.release()

    def _work(self) -> None:
        while True:
            self._wanted.acquire()
            run = self._next.pop()  # so that what it gave is kept by nothing here
            run.go()
            ended = run.ended
            del run
            stays = len(self._idle) < _MOST_IDLE
            if stays:
                self._idle.append(self)  # before its end is told, so that the next operation finds it
            ended.release()
            if not stays:
                return


class _IdleThreads(RenewedAfterFork):
    """Those that have nothing to do. One whose operation does not end is not among them."""

    def renew_locks(self) -> None:
        self._idle: list[_Reused] = []

    def take_up(self, run: _Run) -> None:
        """Have it done. Raises RuntimeError where no thread can begin."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = _Reused(self._idle)
        thread.take_up(run)


_idle_threads = _IdleThreads()
