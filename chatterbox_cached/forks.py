"""Locks in a forked child: another thread of the parent may hold one for ever, so the child gets new ones.

Locks inside a C library can't be made anew, so a fork waits until no thread is inside one; see ``unforked``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Protocol


class Renewing(Protocol):
    """Something with locks that can be made anew."""

    def renew_locks(self) -> None:
        """Called in a forked child, in which there is one thread."""
        ...


class LettingGo(Protocol):
    """Something that must not be open across a fork."""

    def let_go(self) -> None:
        """Called before every fork, in the thread that forks."""
        ...


_renewing: weakref.WeakSet[Renewing] = weakref.WeakSet()


def renew_after_fork(owner: Renewing) -> None:
    """Have ``owner.renew_locks()`` called in every forked child for as long as ``owner`` lives."""
    _renewing.add(owner)


class ForkSafeLock:
    """A lock for a module's own state; free for its holder, and new in a forked child."""

    def __init__(self) -> None:
        self.renew_locks()
        renew_after_fork(self)

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Unforked:
    """``with unforked:`` around what a fork must not fall into. Not to be nested: a fork that waits keeps others out.

    What takes longer than ``wait_seconds`` is forked into all the same: better a child that may hang than a parent.
    """

    wait_seconds = 5.0

    def __init__(self) -> None:
        self._lets_go: weakref.WeakSet[LettingGo] = weakref.WeakSet()
        self.begin_anew()

    def begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._forks = 0, 0

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks, self.wait_seconds)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def let_go_before_fork(self, owner: LettingGo) -> None:
        """Have ``owner.let_go()`` called before every fork for as long as ``owner`` lives."""
        self._lets_go.add(owner)

    def before(self) -> None:
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._inside, self.wait_seconds)
        for owner in list(self._lets_go):
            with contextlib.suppress(Exception):
                owner.let_go()

    def after_in_parent(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


unforked = _Unforked()


def _renew() -> None:
    unforked.begin_anew()
    for owner in list(_renewing):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=unforked.before, after_in_parent=unforked.after_in_parent, after_in_child=_renew)
