"""The caches that everybody in this process shares, one for each combination of settings."""

from __future__ import annotations

from .cache import ConditionalCache
from .concurrency.forks import ForkSafeLock
from .settings import Settings, switched_off

_caches: dict[tuple[Settings, bool], ConditionalCache] = {}
_lock = ForkSafeLock()


def shared_cache(settings: Settings) -> ConditionalCache:
    """The one cache of this process with these settings."""
    which = settings, switched_off()
    with _lock:
        if which not in _caches:
            _caches[which] = ConditionalCache.from_settings(settings)
        return _caches[which]
