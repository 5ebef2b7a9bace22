"""enable, disable, enabled(), disabled(): the only room that patches classes.

The patch is one wrapt wrapper on each of two methods of each class in the families table. A class that is not imported
yet is patched when it is. wrapt can't unregister such a hook, so the hook looks at what is in use when it runs.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import wrapt

from ..cache import ConditionalCache
from ..concurrency.forks import ForkSafeLock
from ..errors import SettingsError
from ..notices import tell, without_us
from ..settings import Settings, switched_off, with_user_folder
from ..upstream.calls import unproxied
from ..upstream.families import FAMILIES, Family
from . import interception

_lock = ForkSafeLock()
# The caches that everything in this process shares, one for each combination of settings and kill switch.
_caches: dict[tuple[Settings, bool], ConditionalCache] = {}
_in_use: ConditionalCache | None = None
_last_used: ConditionalCache | None = None
_hooked = False
# The wrappers that are on a class now, by class module and method.
_wrappers: dict[tuple[str, str], tuple[type, MethodWrapper]] = {}


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
    return _in_use is not None and not _in_use.off


def get_cache() -> ConditionalCache | None:
    """The cache in use; None when not enabled."""
    return _in_use


def stats() -> dict[str, Any]:
    """Statistics of the cache in use or, after ``disable``, of the last one; empty if there never was one."""
    cache = _in_use or _last_used
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
    before = _in_use
    cache = enable(cache_dir, **settings)
    try:
        yield cache
    finally:
        _use(before)


def _use(cache: ConditionalCache | None) -> None:
    global _in_use, _last_used
    with _lock:
        _in_use, _last_used = cache, cache or _last_used
        if not is_enabled():
            _unwrap_all()
        else:
            _hook_imports()
            for family in FAMILIES:
                _wrap(family)


def _hook_imports() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        for family in FAMILIES:
            wrapt.register_post_import_hook(_on_import, family.module)


def _on_import(module: ModuleType) -> None:
    try:
        with _lock:
            if is_enabled():
                _wrap(next(family for family in FAMILIES if family.module == module.__name__))
    except Exception as error:  # it would break the user's import
        tell(f"{module.__name__} could not be patched ({error!r}), so its voices are not cached. Please report this.")


def _wrap(family: Family) -> None:
    """Put our wrappers on the family's class, if it is imported and does not have them."""
    module = sys.modules.get(family.module)
    if module is not None and getattr(module.__spec__, "_initializing", False):
        # Another thread is importing it: the hook has been called too early, so wait for the import.
        module = importlib.import_module(family.module)
    owner = getattr(module, family.class_name, None)
    if not isinstance(owner, type):
        return
    for name, through in ((family.prepare, interception.prepare), (family.generate, interception.generate)):
        if name in vars(owner) and not _is_wrapped(owner, name, family):
            call = _wrapped_call(family, vars(owner)[name], through)
            wrapper = wrapt.wrap_object(owner, name, MethodWrapper, (call,))
            _wrappers[family.module, name] = owner, wrapper


def _is_wrapped(owner: type, name: str, family: Family) -> bool:
    known = _wrappers.get((family.module, name))
    return known is not None and known[0] is owner and wrapt.is_wrapped_by(vars(owner)[name], known[1])


def _unwrap_all() -> None:
    for key, (owner, wrapper) in list(_wrappers.items()):
        # Where a plain function was put over ours it can't be taken out. It stays there, lets everything through, and
        # is used again by the next enable().
        with contextlib.suppress(wrapt.WrapperNotOutermostError):
            wrapt.unwrap_object(owner, key[1], wrapper, missing_ok=True)
            del _wrappers[key]


def _wrapped_call(family: Family, function: Callable[..., Any], through: Callable[..., Any]) -> Callable[..., Any]:
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        cache = _in_use
        if cache is None or instance is None or unproxied(instance) is not instance:
            # Switched off, or called through the class, or by a proxy, which sees to itself.
            return wrapped(*args, **kwargs)
        try:
            return through(cache, instance, family, function, wrapped, args, kwargs)
        except BaseException as error:
            raise error.with_traceback(without_us(error.__traceback__))  # noqa: B904 - it is the same error

    return call


class _BoundMethodWrapper(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A method of one model or of its class; pickled and copied as upstream's is, by where it belongs and its name."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (self._self_owner(), self.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return getattr(copy.deepcopy(self._self_owner(), memo), self.__name__)

    def _self_owner(self) -> Any:
        # A plain function in its class has no __self__, but says which class it is in.
        return getattr(self, "__self__", None) or getattr(
            sys.modules[self.__module__], self.__qualname__.partition(".")[0]
        )


class MethodWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """Our wrapper on a method of a class."""

    __bound_function_wrapper__ = _BoundMethodWrapper
