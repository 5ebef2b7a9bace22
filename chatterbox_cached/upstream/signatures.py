"""Binds the arguments of upstream's methods by name: their order differs between classes, versions and forks."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

# From Python 3.14 on, an annotation is evaluated as it is asked for, and may name what is not there.
_UNEVALUATED: dict[str, Any] = (
    {"annotation_format": import_module("annotationlib").Format.STRING} if sys.version_info >= (3, 14) else {}
)


class Signature:
    """Binds the arguments of one upstream method by name, whatever their order in this version or fork.

    ``inspect.Signature.bind`` takes longer than a whole memory hit may, so the plain case is bound by hand.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        told = arguments_of(function)
        parameters = [] if told is None else list(told.parameters.values())[1:]  # without self
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.bindable = told is not None and all(parameter.kind in plain for parameter in parameters)
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


def arguments_of(function: Any) -> inspect.Signature | None:
    """As ``inspect.signature``; None where it can't be told, as of much that a program may put in a method's place."""
    try:
        return inspect.signature(function, **_UNEVALUATED)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=256)
def signature_of(function: Callable[..., Any]) -> Signature:
    """The (remembered) signature of an upstream method, given as the plain function with ``self``."""
    return Signature(function)
