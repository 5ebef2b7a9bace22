"""What is forgotten is neither kept nor stored, whatever happens at the same moment; on real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.servers import Valkey
from chatterbox_cached.tiers.shared.stores import store_at
from chatterbox_cached.tiers.sharing import SharingTier

ANNA, BEN = "a" * 64, "b" * 64
SECONDS = 20.0


def machine(url: str, folder: Path, **said: Any) -> SharingTier:
    store = store_at(url, folder.name, SECONDS, SECONDS)
    return SharingTier(store, said.pop("failed", lambda place, error: None), writes=True, **said)


def test_after_a_store_has_lost_all_the_next_who_is_forgotten_is_heard_of(tmp_path: Path, valkey: Valkey) -> None:
    here, there = machine(valkey.url, tmp_path), machine(valkey.url, tmp_path)
    there.forget(ANNA)
    here.look_at_forgotten()
    assert here.has_forgotten(ANNA)
    valkey.client().delete(f"chatterbox-cached:{tmp_path.name}:forgotten")  # as one that keeps nothing on disk restarts
    there.forget(BEN)
    here.look_at_forgotten()
    assert here.has_forgotten(BEN)
