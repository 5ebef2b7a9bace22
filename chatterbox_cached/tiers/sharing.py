"""A shared store as a tier: guarded as the others are, written to behind the caller's back, heeding what is forgotten.

Nothing is dropped from it but by hand. An entry that this machine can't use may be what others can: it is signed with
a key that is not known here, for one.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from ..concurrency.breaker import Clock
from ..concurrency.forks import ForkSafeLock
from ..concurrency.one_by_one import one_by_one
from ..errors import EntryError, NotWritten
from ..voice.key_format import parsed, prefix_of
from .guarded import Failed, GuardedTier
from .shared.protocol import Forgotten, SharedTier
from .writer import Write, Writer

FORGOTTEN_SECONDS = 5.0  # how long what was last seen of the forgotten voices is believed
LEASE_SECONDS = 10.0  # what it costs others when the holder of a lease dies
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 0.5


class SharingTier(GuardedTier):
    """``writes``: whether new voices are put there. ``forgot`` is told of voices that no machine may keep, when it is
    seen that there are more of them."""

    def __init__(
        self,
        tier: SharedTier,
        failed: Failed,
        *,
        writes: bool,
        forgot: Callable[[frozenset[str]], None] = lambda _: None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(tier, failed, clock)
        self.shared, self.writes, self._forgot, self._clock = tier, writes, forgot, clock
        self._forgotten, self._lock = Forgotten("", frozenset()), ForkSafeLock()
        self._looked = self._seen = float("-inf")  # when the last look began, and the one whose answer this is
        self._offered: set[str] = set()
        self.writer = Writer(self._say_dropped, self.try_again)

    @property
    def mode(self) -> str:
        """As the setting ``shared_mode``."""
        return "read-write" if self.writes else "read"

    def open(self) -> None:
        """Nothing to get ready: what is waited for is another machine."""

    def _from_tier(self, key: str) -> bytes | None:
        try:
            return super()._from_tier(key)
        except EntryError as error:  # too large to be read, and left where it is
            if self._left.get(key) == str(error):
                return None
            self._left[key] = str(error)
            raise

    def put(self, key: str, value: bytes) -> None:
        """Have it put, soon."""
        if self.writes:
            self.writer.submit(Write(lambda: self._put(key, value), len(value), prefix_of(key)))

    def offer(self, key: str, value: bytes) -> None:
        """Have an entry put that this machine has on its disk, unless it is there: the store may be new, or have lost
        what it had. Asked once for each key.
        """
        if self.writes and key not in self._offered:
            self._offered.add(key)
            self.writer.submit(Write(lambda: self._put_if_missing(key, value), len(value), prefix_of(key)))

    def _put_if_missing(self, key: str, value: bytes) -> bool:
        there: bool | None = self._read("contains", lambda: self.shared.contains(key), None)
        return there is True or (there is False and self._put(key, value))

    def _put(self, key: str, value: bytes) -> bool:
        """Says whether it is there now, or may not be."""

        def put() -> bool:
            if not self._is_forgotten_now(key):
                self.tier.put(key, value)
            # Another machine may have forgotten it meanwhile, and dropped what was there before; or before this look
            # when it was last tried.
            if self._is_forgotten_now(key):
                self.tier.delete_voice(prefix_of(key))
            return True

        return self._write("put", put, False)

    def _is_forgotten_now(self, key: str) -> bool:
        parts = parsed(key)
        return parts is not None and self.forgets_now(parts.audio)

    def forgets_now(self, voice: str) -> bool:
        """``has_forgotten``, as the store says at this moment.

        Raises where that can't be seen: then nothing may be put, or what was put may have to go.
        """
        return voice in self._seen_now().voices

    def delete(self, key: str) -> bool:
        """Nothing is dropped for what this machine thinks of it."""
        return False

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of a voice, and what of it waits to be put. Raises where that fails."""
        self.writer.drop_voice(prefix)
        return self.tier.delete_voice(prefix)

    def close(self) -> None:
        """Write what waits, and let go of connections."""
        self.writer.flush()
        super().close()

    def has_forgotten(self, voice: str) -> bool:
        """Whether no machine may keep this voice, as was known some seconds ago at the latest."""
        if self._clock() - self._looked >= FORGOTTEN_SECONDS:
            self.look_at_forgotten()
        return voice in self._forgotten.voices

    def look_at_forgotten(self) -> None:
        """See now which voices no machine may keep."""
        self._read("forgotten", self._seen_now, None)

    def _seen_now(self) -> Forgotten:
        """The voices that no machine may keep, as the store says now. Raises what keeps it from saying so."""
        one_by_one.give_way()
        known, began = self._forgotten, self._clock()
        self._looked = began  # before, so that one thread looks
        now = self.shared.forgotten(known.state)
        if now is None:
            return known
        with self._lock:
            if began < self._seen:  # an answer that was long on its way takes nothing back
                return now
            before = self._forgotten.voices
            lost = before - now.voices - now.lifted  # a store that has lost what it had lifts nothing
            now = now._replace(voices=now.voices | lost)
            self._forgotten, self._seen = now, began
        if lost and self.writes:
            self.writer.submit(Write(lambda: self._noted_again(lost), 0))
        if more := now.voices - before:
            self._forgot(more)
        return now

    def _noted_again(self, voices: frozenset[str]) -> bool:
        def note() -> bool:
            self.shared.note_again(voices)
            return True

        return self._write("forgotten", note, False)

    def forget(self, voice: str) -> None:
        """No machine may keep this voice from now on. Raises where that fails."""
        self.shared.forget(voice)
        self.look_at_forgotten()

    def lift(self, voice: str) -> bool:
        """Machines may keep it again; says whether they might not. Raises where that fails."""
        lifted = self.shared.lift(voice)
        self.look_at_forgotten()
        return lifted

    @contextlib.contextmanager
    def lease(self, key: str, deadline: float) -> Iterator[None]:
        """Be the only one of all machines at ``key``, until what was put meanwhile is there; or go ahead anyway, where
        the wait was too long, the store can't be reached, or another machine has put the entry.
        """
        token, name = uuid.uuid4().hex, key.replace("/", "-")
        if not self.writes or not self._acquired(key, name, token, deadline):
            yield
            return
        done, ended = threading.Event(), threading.Event()
        renewing = threading.Thread(target=self._keep_renewing, args=(name, token, done, ended), daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread can begin: then it is had for as long as it lasts
            renewing.start()
        try:
            yield
        finally:
            done.set()
            # After what was put before it, which the next one waits for.
            self.writer.submit(Write(lambda: self._released(name, token, ended), 0))

    def _acquired(self, key: str, name: str, token: str, deadline: float) -> bool:
        look = _FIRST_LOOK
        while True:
            held = self._read("lease", lambda: self.shared.acquire(name, token, LEASE_SECONDS), None)
            if held is None:
                return False
            if held or self._read("lease", lambda: self._is_put(key), True):
                return bool(held)
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # Not all at once, where many wait for one.
            time.sleep(min(left, look * (0.5 + int(token[:4], 16) / 0xFFFF)))
            look = min(1.5 * look, _LONGEST_LOOK)

    def _is_put(self, key: str) -> bool:
        """Whether there is an entry that was not found to be of no use."""
        if key not in self._left:
            return self.shared.contains(key)
        value = self.shared.get(key)
        return value is not None and not self.is_left(key, value)

    def _keep_renewing(self, name: str, token: str, done: threading.Event, ended: threading.Event) -> None:
        more = 3  # times, for what was put: where that can't be, others need not wait for it
        while more and not ended.wait(LEASE_SECONDS / 3):
            if not self._read("lease", lambda: self.shared.renew(name, token, LEASE_SECONDS), False):
                return
            more -= done.is_set()

    def _released(self, name: str, token: str, ended: threading.Event) -> bool:
        ended.set()
        self._read("lease", lambda: self.shared.release(name, token), None)
        return True

    def _say_dropped(self, count: int) -> None:
        self._failed(f"{self.name} put", NotWritten(count))
