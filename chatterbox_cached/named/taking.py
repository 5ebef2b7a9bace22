"""What machines say of a name, as edits of the register of this one."""

from __future__ import annotations

from dataclasses import replace

from . import versions
from .names import folded
from .record import NamedVoice
from .register import Register, insert


def share(register: Register, name: str, namespace: str, after: int) -> None:
    """Let machines share a voice that none of them shares yet, as newer than the version ``after``.

    Raises KeyError for no voice, and all of these VoiceLibraryError.
    """
    with register.editing() as database:
        identity, voice = register.known(database, name)
        database.execute("UPDATE voices SET namespace = ? WHERE id = ?", (namespace, identity))
        versions.edited(database, namespace, voice.names, after)


def take(register: Register, voice: NamedVoice, version: int) -> tuple[NamedVoice, ...]:
    """Have a voice as machines share it, without the aliases that other voices have here; gives what it replaced.

    Nothing is done where its name is another voice's here.
    """
    namespace = voice.namespace
    assert namespace is not None
    with register.editing() as database:
        known = register.voice_of(database, folded(voice.name))
        if known is not None:
            identity, had = known
            own = had.namespace != namespace and (had.namespace is not None or had.digest != voice.digest)
            if own or folded(had.name) != folded(voice.name):
                return ()
            database.execute("DELETE FROM voices WHERE id = ?", (identity,))
            voice = _with_what_was_here(voice, had)
        free = [name for name in voice.aliases if register.voice_of(database, folded(name)) is None]
        names = {folded(name): name for name in (*free, voice.name)}
        insert(database, voice, names)
        versions.heard(database, namespace, names, version)
    return () if known is None else (known[1],)


def drop(register: Register, voice: NamedVoice, version: int) -> tuple[NamedVoice, ...]:
    """Drop a shared voice because its name is no voice's in this version; gives what was dropped."""
    with register.editing() as database:
        known = register.voice_of(database, folded(voice.name))
        if known is None or known[1].namespace is None or known[1].namespace != voice.namespace:
            return ()
        database.execute("DELETE FROM voices WHERE id = ?", (known[0],))
        versions.heard(database, known[1].namespace, (voice.name,), version)
    return (known[1],)


def settle(register: Register, place: str, version: int) -> None:
    """The stores have what was edited here in this version."""
    with register.editing() as database:
        versions.settled(database, place, version)


def _with_what_was_here(voice: NamedVoice, had: NamedVoice) -> NamedVoice:
    """What machines don't tell each other stays as it was."""
    voice = replace(voice, is_default=had.is_default, added=had.added)
    if had.digest == voice.digest:
        voice = replace(voice, source=had.source, audio=voice.audio or had.audio)
    return voice
