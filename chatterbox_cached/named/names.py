"""What a voice may be called: text as people type it."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection

from ..errors import VoiceNameError

PREFIX = "voice:"
LONGEST = 64
DEFAULT, BUILTIN = "default", "builtin"
# They join signs or keep them apart, as in Persian words and in emoji, and can't be seen.
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_SHOWN = 3


def checked(name: object) -> str:
    """The name as it is kept: composed (NFC), with single blanks. Raises VoiceNameError for what is no name."""
    if not isinstance(name, str):
        raise VoiceNameError(f"A voice's name is a text, and this is {type(name).__name__}.")
    kept = " ".join(unicodedata.normalize("NFC", name).split())
    if (flaw := _flaw(kept)) is not None:
        raise VoiceNameError(f"{_shown(name)} can't be a voice's name: {flaw}.")
    return kept


def folded(name: str) -> str:
    """What names are compared by: two that differ in case, or in how their signs are encoded, are one."""
    alike = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(sign for sign in alike if sign not in _JOINERS).split())


def nearest(wanted: str, known: Collection[str]) -> str:
    """The known names that may have been meant, for the end of a message."""
    by_folded = {folded(name): name for name in known}
    close = difflib.get_close_matches(folded(wanted), by_folded, n=_SHOWN, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(by_folded[name]) for name in close)}?"
    return "`chatterbox-cached voices ls` shows the names." if known else "No voice has been given a name yet."


def _flaw(name: str) -> str | None:
    if not folded(name):
        return "it is empty"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, and may have {LONGEST}"
    if any(sign in name for sign in "/\\"):
        return "it must have no / and no \\"
    if not all(sign.isprintable() or sign in _JOINERS for sign in name):
        return "it has signs that can't be shown"
    if name in (".", ".."):
        return "it means a folder"
    if folded(name).startswith(PREFIX):
        return f"{PREFIX!r} is what stands before a name, where a path would stand"
    if folded(name) in (DEFAULT, BUILTIN):
        return f"'voice:{folded(name)}' has a meaning of its own"
    return None


def _shown(name: str) -> str:
    return repr(name if len(name) <= LONGEST else name[:LONGEST] + "...")
