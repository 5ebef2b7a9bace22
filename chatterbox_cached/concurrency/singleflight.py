"""One preparation at a time per key, across threads and processes.

The caller that comes second waits, looks again, and finds what the first has stored. A wait has a bound, after which
the caller helps itself; and a holder that dies lets go, since the kernel releases its file locks.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from .forks import RenewedAfterFork
from .signals import pass_on

# A fixed number of lock files for any number of voices. Two voices that share one wait for each other now and then.
_STRIPES = 256


class SingleFlight(RenewedAfterFork):
    """``wait_seconds`` bounds each wait. ``folder`` is where lock files go; None to meet threads only.

    ``usable`` says whether lock files may be written there now, and must not raise: unlike Path.is_dir, which does
    before Python 3.14 where the folder can't be looked at. ``mode_in`` says what rights they get there.
    ``among_machines`` is entered last, with the key and until when to wait.
    """

    def __init__(
        self,
        folder: Path | None,
        wait_seconds: float,
        usable: Callable[[Path], bool] = os.path.isdir,
        mode_in: Callable[[Path], int] = lambda _: 0o600,
        among_machines: Callable[[str, float], AbstractContextManager[None]] = lambda *_: contextlib.nullcontext(),
    ) -> None:
        self._folder, self._wait_seconds, self._usable, self._mode_in = folder, wait_seconds, usable, mode_in
        self._among_machines = among_machines
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    @contextlib.contextmanager
    def flight(self, key: str, *, everywhere: bool = True) -> Iterator[None]:
        """Be the only one at ``key``, or go ahead anyway once the wait has been too long.

        ``everywhere``: among all machines, and not only on this one.
        """
        deadline = time.monotonic() + self._wait_seconds
        flight = None
        try:
            with self._lock:
                flight = self._flights.setdefault(key, _Flight())
                flight.people += 1
            try:
                flight.lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
                machines = self._among_machines(key, deadline) if everywhere else contextlib.nullcontext()
                with self._among_processes(key, deadline), machines:
                    yield
            finally:
                try:  # noqa: SIM105 - see forks.holding
                    flight.lock.release()
                except RuntimeError:
                    pass
        finally:
            if flight is not None:
                with self._lock:
                    flight.people -= 1
                    if not flight.people:
                        self._flights.pop(key, None)

    @contextlib.contextmanager
    def _among_processes(self, key: str, deadline: float) -> Iterator[None]:
        if self._folder is None or not self._usable(self._folder):  # no disk tier, or none that works
            yield
            return
        import filelock

        stripe = zlib.crc32(key.encode()) % _STRIPES
        lock = filelock.FileLock(self._folder / f"{stripe:02x}.lock", mode=self._mode_in(self._folder))
        # No file to lock, or too long a wait: two preparations of one voice are no harm.
        try:
            try:
                lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
            except Exception as error:
                pass_on(error)
            yield
        finally:
            lock.release()


class _Flight:
    """The lock of one key, and how many hold it or wait for it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.people = 0
