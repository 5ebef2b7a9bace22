"""Voices between a cache folder and files that go from machine to machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import BundleError, ChatterboxCachedError, EntryError, ReadOnlyFolder
from ..settings import Settings, folder_of
from ..tiers.disk.either import FolderTier
from ..voice import bundle, entry_format
from ..voice.bundle import VoiceEntry
from ..voice.bundle_names import NamedInBundle
from ..voice.signing import Keyring


class Entries(Protocol):
    """What entries are read from."""

    def entry(self, key: str) -> bytes:
        """Raises EntryError where it is gone."""
        ...


def open_folder(settings: Settings, was_set_aside: Callable[[Exception], None] = lambda _: None) -> FolderTier:
    """The entries on disk; ``was_set_aside`` is told when a malformed index was moved aside.

    Raises NotCachedError where there is no cache folder, OSError where it can't be used.
    """
    root = folder_of(settings)
    tier = FolderTier(root, settings.size_limit, was_set_aside, trusted=settings.trust_cache_dir)
    if root.exists():
        tier.open()
    return tier


def open_to_write(settings: Settings, was_set_aside: Callable[[Exception], None] = lambda _: None) -> FolderTier:
    """As ``open_folder``. Raises ReadOnlyFolder, or ChatterboxCachedError, where nothing can be kept."""
    if settings.only_checks:
        raise ChatterboxCachedError(
            "With verify_keys and no signing_key entries can be checked here but not signed, so nothing can be kept"
            " that would be believed. Do this on a machine that has the signing_key."
        )
    tier = open_folder(settings, was_set_aside)
    if tier.read_only:
        raise ReadOnlyFolder(
            f"{tier.root} can only be read, so nothing can be kept there. Give another folder with --cache-dir."
        )
    return tier


def read_entry(tier: Entries, key: str, keys: Keyring) -> VoiceEntry:
    """The entry under ``key``, checked. Raises EntryError where it is not, or no longer, one of ours."""
    header, payload = entry_format.opened(key, tier.entry(key), keys)
    voice = VoiceEntry(header, bytes(payload))
    bundle.check_entry(voice)
    return voice


def store_entry(tier: FolderTier, voice: VoiceEntry, keys: Keyring) -> bool:
    """Store a voice, signed with one's own key; False where the same one is there already, which is left alone."""
    with contextlib.suppress(EntryError):
        read_entry(tier, voice.header.key, keys)
        return False
    tier.put(voice.header.key, entry_format.seal(voice.header, voice.payload, keys))
    return True


class TakenIn(NamedTuple):
    """What came of an import: all voices of the bundle, without their tensors, and how many of them were new.

    ``made_room`` is how many older entries had to go for them.
    """

    voices: list[VoiceEntry]
    new: int
    made_room: int


class Names(Protocol):
    """What takes the voices with names of a bundle: each is checked, before anything is kept, and then kept."""

    def check(self, named: NamedInBundle, content: bytes | None) -> None: ...

    def keep(self, named: NamedInBundle, content: bytes | None) -> None: ...


def take_in(path: Path, tier: FolderTier, settings: Settings, names: Names) -> TakenIn:
    """Keep all voices of a bundle, once all of it has been checked. What is there already stays as it is.

    Raises what ``bundle.read`` and ``names`` raise, BundleError when the bundle is larger than the folder may be, and
    OSError or sqlite3.Error when the folder can't be written.
    """
    voices, size = [], 0
    for voice in bundle.read(path, names.check):
        size += len(entry_format.seal(voice.header, voice.payload))
        voices.append(voice._replace(payload=b""))
    if size > settings.size_limit:
        raise BundleError(
            f"{path} holds {size} bytes, and the cache folder may have {settings.size_limit}. Set a larger"
            " CHATTERBOX_CACHED_SIZE_LIMIT."
        )
    before, keys = tier.keys(), settings.keyring
    new = sum(store_entry(tier, voice, keys) for voice in bundle.read(path, names.keep))
    return TakenIn(voices, new, len(set(before) - set(tier.keys())))
