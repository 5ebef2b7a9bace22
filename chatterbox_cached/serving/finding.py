"""Where to look for what was made, and where to keep it: under which key, and whether on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..accounting.bypasses import Bypasses
from ..identity.key import Key, on_setup
from ..identity.origin import is_from, is_whole, part_told, setup_of
from ..settings import Settings
from ..tiers.store import Find, VoiceStore
from ..upstream.encodings import part_of
from ..voice.snapshot import Snapshot

Found = tuple[str, Snapshot]  # the name of the tier that had it


class Finder:
    """Of one cache. ``exact``: whether only this set-up's own entries are used (see identity.origin.setup_of)."""

    def __init__(self, store: VoiceStore, settings: Settings, bypasses: Bypasses) -> None:
        self._store, self._settings, self._bypasses = store, settings, bypasses
        self.exact = settings.exact == "setup"

    def look(self, find: Find, key: Key, device: Any) -> tuple[Key, Found | None]:
        """What ``find`` finds that may be used, and under which key: this set-up's own, where another's is under it."""
        found = find(key.text, device)
        if not self.exact or (found is not None and is_from(found[1].origin, setup_of(device))):
            return key, found
        own = on_setup(key, setup_of(device))
        return own, find(own.text, device)

    def part(self, name: str, key: Key, device: Any) -> Found | None:
        """The part of a voice called ``name`` that is this key's, in anything that is kept of the same audio."""
        assert key.maker is not None
        for tier, kept in self._store.of_audio(key.audio.digest):
            seconds = part_told(kept.origin, name, key.maker.digest)
            if seconds is None or (self.exact and not is_from(kept.origin, setup_of(device))):
                continue
            if (part := part_of(kept, name)) is not None:
                return tier, replace(part, prepare_seconds=seconds).to(device)
        return None

    def latest(self, audio: str) -> Snapshot | None:
        """The whole voice that was last used, or else last stored, of the audio with this digest."""
        kept = (snapshot for _, snapshot in self._store.of_audio(audio))
        return next((each for each in kept if "gen" in each.parts and is_whole(each.origin)), None)

    def keep(self, key: Key, device: Any, snapshot: Snapshot) -> None:
        """Keep what was made here."""
        key = self._place(key, device)
        durable = self._settings.stores and not key.uncertain
        self._store.keep(key.text, device, snapshot, durable=durable, made_by=key.made_by)

    def count_where_kept(self, uncertain: str) -> None:
        """A preparation was kept. Where that is by this process alone, although more was wanted, it is counted and told
        of: for what of it is ``uncertain``, or because it can't be signed here.
        """
        settings = self._settings
        if not (settings.cache_dir or settings.shared) or not settings.auto_save:
            return
        if uncertain:
            self._bypasses.count_kept_here_only(uncertain)
        elif settings.only_checks:
            self._bypasses.count_unsigned()

    def _place(self, key: Key, device: Any) -> Key:
        """Where to keep what was made here: nothing of another set-up goes for it, or two would replace each other."""
        if self.exact and (there := self._store.find(key.text, device)) is not None:
            here = setup_of(device)
            return key if is_from(there[1].origin, here) else on_setup(key, here)
        return key
