"""A program on a machine of its own that wants voices, with a store between it and others; for scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.concurrency.breaker import LONGEST_PAUSE_SECONDS
from tests.support.scenery import until

KEY = "a key of the team, of 16 bytes and more"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """A program on a machine of its own, the clock of whose pauses is turned by hand."""

    def __init__(self, folder: Path, url: str | list[str], **settings: Any) -> None:
        from chatterbox.tts import ChatterboxTTS

        self.cache = ConditionalCache(folder, shared=url, **{"signing_key": KEY, **settings})
        self.model, self.clock = ChatterboxTTS(), Clock()
        self.store = self.cache.serving.store.shared.tiers[0]
        self.store._clock = self.store._reading._clock = self.store._writing._clock = self.clock

    def wants(self, path: Path) -> None:
        from chatterbox.tts import voice_of

        self.cache.clear_memory()
        found = self.cache.get_or_prepare(self.model, path)
        assert torch.equal(found.gen["embedding"], voice_of(path.read_bytes()))

    def stats(self) -> dict[str, Any]:
        return self.cache.get_cache_stats()

    def finds_it_back(self) -> bool:
        """Whether the store works again, after pauses that pass by the clock. What has begun before may still fail."""
        self.clock.now += LONGEST_PAUSE_SECONDS
        self.store.look_at_forgotten()
        return not self.store._reading._pause

    def puts(self) -> None:
        """Wait until what waits is put."""
        until(lambda: not self.stats()["shared"][self.store.name]["waiting"])
