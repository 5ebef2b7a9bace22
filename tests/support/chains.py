"""A chain of tiers that may fail, and what it gives."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chatterbox_cached.concurrency.breaker import Clock
from chatterbox_cached.tiers.base import Tier
from chatterbox_cached.tiers.chain import TierChain
from chatterbox_cached.tiers.guarded import Failed, GuardedTier


def chain_of(tiers: Sequence[Tier[bytes]], failed: Failed, clock: Clock = time.monotonic) -> TierChain:
    return TierChain([GuardedTier(tier, failed, clock) for tier in tiers])


def first(chain: TierChain, key: str) -> tuple[str, bytes] | None:
    """The name of the nearest tier that has an entry, and the entry; those above keep it, as after any hit."""
    for tier, value in chain.found(key):
        chain.keep_nearer(tier, key, value)
        return tier.name, value
    return None
