"""enable, disable, enabled(): which cache is in use.

A class that is not imported yet is patched when it is: until then enable() loads neither wrapt nor anything else that
only a call needs. A hook on imports stays for good, so it looks at what is in use when it runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ..cache import ConditionalCache
from ..concurrency.forks import ForkSafeLock
from ..errors import SettingsError
from ..notices import tell
from ..settings import Settings, switched_off, with_user_folder
from ..upstream.families import FAMILIES
from . import copies, import_hook, same_modules
from .in_use import in_use, is_in_use

_lock = ForkSafeLock()
_READER = "librosa.core.audio"  # see readers
# The caches that everything in this process shares, one for each combination of settings and kill switch.
_caches: dict[tuple[Settings, bool], ConditionalCache] = {}


def enable(
    cache_dir: str | os.PathLike[str] | None = None, *, cache: ConditionalCache | None = None, **settings: Any
) -> ConditionalCache:
    """Let every Chatterbox model in this process keep the voices that it prepares; returns the cache in use.

    ``cache_dir``: the folder to keep voices in; None for the user's cache folder. ``settings``: those of
    ``chatterbox_cached.Settings``, such as ``memory_entries``, ``memory_bytes``, ``size_limit`` or
    ``on_mismatch="warn"``. A keyword wins over the environment (``CHATTERBOX_CACHED_DIR`` and so on), the environment
    over the default. ``cache``: use this one, with the settings that it has. A second call replaces the cache in use.
    Raises SettingsError for a setting that is unknown or impossible.
    """
    if cache is not None and (settings or cache_dir is not None):
        raise SettingsError("cache= brings its own settings; pass either that or settings.")
    chosen = cache or shared_cache(with_user_folder({"cache_dir": cache_dir, **settings}))
    _use(chosen)
    return chosen


def disable() -> None:
    """Make upstream exactly what it was. What is cached stays."""
    _use(None)


def is_enabled() -> bool:
    """Whether ``enable`` is in force."""
    return is_in_use()


def get_cache() -> ConditionalCache | None:
    """The cache in use; None when not enabled."""
    return in_use.cache


def stats() -> dict[str, Any]:
    """Statistics of the cache in use or, after ``disable``, of the last one; empty if there never was one."""
    cache = in_use.cache or in_use.last
    return cache.get_cache_stats() if cache is not None else {}


def shared_cache(settings: Settings) -> ConditionalCache:
    """The one cache of this process with these settings."""
    which = settings, switched_off()
    with _lock:
        if which not in _caches:
            _caches[which] = ConditionalCache.from_settings(settings)
        return _caches[which]


@contextlib.contextmanager
def enabled(cache_dir: str | os.PathLike[str] | None = None, **settings: Any) -> Iterator[ConditionalCache]:
    """``enable`` for the length of a block; then whatever was there before is there again."""
    before = in_use.cache
    cache = enable(cache_dir, **settings)
    try:
        yield cache
    finally:
        _use(before)


def _use(cache: ConditionalCache | None) -> None:
    with _lock:
        in_use.cache, in_use.last = cache, cache or in_use.last
    # Without the lock: another thread may be importing Chatterbox, and this one may have to wait for that.
    if is_enabled():
        same_modules.keep()
        for family in FAMILIES:
            import_hook.after_import(family.module, _patch)
            if (module := sys.modules.get(family.module)) is not None:
                _patch(module)
        copies.begin(_patch_copies)
        import_hook.after_import(_READER, _patch_reader)
        if (module := sys.modules.get(_READER)) is not None:
            _patch_reader(module)
        return
    copies.end()
    if (readers := same_modules.there(f"{__package__}.readers")) is not None:
        readers.unwrap()
    if (wrappers := same_modules.there(f"{__package__}.wrappers")) is not None:  # else nothing was ever patched
        wrappers.unwrap_all()


def _patch(module: ModuleType) -> None:
    if not is_enabled():
        return
    try:
        from .wrappers import wrap

        wrap(module)
    except Exception as error:  # it would break the program's import
        _say_not_patched(module.__name__, error)


def _patch_reader(module: ModuleType) -> None:
    try:
        if is_enabled():
            from .readers import wrap

            wrap(module)
    except Exception as error:  # it would break the program's import
        _say_not_patched(module.__name__, error)


def _patch_copies() -> None:
    try:
        if is_enabled():
            from .wrappers import wrap_copies

            wrap_copies()
    except Exception as error:  # it would break the program's loading of a model
        _say_not_patched("A copy of Chatterbox", error)


def _say_not_patched(what: str, error: Exception) -> None:
    tell(f"{what} could not be patched ({error!r}), so its voices are not cached. Please report this.")
