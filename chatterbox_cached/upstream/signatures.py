"""Binds the arguments of upstream's methods by name: their order differs between classes, versions and forks."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any


class Signature:
    """Binds the arguments of one upstream method by name, whatever their order in this version or fork.

    ``inspect.Signature.bind`` takes longer than a whole memory hit may, so the plain case is bound by hand.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]  # without self
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.bindable = all(parameter.kind in plain for parameter in parameters)
        self.returns_nothing = _returns_nothing(function)
        self._positional = tuple(p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._names = frozenset(parameter.name for parameter in parameters)
        self._required = frozenset(p.name for p in parameters if p.default is inspect.Parameter.empty)
        self.defaults: dict[str, Any] = {
            p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty
        }

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """The arguments that were passed, by name; None where the call does not fit the method."""
        if not self.bindable or len(args) > len(self._positional):
            return None
        bound = dict(zip(self._positional, args, strict=False))
        if kwargs:
            if not (self._names.issuperset(kwargs) and kwargs.keys().isdisjoint(bound)):
                return None
            bound.update(kwargs)
        return bound if self._required <= bound.keys() else None


def _returns_nothing(function: Callable[..., Any]) -> bool:
    """Whether a method gives None, whatever it is called with; wrappers are taken to pass on what they wrap."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return True  # it is called through C; upstream's methods are not
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return False
    before: dis.Instruction | None = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return False
        if instruction.opname == "RETURN_VALUE" and not (
            before is not None and before.opname == "LOAD_CONST" and before.argval is None
        ):
            return False
        before = instruction
    return True


@lru_cache(maxsize=256)
def signature_of(function: Callable[..., Any]) -> Signature:
    """The (remembered) signature of an upstream method, given as the plain function with ``self``."""
    return Signature(function)
