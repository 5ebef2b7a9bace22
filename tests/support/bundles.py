"""Small voices with keys and makers as identity has them, and bundles of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from chatterbox_cached.voice import bundle, entry_format
from chatterbox_cached.voice.bundle import VoiceEntry
from chatterbox_cached.voice.key_format import digest_of, voice_prefix
from chatterbox_cached.voice.signing import NO_KEYS, Keyring
from tests.support.small_voices import ORIGIN, of_class, snapshot, snapshot_of_vc


def made_by(**changes: Any) -> str:
    """What made an entry, as identity has it."""
    everything = {
        "code": "cd" * 32, "python": "3.11",
        "libraries": {"torch": "2.6.0", "soxr": None}, "constants": ["96000"], "numerics": ["torch.float32", ""],
        "device": "cpu", "arguments": [], "weights": "ab" * 16,
    }  # fmt: skip
    return json.dumps({**everything, **changes}, sort_keys=True)


def origin(**changes: Any) -> str:
    """Where it was made, as identity has it."""
    return json.dumps({**json.loads(ORIGIN), **changes}, sort_keys=True)


def key_of(seed: int, maker: str = "") -> str:
    return voice_prefix(hashlib.sha256(bytes([seed])).hexdigest()) + digest_of(maker or made_by())


def entry_of(seed: int, keys: Keyring = NO_KEYS, **changes: Any) -> tuple[str, bytes]:
    of_program = {name: changes.pop(name) for name in ("class", "chatterbox") if name in changes}
    key, kept = key_of(seed, made_by(**changes)), snapshot(seed=seed, origin=origin(**of_program))
    return key, entry_format.encode(key, kept, keys, made_by(**changes))


def voice_of_vc(seed: int) -> VoiceEntry:
    key, kept = key_of(seed), snapshot_of_vc(seed=seed, origin=of_class("chatterbox.vc.ChatterboxVC"))
    header, payload = entry_format.opened(key, entry_format.encode(key, kept, made_by=made_by()))
    return VoiceEntry(header, bytes(payload))


def voice_of(seed: int, **changes: Any) -> VoiceEntry:
    key, entry = entry_of(seed, **changes)
    header, payload = entry_format.opened(key, entry)
    return VoiceEntry(header, bytes(payload))


def written(path: Path, *voices: VoiceEntry) -> bytes:
    """A bundle of these voices, as bytes."""
    by_key = {voice.header.key: voice for voice in voices}
    bundle.write(path, list(by_key), by_key.__getitem__)
    return path.read_bytes()
