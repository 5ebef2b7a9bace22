"""Things as text: equal things have equal texts, in every process and on every machine with this version of Python."""

from __future__ import annotations

import enum
import functools
import hashlib
import itertools
import logging
import re
import sys
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from types import CodeType
from typing import Any

from ...concurrency.forks import ForkSafeLock
from .instructions import constants_used
from .tensors import bytes_of, is_tensor
from .values import PLAIN

_OF_TORCH = ("torch.dtype", "torch.device", "torch.Size", "torch.layout", "torch.memory_format")
_CONTAINERS = (list, tuple, deque, dict, OrderedDict, defaultdict, set, frozenset)
_PLAIN = frozenset(PLAIN)
_DEEPEST, _MOST = 8, 10_000


class Undigestible(Exception):
    """A thing has no text that says all that matters of it."""


def digest(*texts: str | bytes) -> str:
    """SHA-256 in hex."""
    sha = hashlib.sha256()
    for text in texts:
        raw = text.encode() if isinstance(text, str) else text
        sha.update(b"%d:" % len(raw) + raw)
    return sha.hexdigest()


@functools.lru_cache(maxsize=4096)
def code_digest(code: CodeType) -> str:
    """A digest of what ``code`` does: neither its file, lines and docstring nor the names of its variables count."""
    used = constants_used(code)
    constants = [
        "" if number == 0 and isinstance(constant, str) and 0 not in used else constant_text(constant)
        for number, constant in enumerate(code.co_consts)
    ]
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    many = code.co_argcount + code.co_kwonlyargcount
    shape = (*arguments, code.co_flags, code.co_varnames[:many], len(code.co_varnames), code.co_names)
    closed = len(code.co_cellvars), len(code.co_freevars)
    table = getattr(code, "co_exceptiontable", b"")
    return digest(code.co_code, table, repr((*shape, *closed)), *constants)


def constant_text(constant: Any) -> str:
    """A constant of a function, which may be a function within it."""
    if isinstance(constant, CodeType):
        return code_digest(constant)
    if isinstance(constant, tuple):
        return f"({','.join(map(constant_text, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(constant_text, constant)))}}}"
    return f"{type(constant).__name__} {constant!r}"


# Named tuples have the one, and what Python gives of itself, such as sys.version_info, the other.
_OF_TUPLES = ("_fields", "n_sequence_fields")


class Texts:
    """``special`` gives the text of what is known here by another name, and None for all else; ``otherwise`` that of
    what has none here, or None. ``looked_into`` is told of each container whose content counts.
    """

    def __init__(
        self,
        special: Callable[[Any], str | None],
        otherwise: Callable[[Any], str | None],
        looked_into: Callable[[Any], None],
    ) -> None:
        self._special, self._otherwise, self._looked_into = special, otherwise, looked_into

    def of(self, thing: Any, depth: int = 0) -> str:
        """The text of a thing. Raises Undigestible for one that has none."""
        kind = type(thing)
        if kind in _PLAIN:
            return f"{kind.__name__} {thing!r}"
        if (known := self._special(thing)) is not None:
            return known
        if kind in _CONTAINERS or (isinstance(thing, tuple) and any(hasattr(kind, name) for name in _OF_TUPLES)):
            if depth == _DEEPEST:
                raise Undigestible
            return self._container(thing, depth + 1)
        return self._of_library(thing, f"{kind.__module__}.{kind.__qualname__}")

    def _container(self, thing: Any, depth: int) -> str:
        if len(thing) > _MOST:
            raise Undigestible
        if not isinstance(thing, (tuple, frozenset)):
            self._looked_into(thing)
        if isinstance(thing, dict):
            parts = [f"{self.of(key, depth)}:{self.of(value, depth)}" for key, value in thing.items()]
        else:
            parts = [self.of(each, depth) for each in thing]
        return f"{type(thing).__name__}[{','.join(sorted(parts) if isinstance(thing, (set, frozenset)) else parts)}]"

    def _of_library(self, thing: Any, kind: str) -> str:
        if type(thing).__module__ == "typing":
            return f"typing {thing!r}"
        if isinstance(thing, logging.Logger):
            return "logger"  # decides no bits
        if isinstance(thing, enum.Enum):
            return f"{kind} {thing.name} {self.of(thing.value, _DEEPEST)}"
        if isinstance(thing, (PurePath, re.Pattern)) or kind in _OF_TORCH:
            return f"{kind} {thing!r}"
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and isinstance(thing, numpy.ufunc):
            return f"ufunc {thing.__name__}"
        if numpy is not None and isinstance(thing, (numpy.ndarray, numpy.generic)) and thing.dtype.hasobject is False:
            if type(thing) is numpy.ndarray:
                self._looked_into(thing)
            return f"array {thing.dtype} {thing.shape} {digest(thing.tobytes())}"
        if is_tensor(thing) and type(thing).__module__.startswith("torch") and not thing.is_meta:
            self._looked_into(thing)
            return f"tensor {thing.dtype} {tuple(thing.shape)} {digest(bytes(bytes_of(thing)))}"
        if (text := self._otherwise(thing)) is None:
            raise Undigestible
        return text


_numbers: dict[int, tuple[int, Any]] = {}
_given = itertools.count(1)
_lock = ForkSafeLock()


def number_of(thing: Any) -> int:
    """A number that no other object has or will have in this process, given to this very one."""
    identity = id(thing)
    with _lock:
        known = _numbers.get(identity)
        if known is None:
            # What can't be referred to weakly is kept alive, so that no other has its identity.
            weakly = type(thing).__weakrefoffset__ != 0
            kept = weakref.ref(thing, lambda _: _numbers.pop(identity, None)) if weakly else thing
            known = _numbers[identity] = next(_given), kept
        return known[0]


def sorted_items(things: Mapping[str, Any], names: Iterable[str]) -> list[tuple[str, Any]]:
    """Those of ``things`` that have one of these names, in the names' order."""
    return [(name, things[name]) for name in sorted(names) if name in things]
