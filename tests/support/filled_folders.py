"""Cache folders with entries that no model had to make, and what a folder holds."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.voice.key_format import digest_of, voice_prefix
from tests.support.small_voices import of_class, snapshot

ENGLISH, MULTILINGUAL = "chatterbox.tts.ChatterboxTTS", "chatterbox.mtl_tts.ChatterboxMultilingualTTS"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def made_by(model: str) -> str:
    """As in identity.Key: each class has code of its own."""
    everything = {
        "code": digest(model.encode()), "python": "3.11", "libraries": {"torch": "2.6.0", "soxr": None},
        "numerics": ["torch.float32", "highest", ""], "device": "cpu", "weights": "c0ffee" * 5,
    }  # fmt: skip
    return json.dumps(everything, sort_keys=True)


def name(root: Path, voice: bytes, path: str, duration: float = 6.0, hits: int = 2, saved: float = 3.0) -> None:
    """Let this voice be known by a path, as if a program had used it now."""
    now = time.time()
    known = VoiceAccount(digest(voice), Path(path).name, path, duration, now, hits, saved)
    account.add(root, Batch(now, {}, [known]), lambda error: None)


def fill(root: Path, *voices: bytes, models: tuple[str, ...] = (ENGLISH,)) -> list[str]:
    """Keep an entry of each voice, given by the content of its audio, for each model; says their keys."""

    def failed(place: str, error: Exception) -> None:
        raise error

    store = VoiceStore(resolve({"cache_dir": root}), failed)
    keys = []
    for voice in voices:
        for model in models:
            keys.append(voice_prefix(digest(voice)) + digest_of(made_by(model)))
            store.keep(keys[-1], "cpu", snapshot(origin=of_class(model)), durable=True, made_by=made_by(model))
    store.lower.close()
    return keys


def entries(root: Path) -> dict[str, bytes]:
    """All entries of a folder, by key."""
    tier = DiskTier(root, 10**9)
    found = {key: tier.get(key) or b"" for key in tier.keys()}  # noqa: SIM118
    tier.close()
    return found
