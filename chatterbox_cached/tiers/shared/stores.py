"""The store at an address."""

from __future__ import annotations

from ...addresses import VALKEY, Address, parsed
from .objects import S3Tier
from .protocol import SharedTier
from .valkey import ValkeyTier


def store_at(address: str, namespace: str, connect_seconds: float, operation_seconds: float) -> SharedTier:
    """The store at an address that was found right before; nothing is connected to, nor imported for it."""
    return _made(parsed(address), namespace, connect_seconds, operation_seconds)


def names_at(address: str, namespace: str, connect_seconds: float, operation_seconds: float) -> SharedTier:
    """The place for the named voices of that namespace, apart from its entries, and never evicted for want of room."""
    where = parsed(address)
    apart = f"{namespace}{':' if where.kind == VALKEY else '/'}named"
    return _made(where, apart, connect_seconds, operation_seconds, expires=False)


def _made(
    where: Address, namespace: str, connect_seconds: float, operation_seconds: float, *, expires: bool = True
) -> SharedTier:
    if where.kind == VALKEY:
        return ValkeyTier(where, namespace, connect_seconds, operation_seconds, expires=expires)
    return S3Tier(where, namespace, connect_seconds, operation_seconds)
