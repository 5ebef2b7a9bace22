"""Locks in a forked child: a thread that only the parent has may hold one for ever, so the child gets new ones.

Locks inside a C library can't be made anew, so a fork waits until no thread is inside one; see ``unforked``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

_LOOK_SECONDS = 0.001
_Result = TypeVar("_Result")


class RenewedAfterFork(ABC):
    """Base of everything that has locks of its own, or state that a forked child must not take over."""

    def __init__(self) -> None:
        self.renew_locks()
        _renewed.add(self)

    @abstractmethod
    def renew_locks(self) -> None:
        """Make them: at first, and again in every forked child, in which there is one thread."""


class LettingGo(Protocol):
    """Something that must not be open across a fork."""

    def let_go(self) -> None:
        """Called before every fork, in the thread that forks."""
        ...


_renewed: weakref.WeakSet[RenewedAfterFork] = weakref.WeakSet()


class ForkSafeLock(RenewedAfterFork):
    """A lock for a module's own state; free for its holder, and new in a forked child."""

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    # The lock's own methods, which are C: Ctrl-C would come between the lines of ours, with the lock taken for ever.
    @property
    def __enter__(self) -> Callable[[], bool]:
        return self._lock.__enter__

    @property
    def __exit__(self) -> Callable[..., None]:
        return self._lock.__exit__


def holding(lock: threading.RLock, seconds: float, act: Callable[[], _Result]) -> _Result:
    """What ``act`` gives while this thread holds ``lock``. Raises TimeoutError where it can't have it in time."""
    try:
        if not lock.acquire(timeout=seconds):
            raise TimeoutError("another thread is at it")
        return act()
    finally:
        try:  # noqa: SIM105 - Ctrl-C could come in suppress(), which is Python, before this is done
            lock.release()
        except RuntimeError:  # it was not taken. Where Ctrl-C came right after it was, only the lock itself knows
            pass


class _Unforked:
    """Keeps forks out of what they must not fall into.

    Not to be nested: a fork that waits keeps other threads out. What takes longer than ``wait_seconds`` is forked into
    all the same: better a child that may hang than a parent. Ctrl-C may come between any two lines here, so whatever
    is put down is taken back by one call in C, or is of no effect after a while.
    """

    wait_seconds = 5.0

    def __init__(self) -> None:
        self._lets_go: weakref.WeakSet[LettingGo] = weakref.WeakSet()
        self.begin_anew()

    def begin_anew(self) -> None:
        self._inside: set[object] = set()
        self._forks: dict[int, float] = {}  # by the thread that forks; until when the other threads wait for it

    def run(self, operation: Callable[[], _Result]) -> _Result:
        """What ``operation`` gives. No fork comes in between."""
        inside, this = self._inside, object()
        try:
            self._enter(inside, this)
            return operation()
        finally:
            inside.discard(this)

    def _enter(self, inside: set[object], this: object) -> None:
        inside.add(this)  # before it looks for forks, which say that they are there before they look inside
        if self._forks:
            give_up = time.monotonic() + self.wait_seconds
            while give_up > time.monotonic() < max(list(self._forks.values()), default=0.0):
                inside.discard(this)
                time.sleep(_LOOK_SECONDS)
                inside.add(this)

    def let_go_before_fork(self, owner: LettingGo) -> None:
        """Have ``owner.let_go()`` called before every fork for as long as ``owner`` lives."""
        self._lets_go.add(owner)

    def before(self) -> None:
        until = self._forks[threading.get_ident()] = time.monotonic() + self.wait_seconds
        while self._inside and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        for owner in list(self._lets_go):
            with contextlib.suppress(Exception):
                owner.let_go()

    def after_in_parent(self) -> None:
        self._forks.pop(threading.get_ident(), None)


unforked = _Unforked()


def _renew() -> None:
    unforked.begin_anew()
    for owner in list(_renewed):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=unforked.before, after_in_parent=unforked.after_in_parent, after_in_child=_renew)
