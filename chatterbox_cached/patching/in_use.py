"""The cache that this process's patched classes use."""

from __future__ import annotations

from ..cache import ConditionalCache


class _InUse:
    """``cache``: None when not enabled. ``last``: what was in use last, so that a script can still print its counts."""

    cache: ConditionalCache | None = None
    last: ConditionalCache | None = None


in_use = _InUse()


def is_in_use() -> bool:
    """Whether ``enable`` is in force."""
    return in_use.cache is not None and not in_use.cache.off
