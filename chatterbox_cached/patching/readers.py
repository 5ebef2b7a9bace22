"""Recordings that a program loads in its own code: there, too, a voice's name stands for the recording.

Chatterbox and the programs that prepare as it does load them by ``librosa.load``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

import wrapt

from ..identity.audio import NamedAudio, path_of
from ..named.asked import name_in
from ..notices import without_us
from .in_use import in_use

_NAME, _ARGUMENT = "load", "path"
# Where the function is, and the packages that may have taken it from there for their own.
_MODULES = ("librosa.core.audio", "librosa.core", "librosa")


class _Reader(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """Our wrapper on a function that reads a recording."""

    is_chatterbox_cached = True  # see upstream.calls


def wrap(module: ModuleType) -> None:
    """Put our wrapper on the reader in this module, where it is not there yet."""
    if not isinstance(function := vars(module)[_NAME], _Reader):
        _put(function, _reader_of(function))


@lru_cache(maxsize=1)
def _reader_of(function: Any) -> _Reader:
    # The same each time, since what was read of the code is believed while it has the very same.
    return _Reader(function, _read)


def unwrap() -> None:
    """Take it off again."""
    module = sys.modules.get(_MODULES[0])
    if module is not None and isinstance(reader := vars(module).get(_NAME), _Reader):
        _put(reader, reader.__wrapped__)


def _put(there: Any, instead: Any) -> None:
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None and vars(module).get(_NAME) is there:
            setattr(module, _NAME, instead)


def _read(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    audio, cache = args[0] if args else kwargs.get(_ARGUMENT), in_use.cache
    if cache is None or not (path := path_of(audio)):
        return wrapped(*args, **kwargs)
    try:
        if name_in(path) is not None and isinstance(named := cache.serving.naming.resolved(audio), NamedAudio):
            recording = cache.serving.naming.recording_of(named)
            args, kwargs = ((recording, *args[1:]), kwargs) if args else (args, {**kwargs, _ARGUMENT: recording})
        return wrapped(*args, **kwargs)
    except BaseException as error:
        raise error.with_traceback(without_us(error.__traceback__))  # noqa: B904 - it is the same error
