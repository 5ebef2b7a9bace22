"""The store at an address."""

from __future__ import annotations

from ...addresses import VALKEY, parsed
from .objects import S3Tier
from .protocol import SharedTier
from .valkey import ValkeyTier


def store_at(address: str, namespace: str, connect_seconds: float, operation_seconds: float) -> SharedTier:
    """The store at an address that was found right before; nothing is connected to, nor imported for it."""
    where = parsed(address)
    kind = ValkeyTier if where.kind == VALKEY else S3Tier
    return kind(where, namespace, connect_seconds, operation_seconds)
