"""Named voices of all machines: what is said of a name in the stores that they share, and in the library of this one.

Of two that say different things of a name, the one with the later version counts: that is all there is to it. An edit
gets a version later than all that this machine has heard of the name, and a name that was taken away is an edit, too.
A store that says nothing of a name, or something older, is told what is known here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..concurrency.breaker import Clock
from ..concurrency.forks import ForkSafeLock
from ..concurrency.one_by_one import one_by_one
from ..errors import EntryError, VoiceNameError
from ..tiers.fleet import Fleet
from ..tiers.shared_names import NamesTier
from . import taking
from .files import keep, place_for
from .library import Library
from .names import checked, folded
from .publishing import Failed, Publisher, Tell
from .record import CONDITIONALS, NamedVoice
from .telling import Told, place_of

NAMES_SECONDS = 5.0  # how long what was last seen of a name is believed
_MOST_REMEMBERED = 10_000


class SharedNames:
    """Of one library, in the stores of ``fleet``. What goes wrong there is told, and the library is as it was."""

    def __init__(
        self, library: Library, fleet: Fleet, failed: Failed, tell: Tell, clock: Clock = time.monotonic
    ) -> None:
        self._library, self._fleet, self._failed, self._tell, self._clock = library, fleet, failed, tell, clock
        self._namespace, self._lock = library.settings.namespace, ForkSafeLock()
        self._publisher = Publisher(library, fleet, failed, tell, clock)
        self._looked = dict[str, float]()  # when, by place
        self._lacking = set[str]()  # files that no store gave, which are not asked for again

    def find(self, name: str) -> NamedVoice:
        """``Library.find`` of what the stores said some seconds ago at the latest, or of what is known here."""
        if self._fleet:
            self.look(name)
        return self._library.find(name)

    def publish(self, voice: NamedVoice | None = None) -> None:
        """Have the stores told, soon, what was edited here, and given what is prepared of a voice."""
        if self._fleet:
            self._publisher.publish()
            if voice is not None:
                self._publisher.offer_entries(voice)

    def look(self, name: str) -> None:
        """Have the library say of this name what the stores say, unless that was looked at some seconds ago."""
        known = self._library.known(name)
        if known is not None and self._fleet.may_not_keep(known.digest):
            known = self._library.known(name)  # where that was seen only now, it has just lost its name
        if known is None and not _may_be_a_name(name):
            return
        one_by_one.give_way()
        try:
            if known is None:
                with self._lock:  # until another thread that asks for it has its answer
                    self._agree(name, None)
            elif self._agree(known.name, known) and self._library.known(name) is None:
                self.look(name)  # it may be the name of another voice by now
        except OSError as error:  # a full disk, or a library that can only be read: what is here serves as it is
            self._failed("voices put", error)
        self._publisher.publish()

    def _agree(self, name: str, known: NamedVoice | None) -> bool:
        """See to it that the library and the stores that answer say the same of a name; says whether it was looked."""
        place = place_of(self._namespace, name)
        if (known is not None and known.namespace not in (None, self._namespace)) or not self._is_due(place):
            return False  # it is another tenant's, or it has just been seen
        said = {names: self._said(names, place) for names in self._fleet.names.values()}
        if (newest := _newest(said.values())) is not None:
            if known is not None and known.namespace is None:
                self._join(known, newest)
            else:
                self._heed(newest, known)
        here = self._library.names().versions.by_place.get(place, 0)
        for names, told in said.items():
            if told is not None and told.version < here:
                self._publisher.send(names, place)
        return True

    def _is_due(self, place: str) -> bool:
        now = self._clock()
        if now - self._looked.get(place, float("-inf")) < NAMES_SECONDS:
            return False
        if len(self._looked) >= _MOST_REMEMBERED:
            self._looked.clear()
        self._looked[place] = now
        return True

    def _said(self, names: NamesTier, place: str) -> Told | None:
        said = names.said(place)
        return None if said is None else self._publisher.believed(names, place, said)

    def _join(self, known: NamedVoice, newest: Told) -> None:
        """Share a voice that was named here only, unless machines share another one by that name."""
        said = [newest]
        for alias in known.aliases:
            place = place_of(self._namespace, alias)
            if (told := _newest(self._said(names, place) for names in self._fleet.names.values())) is None:
                return  # it can't be seen whether that is free
            said.append(told)
        if any(told.voice is not None and told.voice.digest != known.digest for told in said):
            self._tell(
                f"name {newest.place}",
                f"The voice {known.name!r} of this machine has a name of another one that machines share. Here this one"
                " is used; to have the other, rename it: chatterbox-cached voices rename",
            )
        elif newest.voice is not None:
            self._take(newest, newest.voice)
        elif self._library.namespace is not None:
            after = max(told.version for told in said)
            taking.share(self._library.register, known.name, self._namespace, after)
            self._publisher.offer_entries(replace(known, namespace=self._namespace))

    def _heed(self, newest: Told, known: NamedVoice | None) -> None:
        here = self._library.names().versions.by_place.get(newest.place, 0)
        if newest.voice is None:
            if known is not None and newest.version > here:
                self._library.drop_files(taking.drop(self._library.register, known, newest.version))
        elif newest.version > here or (newest.version == here and self._lacks(known, newest)):
            self._take(newest, newest.voice)

    def _lacks(self, known: NamedVoice | None, told: Told) -> bool:
        """Whether more of a voice can be had than is here, though nothing newer is said of it."""
        if known is None or told.file is None:
            return known is None
        return known.kind != CONDITIONALS and known.audio is None and told.file.sha256 not in self._lacking

    def _take(self, told: Told, voice: NamedVoice) -> None:
        here = self._library.names().versions.by_place.get(place_of(self._namespace, voice.name), 0)
        if told.version < here or self._fleet.may_not_keep(voice.digest):
            return
        file = self._file(told, voice)
        if voice.kind == CONDITIONALS and file is None:
            return
        audio = None if voice.kind == CONDITIONALS else file
        taken = replace(voice, audio=audio, added=time.time(), namespace=self._namespace)
        self._library.drop_files(taking.take(self._library.register, taken, told.version))

    def _file(self, told: Told, voice: NamedVoice) -> Path | None:
        """The file that was kept with a voice, here now; None where there is none, or no store gives it."""
        if told.file is None:
            return None
        path = place_for(self._library, voice, told.file.suffix)
        if path.exists():
            return path
        for names in self._fleet.names.values():
            content = names.file(voice.digest, told.file.sha256)
            if content is None:
                continue
            if keep(path, content, told.file):
                return path
            self._failed(f"{names.name} recording", EntryError("it is not the one that belongs to the name"))
        self._lacking.add(told.file.sha256)
        return None


def _newest(said: Iterable[Told | None]) -> Told | None:
    """What counts of what several stores say of a name; None where none of them can be reached and believed."""
    return max((told for told in said if told is not None), key=lambda told: told.version, default=None)


def _may_be_a_name(name: str) -> bool:
    try:
        return bool(folded(checked(name)))
    except VoiceNameError:
        return False
