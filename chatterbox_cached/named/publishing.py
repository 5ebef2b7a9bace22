"""What is known here of shared names, on its way to the stores: behind the caller's back, until it is there."""

from __future__ import annotations

from collections.abc import Callable

from ..concurrency.breaker import Clock
from ..errors import EntryError, SignatureError, VoiceLibraryError
from ..tiers.fleet import Fleet
from ..tiers.shared_names import ABSENT, NamesTier
from ..voice.entry_format import MOST_BYTES
from ..voice.key_format import voice_prefix
from .files import shared_of
from .library import Library
from .record import NamedVoice
from .taking import settle
from .telling import Told, decode, encode, place_of

# Told where something failed, and with what; and, once by subject, what a user has to see to.
Failed = Callable[[str, Exception], None]
Tell = Callable[[str, str], None]
_SENT_SECONDS = 60.0  # after which what has come to no end is tried anew


class Publisher:
    """Of one library, to the stores of ``fleet``."""

    def __init__(self, library: Library, fleet: Fleet, failed: Failed, tell: Tell, clock: Clock) -> None:
        self._library, self._fleet, self._failed, self._tell, self._clock = library, fleet, failed, tell, clock
        self._namespace, self._keys = library.settings.namespace, library.settings.keyring
        self._sent = dict[tuple[str, str], float]()  # when, by store and place

    def publish(self) -> None:
        """Have the stores told what was edited here and may not have reached them."""
        for place, namespace in self._library.names().versions.waiting:
            if namespace == self._namespace:
                for names in self._fleet.names.values():
                    self.send(names, place)

    def offer_entries(self, voice: NamedVoice) -> None:
        """Have the stores given what is prepared of a voice and is not there."""
        if self._fleet and voice.namespace == self._namespace and self._library.places.prepared.exists():
            for key in self._library.entries.keys(voice_prefix(voice.digest)):
                if (entry := self._library.entries.get(key)) is not None:
                    self._fleet.offer(key, entry)

    def send(self, names: NamesTier, place: str) -> None:
        """Have a store told what is known here of a name."""
        now = self._clock()
        if names.writes and now - self._sent.get((names.name, place), float("-inf")) >= _SENT_SECONDS:
            self._sent[names.name, place] = now
            names.later(lambda: self._put(names, place))

    def believed(self, names: NamesTier, place: str, said: bytes) -> Told | None:
        """What a store says of a name: of the version 0 for nothing. None for what can't be believed, which is told."""
        if said == ABSENT:
            return Told(place, 0)
        try:
            return decode(place, self._namespace, said, self._keys)
        except EntryError as error:
            self._failed(f"{names.name} {'signature' if isinstance(error, SignatureError) else 'name'}", error)
            return None

    def _put(self, names: NamesTier, place: str) -> bool:
        """Says whether it is done with."""
        try:
            done = self._put_what_is_newer(names, place)
        except VoiceLibraryError as error:
            self._failed("voices get", error)
            done = True
        if done:
            self._sent.pop((names.name, place), None)
        return done

    def _put_what_is_newer(self, names: NamesTier, place: str) -> bool:
        version, said = self._library.names().versions.by_place.get(place), names.said(place)
        if version is None:  # it was forgotten meanwhile
            return True
        if said is None:
            return False
        # What can't be believed must not keep a name from ever being given again.
        there = self.believed(names, place, said) or Told(place, 0)
        if there.version < version and not self._told(names, Told(place, version, self._voice_at(place)), there):
            return False
        if (place, self._namespace) in self._library.names().versions.waiting:
            settle(self._library.register, place, version)
        return True

    def _told(self, names: NamesTier, told: Told, before: Told) -> bool:
        voice, had = told.voice, before.voice
        # First, since what is said is what tells of it.
        if (
            had is not None
            and (voice is None or voice.digest != had.digest)
            and not names.let_go(told.place, had.digest)
        ):
            return False
        if voice is None:
            return names.end(told.place, encode(told, self._keys))
        kept, file = shared_of(self._library, voice) or (None, None)
        if kept is None and voice.audio is not None:
            self._tell(
                f"recording {told.place}",
                f"The recording of the voice {voice.name!r} stays on this machine: it is gone, or larger than the"
                f" {MOST_BYTES >> 20} MiB that stores take. Others speak with what is prepared of it.",
            )
        try:
            said = encode(Told(told.place, told.version, voice, kept), self._keys)
        except EntryError as error:
            self._tell(f"name {told.place}", f"The voice {voice.name!r} is not shared: {error}.")
            return True
        return names.say(told.place, said, voice.digest, file)

    def _voice_at(self, place: str) -> NamedVoice | None:
        shared = (voice for voice in self._library.names().voices if voice.namespace == self._namespace)
        at_place = (voice for voice in shared if any(place_of(self._namespace, name) == place for name in voice.names))
        return next(at_place, None)
