"""Leaves a tier that keeps failing alone for a while, so that a broken disk costs one timeout and not one per call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .forks import RenewedAfterFork

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
Clock = Callable[[], float]


class Breaker(RenewedAfterFork):
    """Says whether a tier is to be tried. Each failure after a pause doubles the next pause; a success ends it all."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0
        self._trial = 0  # the number of pauses so far: what began before the last one says nothing new when it fails

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    def attempt(self, claim: bool = True) -> int | None:
        """What to tell ``failed``, or None while the tier is left alone.

        After a pause one caller tries and the other callers do without, lest all of them wait. ``claim=False`` is for
        an attempt whose success says nothing, and that therefore must not be the one that every caller relies on.
        """
        with self._lock:
            if not self._pause:
                return self._trial
            now = self._clock()
            if now < self._until:
                return None
            if claim:
                self._until = now + self._pause
            return self._trial

    def failed(self, trial: int) -> None:
        """An attempt failed. Those that failed together count once."""
        with self._lock:
            if trial == self._trial:
                self._trial += 1
                self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                self._until = self._clock() + self._pause

    def worked(self) -> None:
        """The tier did what it was asked to."""
        if self._pause:
            with self._lock:
                self._pause = 0.0
