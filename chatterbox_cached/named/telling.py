"""What machines tell each other of a name: a signed text, of which nothing is believed before all of it was checked.

    magic       8 bytes   b"CBXNAMED"
    scheme      u8        how it is signed, as in an entry
    signature   64 bytes  of the magic and the text
    text        JSON      place, version, and what is known of the voice; none where the name is no voice's any more

Only the signature says that it was made by a holder of a signing key, and the place inside for which name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..errors import EntryError, SignatureError, VoiceNameError
from ..voice.bundle_names import is_suffix
from ..voice.key_format import is_sha256
from ..voice.signing import SIGNATURE_SIZE, UNSIGNED, Keyring
from .names import checked, folded
from .record import CONDITIONALS, RECORDING, NamedVoice

_MAGIC = b"CBXNAMED"
_START = len(_MAGIC) + 1 + SIGNATURE_SIZE
MOST_BYTES = 2**16
LATEST = 2**62  # as a version: nanoseconds since 1970 reach it in the year 2116
_MOST_ALIASES, _MOST_SECONDS = 100, 1e7
_OF_VOICE = {"name", "aliases", "description", "consent", "digest", "kind", "seconds", "file"}


@dataclass(frozen=True)
class Kept:
    """The file that was kept with a voice: the SHA-256 of its bytes, how many there are, and how its name ends."""

    sha256: str
    size: int
    suffix: str


@dataclass(frozen=True)
class Told:
    """What is said of the name at ``place``. Of two, the one with the later ``version`` counts.

    ``voice`` is None where it is no voice's name any more; the voice has neither a source nor a path of audio.
    """

    place: str
    version: int
    voice: NamedVoice | None = None
    file: Kept | None = None


def place_of(namespace: str, name: str) -> str:
    """What stands for a name in a store."""
    return hashlib.sha256(f"{namespace}\n{folded(name)}".encode()).hexdigest()


def encode(told: Told, keys: Keyring) -> bytes:
    """What is put into a store. Raises EntryError for more than any machine takes."""
    said: dict[str, Any] = {"place": told.place, "version": told.version}
    if (voice := told.voice) is not None:
        file = told.file and {"sha256": told.file.sha256, "size": told.file.size, "suffix": told.file.suffix}
        said["voice"] = {
            "name": voice.name,
            "aliases": list(voice.aliases),
            "description": voice.description,
            "consent": voice.consent,
            "digest": voice.digest,
            "kind": voice.kind,
            "seconds": voice.seconds,
            "file": file,
        }
    text = json.dumps(said).encode()
    if _START + len(text) > MOST_BYTES:
        raise EntryError(f"there is more to say of the voice {voice and voice.name!r} than machines share of one")
    return b"".join((_MAGIC, bytes([keys.scheme]), keys.sign(_MAGIC, text), text))


def decode(place: str, namespace: str, said: bytes, keys: Keyring) -> Told:
    """What was found at ``place``. Raises EntryError where it is not what ``encode`` makes of a name with that place,
    and SignatureError where there are keys and it is signed with none of them.
    """
    if not _START < len(said) <= MOST_BYTES or not said.startswith(_MAGIC):
        raise EntryError("it is nothing that is said of a name")
    scheme, signature, text = said[len(_MAGIC)], said[len(_MAGIC) + 1 : _START], said[_START:]
    if not keys.believes(scheme, signature, _MAGIC, text):
        raise SignatureError("it is not signed" if scheme == UNSIGNED else "it is signed with another key")
    try:
        told = _told(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, VoiceNameError) as error:
        raise EntryError(f"what is said of a name is malformed: {error}") from error
    names = () if told.voice is None else told.voice.names
    if told.place != place or (names and place not in {place_of(namespace, name) for name in names}):
        raise EntryError("it is said of another name")
    return told


def _told(said: Any) -> Told:
    _want(type(said) is dict and said.keys() - {"voice"} == {"place", "version"}, "its parts")
    _want(is_sha256(_text(said["place"])), "place")
    version = said["version"]
    _want(type(version) is int and 0 < version < LATEST, "version")
    if "voice" not in said:
        return Told(said["place"], version)
    voice, file = _voice(said["voice"])
    return Told(said["place"], version, voice, file)


def _voice(said: Any) -> tuple[NamedVoice, Kept | None]:
    _want(type(said) is dict and said.keys() == _OF_VOICE, "the parts of a voice")
    aliases, seconds, kind = said["aliases"], said["seconds"], said["kind"]
    _want(type(aliases) is list and len(aliases) <= _MOST_ALIASES, "aliases")
    _want(all(checked(name) == name for name in (said["name"], *aliases)), "names")
    _want(is_sha256(_text(said["digest"])) and kind in (RECORDING, CONDITIONALS), "digest or kind")
    _want(seconds is None or (type(seconds) in (int, float) and 0 <= seconds < _MOST_SECONDS), "seconds")
    voice = NamedVoice(
        said["name"],
        said["digest"],
        kind=kind,
        aliases=tuple(aliases),
        description=_text(said["description"]),
        consent=_text(said["consent"]),
        seconds=seconds,
    )
    return voice, None if said["file"] is None else _file(said["file"], voice)


def _file(said: Any, voice: NamedVoice) -> Kept:
    _want(type(said) is dict and said.keys() == {"sha256", "size", "suffix"}, "the parts of a file")
    file = Kept(_text(said["sha256"]), said["size"], _text(said["suffix"]))
    _want(is_sha256(file.sha256) and type(file.size) is int and file.size > 0, "a file")
    _want(not file.suffix or is_suffix(file.suffix), "suffix")
    _want(voice.kind == RECORDING or file.sha256 == voice.digest, "a file of conditionals")
    return file


def _text(said: Any) -> str:
    _want(type(said) is str, "a text")
    said.encode()  # which half of a sign can't be
    return str(said)


def _want(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} can't be so")
