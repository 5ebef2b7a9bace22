"""Who prepares a voice while others wait for it."""

from __future__ import annotations

from ..concurrency.singleflight import SingleFlight
from ..settings import Settings
from ..tiers.disk.folder import entries_of, is_usable
from ..tiers.disk.rights import rights_in
from ..tiers.store import VoiceStore


def flights_of(settings: Settings, store: VoiceStore) -> SingleFlight:
    """Single flight among all threads and processes that use the cache folder of these settings, and among all machines
    that use their shared store.
    """
    root, trusted, among_machines = settings.cache_dir, settings.trust_cache_dir, store.shared.lease
    if root is None:
        return SingleFlight(None, settings.wait_seconds, among_machines=among_machines)
    return SingleFlight(
        entries_of(root),
        settings.wait_seconds,
        usable=lambda _: is_usable(root, trusted=trusted),
        mode_in=lambda folder: rights_in(folder).file,
        among_machines=among_machines,
    )
