"""The protocol that every tier speaks.

Memory keeps snapshots, so that a hit decodes nothing; every tier below it keeps bytes and knows nothing of voices. The
one contract suite that all of them pass is ``tests/contract``.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

Value = TypeVar("Value")


class Tier(Protocol[Value]):
    """A bounded store of values under text keys; safe from any thread.

    Any method may raise when the tier is out of order. ``get`` gives None for a key that is not there, and for one
    whose value is not whole.
    """

    name: str

    def open(self) -> None:
        """Get ready, so that what processes share through this tier is there; every other call does so when it must."""
        ...

    def get(self, key: str) -> Value | None:
        """The value under ``key``, if there is one."""
        ...

    def put(self, key: str, value: Value) -> None:
        """Keep ``value`` under ``key`` in place of what was there; older entries make room for it."""
        ...

    def delete(self, key: str) -> bool:
        """Drop one entry; says whether there was one."""
        ...

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of the voice whose keys begin with ``prefix``; says how many."""
        ...

    def clear(self) -> int:
        """Drop everything; says how many entries."""
        ...

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with ``prefix``, those stored (in memory: used) longest ago first."""
        ...

    def __len__(self) -> int: ...

    def nbytes(self) -> int:
        """Bytes in use."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next call opens them again."""
        ...
