"""The tiers of a cache as they stand: where they are, how much is in them, and what to do where one is out of order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import VoiceLibraryError, in_short
from ..named.library import Library
from ..settings import Settings
from ..tiers.disk.frozen import FrozenFolder
from ..tiers.disk.stored import Stored
from ..tiers.shared.inspection import READ, Inspection, inspected
from ..tiers.shared.stores import store_at
from ..voice import key_format
from .voices import Folder

MEMORY, FOLDER, READ_ONLY, SHARED = "memory", "cache folder", "read-only folder", "shared store"
NAMED = "voices with names"


@dataclass(frozen=True)
class TierState:
    """One tier: ``kind`` is MEMORY, FOLDER, READ_ONLY, NAMED or SHARED, and ``where`` its path or its address without
    a password.

    ``state``: how it is, in a few words. ``voices``, ``entries`` and ``nbytes`` are what is in it and ``limit`` the
    bytes that it may take, each None where that is not known. ``advice``: what to do, where it is out of order.
    """

    kind: str
    where: str
    state: str
    voices: int | None = None
    entries: int | None = None
    nbytes: int | None = None
    limit: int | None = None
    advice: str = ""


def look(folder: Folder, named: Library) -> Iterator[TierState]:
    """All tiers of a cache that has this folder and this library, nearest first. A store that can't be reached costs
    its timeouts.
    """
    settings = named.settings
    yield TierState(MEMORY, "each program", f"at most {settings.memory_entries:,} voices", limit=settings.memory_bytes)
    yield _of_folder(folder, settings)
    for frozen in folder.store.read_only:
        yield of_read_only(frozen)
    yield from _of_named(named)
    for address in settings.shared:
        yield _of_store(address, settings)


def _of_folder(folder: Folder, settings: Settings) -> TierState:
    only_read = folder.store.is_read_only()
    if not folder.root.exists():
        state = "not there yet; made with the first voice"
    elif only_read:
        state = "only read; new voices are kept in memory only"
    else:
        state = "in use" if settings.stores else "only read, by the settings"
    voices, entries, _ = _held(folder.store.listing())
    limit = None if only_read else settings.size_limit
    return TierState(FOLDER, str(folder.root), state, voices, entries, folder.store.on_disk()[1], limit)


def of_read_only(frozen: FrozenFolder) -> TierState:
    """A filled folder that is not written to."""
    where = str(frozen.root)
    try:
        held = _held(frozen.listing())
    except OSError as error:
        return TierState(READ_ONLY, where, "can't be used", advice=f"{error}.")
    if held[1]:
        return TierState(READ_ONLY, where, "in use", *held)
    state = "has no entries" if frozen.root.exists() else "is not there"
    fill = f"Fill it with `chatterbox-cached warm VOICES --into {where}`, or do without it."
    return TierState(READ_ONLY, where, state, *held, advice=fill)


def _of_named(named: Library) -> Iterator[TierState]:
    try:
        if named.names().voices:
            where = str(named.places.prepared)
            yield TierState(NAMED, where, "in use; nothing of it is evicted", *_held(named.entries.listing()))
    except (VoiceLibraryError, OSError, sqlite3.Error) as error:
        yield TierState(NAMED, str(named.places.root), "can't be used", advice=str(error))
    finally:
        named.close()


def _held(entries: list[Stored]) -> tuple[int, int, int]:
    voices = {key_format.prefix_of(entry.key) for entry in entries}
    return len(voices), len(entries), sum(entry.nbytes for entry in entries)


def _of_store(address: str, settings: Settings) -> TierState:
    tier = store_at(address, settings.namespace, settings.connect_seconds, settings.operation_seconds)
    advice = to_reach(tier.name)
    try:
        found = inspected(tier, writes=False)
    except Exception as error:  # whatever its client raises
        return TierState(SHARED, tier.name, f"can't be reached ({in_short(error)})", advice=advice)
    finally:
        tier.close()
    if (refused := found.tried[READ]) is not None:
        return TierState(SHARED, tier.name, f"can't be read ({in_short(refused)})", advice=advice)
    return TierState(SHARED, tier.name, _answers(found, settings))


def to_reach(store: str) -> str:
    """What to do where a store does not answer, given by its name."""
    return f"See whether {store} runs and can be reached from here, and whether the password is right."


def _answers(found: Inspection, settings: Settings) -> str:
    how = "" if settings.shared_mode != "read" and not settings.only_checks else ", only read"
    trip = "" if found.round_trip is None else f" in {found.round_trip * 1000:.1f} ms"
    return f"{found.about.server or 'a server'} answers{trip}; namespace {settings.namespace}{how}"
