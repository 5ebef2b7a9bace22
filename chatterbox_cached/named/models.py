"""Which models a named voice is good for without its recording: those that what was kept of it was made for."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from ..errors import EntryError
from ..identity.origin import model_of
from ..upstream.families import FAMILIES
from ..voice import entry_format
from ..voice.key_format import voice_prefix
from .library import Library
from .record import CONDITIONALS, NamedVoice

_SHOWN_OF_WEIGHTS = 8


def models_of(library: Library, voice: NamedVoice) -> tuple[str, ...]:
    """Each in a phrase, such as "english (chatterbox-tts 0.1.7, weights 3f9a2c11, cpu)", the last prepared last."""
    if voice.kind == CONDITIONALS:
        return tuple(family.name for family in FAMILIES if family.speaks_texts)
    if not library.places.prepared.exists():
        return ()
    entries, keys, said = library.entries, library.settings.keyring, list[str]()
    for key in entries.keys(voice_prefix(voice.digest)):
        with contextlib.suppress(EntryError, ValueError, TypeError):
            header = entry_format.header_of(key, entries.entry(key), keys)
            made_by, origin = json.loads(header.made_by or "{}"), json.loads(header.origin or "{}")
            if "part" not in origin:
                said.append(_phrase(made_by, origin))
    return tuple(dict.fromkeys(said))


def _phrase(made_by: dict[str, Any], origin: dict[str, Any]) -> str:
    version, weights = origin.get("chatterbox"), str(made_by.get("weights", ""))[:_SHOWN_OF_WEIGHTS]
    details = (version, weights and f"weights {weights}", made_by.get("device"))
    shown = ", ".join(str(detail) for detail in details if detail)
    return f"{model_of(origin)} ({shown})" if shown else model_of(origin)
