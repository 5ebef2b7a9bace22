"""The text of a key: ``v<schema>/<SHA-256 of the audio>/<digest of everything else>``.

The audio comes first, so that one prefix finds all that was ever made of one voice. This is the only module that puts a
key together or takes one apart.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

SCHEMA = 3
_KEY = re.compile(r"v(\d{1,9})/([0-9a-f]{64})/([0-9a-f]{64})")
_SCHEMA = re.compile(r"v(\d{1,9})/")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class KeyParts(NamedTuple):
    """What a key says: ``audio`` is the SHA-256 of the reference audio, ``maker`` the digest of all that made it."""

    schema: int
    audio: str
    maker: str


def voice_prefix(audio: str) -> str:
    """What the keys of everything made of one voice begin with; ``audio`` as in KeyParts."""
    return f"v{SCHEMA}/{audio}/"


def key_of(audio: str, maker: str) -> str:
    """The key of what ``maker`` made of ``audio``, both as in KeyParts."""
    return f"v{SCHEMA}/{audio}/{maker}"


def parsed(key: str) -> KeyParts | None:
    """The parts of a key of any schema; None for what is no key."""
    match = _KEY.fullmatch(key)
    return None if match is None else KeyParts(int(match[1]), match[2], match[3])


def is_of_another_schema(key: str) -> bool:
    """Whether another version of this library has stored what is under ``key``."""
    match = _SCHEMA.match(key)
    return match is not None and match[1] != str(SCHEMA)


def prefix_of(key: str) -> str:
    """The beginning that ``key`` shares with all keys of the same voice, whatever their schema; itself for no key."""
    return key[: key.rfind("/") + 1]


def digest_of(made_by: str) -> str:
    """The ``maker`` of all keys of what was ``made_by`` this (see identity.Key)."""
    return hashlib.sha256(made_by.encode()).hexdigest()


def is_sha256(text: str) -> bool:
    """Whether this is a SHA-256 as it stands in a key."""
    return _SHA256.fullmatch(text) is not None
