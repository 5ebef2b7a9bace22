"""One who wants voices of a store, and what must hold of a folder in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.upstream import slots
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.children import KEYS
from tests.support.small_voices import FAMILY, live


def upstream(key: str) -> Snapshot:
    """What upstream would prepare for ``key``, small."""
    seeded = torch.Generator().manual_seed(KEYS.index(key))
    voice = live()
    voice.t3.speaker_emb = torch.randn(1, 256, generator=seeded)
    return slots.take(voice, FAMILY, voice.t3.emotion_adv, 0.1)


class User:
    """Wants voices of a store, as a cache does for its callers, and sees to it that each is the right one."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.errors: list[str] = []
        self.store = VoiceStore(
            Settings(cache_dir=root, **settings), lambda place, error: self.errors.append(f"{place}: {error!r}")
        )

    def wants(self, key: str) -> str:
        """Who gave it."""
        found = self.store.from_lower_tiers(key, "cpu")
        self.store.memory.clear()
        if found is None:
            self.store.lower.open()
            self.store.keep(key, "cpu", upstream(key), durable=True)
            self.store.memory.clear()
            return "upstream"
        expected = upstream(key)
        for name, tensor in expected.tensors().items():
            assert torch.equal(tensor, found[1].tensors()[name])
        return found[0]

    def wants_all(self) -> set[str]:
        return {self.wants(key) for key in KEYS}


def assert_all_is_well(root: Path) -> None:
    """A check mends what there is to mend, and then a newcomer finds nothing wrong."""
    newcomer = User(root)
    newcomer.store.check(fix=True)
    newcomer.wants_all()
    assert newcomer.wants_all() == {"disk"}, newcomer.errors
    assert newcomer.store.check(fix=True)._replace(empty_folders=0).sound
    newcomer.store.lower.close()
