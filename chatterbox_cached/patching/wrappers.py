"""The patch: a wrapt wrapper on each method that prepares, generates or encodes, of each class that has one."""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from ..accounting import metrics
from ..accounting.stats import ENCODERS, VOICES
from ..concurrency.forks import ForkSafeLock
from ..log import logger
from ..notices import without_us
from ..upstream.calls import unproxied
from ..upstream.encodings import Encoding, is_encoding
from ..upstream.families import FAMILIES, Family, generates
from . import classes, interception
from .in_use import in_use, is_in_use

# The wrappers that are on a class now, by class and method. A module that is imported anew has other classes.
_wrappers: dict[tuple[type, str], MethodWrapper] = {}
# All that were made of classes that are there, since what was read of a class is believed while it has the very same.
_made: dict[tuple[type, str], MethodWrapper] = {}
_lock = ForkSafeLock()  # nothing is imported under it


def wrap(module: ModuleType) -> None:
    """Put our wrappers on the classes of a family in this module of upstream's, where it does not have them yet."""
    for family in FAMILIES:
        if family.module == module.__name__:
            if getattr(module.__spec__, "_initializing", False) and not hasattr(module, family.class_name):
                module = importlib.import_module(module.__name__)  # another thread is importing it: wait for that
            owner = getattr(module, family.class_name, None)
            if isinstance(owner, type):
                _wrap(owner, family)


def wrap_copies() -> None:
    """The same for the classes of all copies of Chatterbox in this process, whatever their modules are called, and for
    all encoders.
    """
    found = classes.find()
    for kind, family in found.families:
        _wrap(kind, family)
    for kind, encoding in found.encoders:
        if _wrap_methods(kind, encoding, [(encoding.method, interception.encode)]):
            _say(kind, [encoding.method], None if _has_families(kind) else ENCODERS)
    there = {kind for kind, _ in (*found.families, *found.encoders)}
    with _lock:
        for owner, name in [each for each in _made if each[0] not in there and each not in _wrappers]:
            del _made[owner, name]


def _has_families(encoder: type) -> bool:
    """Whether classes of the package that an encoder is of are patched, whose voices are kept as a whole."""
    root = encoder.__module__.partition(".models.")[0]
    return any(owner.__module__.startswith(f"{root}.") for owner, name in _wrappers if not is_encoding(name))


def _wrap(owner: type, family: Family) -> None:
    if missing := _wrap_methods(owner, family, _methods(owner, family)):
        _say(owner, missing, VOICES)


def _say(owner: type, methods: list[str], counted_as: str | None) -> None:
    named = f"{owner.__module__}.{owner.__qualname__}"
    logger().info("%s is patched: %s.", named, ", ".join(methods))
    if counted_as is not None and (cache := in_use.cache) is not None:
        cache.serving.stats.found_class(named, counted_as)
        metrics.serve_where_wanted()


def _wrap_methods(owner: type, family: Family | Encoding, methods: list[tuple[str, Callable[..., Any]]]) -> list[str]:
    """Wraps those methods that are not; gives their names."""
    with _lock:
        missing = [each for each in methods if is_in_use() and not _is_wrapped(owner, each[0])]
        for name, through in missing:
            _wrappers[owner, name] = wrapt.wrap_object(owner, name, _wrapper(owner, name, family, through))
    return [name for name, _ in missing]


def _wrapper(owner: type, name: str, family: Family | Encoding, through: Callable[..., Any]) -> Any:
    """Makes the wrapper of what it is given; it is the same as before, where it was around the same function."""

    def make(function: Any) -> MethodWrapper:
        known = _made.get((owner, name))
        if known is None or known.__wrapped__ is not function:
            known = _made[owner, name] = MethodWrapper(function, _wrapped_call(family, vars(owner)[name], through))
        return known

    return make


def _methods(owner: type, family: Family) -> list[tuple[str, Callable[..., Any]]]:
    """The methods to wrap, with what is to serve them: the one that prepares, and all that generate."""
    found = [(family.prepare, interception.prepare)] if family.prepare in vars(owner) else []
    return [*found, *((name, interception.generate) for name in vars(owner) if generates(owner, name, family))]


def _is_wrapped(owner: type, name: str) -> bool:
    known = _wrappers.get((owner, name))
    return known is not None and wrapt.is_wrapped_by(vars(owner)[name], known)


def unwrap_all() -> None:
    """Take our wrappers off again."""
    with _lock:
        for (owner, name), wrapper in list(_wrappers.items()):
            if not is_in_use():
                _unwrap(owner, name, wrapper)


def _unwrap(owner: type, name: str, wrapper: MethodWrapper) -> None:
    # Where a plain function was put over ours it can't be taken out. It stays there, lets everything through, and
    # is used again by the next enable().
    with contextlib.suppress(wrapt.WrapperNotOutermostError):
        wrapt.unwrap_object(owner, name, wrapper, missing_ok=True)
        del _wrappers[owner, name]


def _wrapped_call(
    family: Family | Encoding, function: Callable[..., Any], through: Callable[..., Any]
) -> Callable[..., Any]:
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        cache = in_use.cache
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

    is_chatterbox_cached = True  # see upstream.calls

    __bound_function_wrapper__ = _BoundMethodWrapper
