"""What ``warm`` makes of one voice, with a real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.errors import CacheWarning
from chatterbox_cached.library.warming import FAILED, PREPARED, THERE_ALREADY, Outcome, warm
from tests.support.chains import first


def test_a_voice_that_is_there_is_no_hit_and_a_damaged_one_is_made_anew(
    english: Any, voice: Path, tmp_path: Path
) -> None:
    assert warm(ConditionalCache(tmp_path / "voices"), english, voice) == Outcome(voice, PREPARED)
    cache = ConditionalCache(tmp_path / "voices")
    assert warm(cache, english, voice) == Outcome(voice, THERE_ALREADY)
    assert warm(cache, english, voice) == Outcome(voice, THERE_ALREADY)  # from memory, by now
    stats = cache.get_cache_stats()
    assert (stats["memory_hits"], stats["disk_hits"], stats["saved_seconds"], stats["misses"]) == (0, 0, 0, 0)

    (key,) = cache.serving.store.lower.keys()
    _, entry = first(cache.serving.store.lower, key) or ("", b"")
    cache.serving.store.lower.put(key, entry[:-1] + bytes([entry[-1] ^ 1]))
    cache = ConditionalCache(tmp_path / "voices")
    with pytest.warns(CacheWarning):
        assert warm(cache, english, voice) == Outcome(voice, PREPARED)
    assert warm(ConditionalCache(tmp_path / "voices"), english, voice) == Outcome(voice, THERE_ALREADY)


def test_what_is_no_audio_is_said_to_be_none(english: Any, tmp_path: Path) -> None:
    cache, empty, missing = ConditionalCache(tmp_path / "voices"), tmp_path / "empty.wav", tmp_path / "missing.wav"
    empty.touch()
    assert warm(cache, english, empty) == Outcome(empty, FAILED, "can't be read as audio (EOFError)")
    assert warm(cache, english, missing).why.startswith("FileNotFoundError: ")
