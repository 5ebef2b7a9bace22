"""What machines share of named voices in one store: beside its entries, and guarded with them.

    v1/names/<place>          what is said of one name; ``<place>`` is a digest of the name, which stands in no key
    v1/<voice>/name-<place>   that a name is, or was, of this voice, so that all can be found when it is forgotten
    v1/<voice>/file-<sha>     its recording, where that was kept with it, or the ``.pt`` file that it came from

What is said is bytes here. Who believes it decides whether they are what they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import EntryError
from .guarded import Failed, GuardedTier
from .shared.protocol import SharedTier
from .sharing import SharingTier
from .writer import Write

ABSENT, TOO_LARGE = b"", b"?"
_NAME, _FILE = "name-", "file-"


class File(NamedTuple):
    """A recording or ``.pt`` file, by the SHA-256 of its bytes."""

    sha256: str
    content: bytes


class NamesTier(GuardedTier):
    """``entries``: the tier of the same store, which is tried, written to and left alone as one with this."""

    def __init__(self, store: SharedTier, entries: SharingTier, failed: Failed) -> None:
        super().__init__(store, failed)
        self.entries, self.writes = entries, entries.writes
        self.fails_with(entries)

    def later(self, attempt: Callable[[], bool]) -> None:
        """Have something done behind the caller's back, in its turn with what is to be put there; see Write."""
        self.entries.writer.submit(Write(attempt, 0))

    def said(self, place: str) -> bytes | None:
        """What is said of a name, ABSENT for nothing; None where that can't be seen."""

        def read() -> bytes:
            try:
                return self.tier.get(_name(place)) or ABSENT
            except EntryError as error:
                self._failed(f"{self.name} name", error)
                return TOO_LARGE

        return self._read("name", read, None)

    def file(self, voice: str, sha256: str) -> bytes | None:
        """A file of this voice, whatever it is."""
        return self._read("recording", lambda: self.tier.get(f"{_of(voice)}{_FILE}{sha256}"), None)

    def say(self, place: str, what: bytes, voice: str, file: File | None) -> bool:
        """Say this of a name, which is of ``voice``, with its file; says whether that is done.

        Nothing is said of a voice that no machine may keep.
        """

        def say() -> bool:
            if self.entries.forgets_now(voice):
                return True
            if file is not None and (key := f"{_of(voice)}{_FILE}{file.sha256}") not in self.tier.keys(_of(voice)):
                self.tier.put(key, file.content)
            self.tier.put(f"{_of(voice)}{_NAME}{place}", b"1")
            self.tier.put(_name(place), what)
            if self.entries.forgets_now(voice):
                self.forget(voice)
            return True

        return self._write("put", say, False)

    def end(self, place: str, what: bytes) -> bool:
        """Say of a name that it is no voice's; says whether that is done."""

        def end() -> bool:
            self.tier.put(_name(place), what)
            return True

        return self._write("put", end, False)

    def let_go(self, place: str, voice: str) -> bool:
        """A name is of this voice no more: its files go with its last name. Says whether that is done."""

        def let_go() -> bool:
            self.tier.delete(f"{_of(voice)}{_NAME}{place}")
            if not any(_NAME in key for key in self.tier.keys(_of(voice))):
                self.tier.delete_voice(_of(voice))
            return True

        return self._write("delete", let_go, False)

    def forget(self, voice: str) -> None:
        """Drop what is said of all names of this voice, and its files. Raises where that fails."""
        for key in self.tier.keys(_of(voice)):
            if (place := key.removeprefix(f"{_of(voice)}{_NAME}")) != key and self._may_be_of(voice, place):
                self.tier.delete(_name(place))
        self.tier.delete_voice(_of(voice))

    def _may_be_of(self, voice: str, place: str) -> bool:
        try:
            return voice.encode() in (self.tier.get(_name(place)) or ABSENT)
        except EntryError:
            return True


def _of(voice: str) -> str:
    return f"v1/{voice}/"


def _name(place: str) -> str:
    return f"v1/names/{place}"
