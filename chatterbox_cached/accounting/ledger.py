"""One process's side of the account: events are noted in memory, and one thread writes them down a little later.

A thread of all ledgers of a process starts with the first event and writes about two seconds after one. What is not
written yet is written at the end of the process, but not by one that is killed or ends by ``os._exit``: of that,
the last seconds are lost.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ..concurrency.breaker import Breaker
from ..concurrency.forks import RenewedAfterFork, holding
from ..settings import Settings, switched_off
from ..tiers.disk.folder import is_usable
from ..tiers.disk.repair import CheckReport
from ..tiers.disk.rights import can_write
from . import account
from .account import Batch, Totals, VoiceAccount
from .failures import Failures
from .stats import Stats

DELAY_SECONDS = 2.0
_MEASURED = 4096  # voices whose duration was looked for already
_WAIT_SECONDS = 5.0  # for another thread that writes the same ledger


# Digest, path, name, when, and seconds saved (None for a miss). A plain tuple of plain values, which Python's garbage
# collector lets go of at once; thousands of anything else would have it look through the whole process.
_Use = tuple[str, str, str, float, float | None]


class Ledger(RenewedAfterFork):
    """Notes what one cache does; ``used`` is called on every hit, so it takes no lock and touches no disk.

    Nothing is written without a cache folder, or where voices would not be written either.
    """

    def __init__(self, settings: Settings, stats: Stats, failures: Failures) -> None:
        self._root, self._trusted = settings.cache_dir, settings.trust_cache_dir
        self._stats, self._failures, self._breaker = stats, failures, Breaker()
        self._on = self._root is not None and settings.auto_save and not switched_off()
        self._measured: set[str] = set()
        super().__init__()
        stats.on_call = self.noticed

    def renew_locks(self) -> None:
        """In a forked child: what is noted and not written is the parent's to write."""
        self._lock = threading.RLock()
        self._stats.renew_locks()  # it may be its turn only after this
        self._told = _flat(self._stats.snapshot())
        self._uses: deque[_Use] = deque()
        self._voices: dict[str, VoiceAccount] = {}
        self._began: float | None = None

    def used(self, digest: str, path: str, name: str, saved: float | None) -> None:
        """The voice of this audio was served from the cache, which ``saved`` so many seconds, or was prepared.

        ``digest``, ``path`` and ``name`` as in identity.Audio; audio without a digest is of no account.
        """
        if self._on and digest:
            self._uses.append((digest, path, name, time.time(), saved))
            if self._began is None:
                self.noticed()

    def noticed(self) -> None:
        """Something was counted that is to be written."""
        if self._on and self._began is None:
            self._began = time.time()
            _writer.write_soon(self)

    def flush(self) -> bool:
        """Write what is not written yet; says whether there is something left that could be written later.

        Failures are reported, and then the account is left alone for a while.
        """
        try:
            return holding(self._lock, _WAIT_SECONDS, self._flush)
        except TimeoutError:
            return True

    def _flush(self) -> bool:
        if (began := self._began) is None:
            return False
        self._began = None  # before anything is looked at, so that what comes now is written the next time
        self._gather()
        if (trial := self._breaker.attempt()) is None:
            self._began = began
            return True
        try:
            if not self._usable():
                return False
            now = _flat(self._stats.snapshot())
            batch = Batch(began, _difference(now, self._told), list(self._voices.values()))
            account.add(self._folder(), batch, self._failed, trusted=self._trusted)
        except Exception as error:
            self._breaker.failed(trial)
            self._began = began
            self._failed(error)
            return True
        self._breaker.worked()
        self._told = now
        self._voices.clear()
        return False

    def also_checked(self, report: CheckReport, fix: bool) -> CheckReport:
        """The report of the disk tier, with what a look at the account finds; see account.check."""
        return account.also_checked(report, self._root, fix, trusted=self._trusted)

    def forget(self, digest: str) -> None:
        """Drop the voice's row, and what is noted of it."""
        self.forget_all([digest])

    def forget_all(self, digests: Collection[str]) -> None:
        """Drop the rows of these voices, and what is noted of them."""

        def drop() -> None:
            for digest in digests:
                self._voices.pop(digest, None)
                self._measured.discard(digest)

        self._drop(drop, lambda root: account.forget(root, digests, trusted=self._trusted))

    def clear(self) -> None:
        """Drop all voices' rows, and what is noted of them."""

        def drop() -> None:
            self._voices.clear()
            self._measured.clear()

        self._drop(drop, lambda root: account.clear(root, trusted=self._trusted))

    def _drop(self, noted: Callable[[], None], written: Callable[[Path], None]) -> None:
        def drop() -> None:
            self._gather()
            noted()
            if self._usable():
                written(self._folder())

        try:
            holding(self._lock, _WAIT_SECONDS, drop)
        except Exception as error:  # another thread has been writing for too long, for one
            self._failed(error)

    def _usable(self) -> bool:
        # The account is beside the entries, in a folder that may be another user's.
        return self._root is not None and can_write(self._root) and is_usable(self._root, trusted=self._trusted)

    def _folder(self) -> Path:
        assert self._root is not None
        return self._root

    def _failed(self, error: Exception) -> None:
        self._failures.report("disk account", error)  # one disk, one warning

    def _gather(self) -> None:
        """Add up what was noted per voice."""
        last, hits, seconds = dict[str, _Use](), defaultdict[str, int](int), defaultdict[str, float](float)
        while self._uses:  # tersely: while this thread works on thousands, those who generate wait for Python
            use = self._uses.popleft()
            last[use[0]] = use
            if use[4] is not None:
                hits[use[0]] += 1
                seconds[use[0]] += use[4]
        for digest, (_, path, name, when, _) in last.items():
            voice = self._voices.get(digest) or VoiceAccount(digest, None, None, None, 0.0, 0, 0.0)
            duration = voice.duration if digest in self._measured else self._duration(digest, path)
            self._voices[digest] = VoiceAccount(
                digest,
                name=name or None,
                path=path or None,
                duration=duration,
                last_used=when,
                hits=voice.hits + hits[digest],
                saved_seconds=voice.saved_seconds + seconds[digest],
            )

    def _duration(self, digest: str, path: str) -> float | None:
        if len(self._measured) >= _MEASURED:
            self._measured.clear()
        self._measured.add(digest)
        with contextlib.suppress(Exception):
            if os.path.isfile(path):
                import soundfile

                return float(soundfile.info(path).duration)
        return None


