"""Locks in a forked child: another thread of the parent may hold one for ever, so the child gets new ones."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Renewing(Protocol):
    """Something with locks that can be made anew."""

    def renew_locks(self) -> None:
        """Called in a forked child, in which there is one thread."""
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


def _renew() -> None:
    for owner in list(_renewing):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