class _Writer(RenewedAfterFork):
    """The thread that writes for all ledgers of this process; it holds on to those that have something to write."""

    def renew_locks(self) -> None:
        self._waiting: set[Ledger] = set()
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def write_soon(self, ledger: Ledger) -> None:
        self._waiting.add(ledger)
        self._wanted.set()
        if self._thread is None:
            with self._lock:
                self._start()

    def _start(self) -> None:
        if self._thread is not None:
            return
        # Workers of multiprocessing end by os._exit, past atexit.
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            util.Finalize(None, self.write_all, exitpriority=0)
        self._thread = threading.Thread(target=self._run, name="chatterbox-cached account", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is ending; then write_all comes next
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(DELAY_SECONDS)
            self._wanted.clear()
            self.write_all()

    def write_all(self) -> None:
        """Write what every ledger has noted; what can't be written yet is tried again later."""
        for ledger in list(self._waiting):
            self._waiting.discard(ledger)
            if ledger.flush():
                self._waiting.add(ledger)
                self._wanted.set()


_writer = _Writer()
atexit.register(_writer.write_all)


def _flat(snapshot: dict[str, Any]) -> Totals:
    """Counters by name and reason."""
    flat: Totals = {}
    for name, value in snapshot.items():
        if isinstance(value, dict):
            flat |= {(name, reason): n for reason, n in value.items()}
        else:
            flat[name, ""] = value
    return flat


def _difference(now: Totals, before: Totals) -> Totals:
    return {key: change for key, n in now.items() if (change := n - before.get(key, 0))}
