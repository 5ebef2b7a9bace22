"""What of a function is left to chance, or to a state that no look can see."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from .explorer import Visit
from .symbols import Attr, Called, Const, Symbol
from .values import PARTIAL, Live, Value, function_of

# Of PyTorch and others, besides what begins with "rand".
_NAMES = frozenset({
    "normal", "normal_", "uniform", "uniform_", "bernoulli", "bernoulli_", "multinomial", "exponential_", "poisson",
    "log_normal_", "geometric_", "cauchy_", "shuffle", "choice", "default_rng", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "gumbel_softmax", "rrelu", "dither",
})  # fmt: skip
_MODULES = frozenset({"random", "secrets", "numpy.random"})
_GENERATORS = frozenset({"random", "numpy.random.mtrand", "numpy.random._generator"})


def draws(visit: Visit, call: Called, values: tuple[Value, ...], name: str) -> bool:
    """Whether a call of a library, under this name and of one of ``values``, gives random numbers."""
    holders = visit.resolve(call.function.base) if isinstance(call.function, Attr) else ()
    things = [each.thing for each in (*values, *holders) if isinstance(each, Live)]
    return name.startswith("rand") or name in _NAMES or any(map(_is_random, things)) or _dithers(call, values)


def unseen(visit: Visit) -> Iterator[str]:
    """What a function reads that is another thing each time, or in each task, as phrases."""
    for symbol in visit.read:
        for value in visit.resolve(_root(symbol)):
            if isinstance(value, Live) and isinstance(value.thing, ContextVar):
                yield "reads a context variable"
            elif (
                isinstance(value, Live) and isinstance(value.thing, Iterator) and not isinstance(value.thing, io.IOBase)
            ):
                yield "takes the next of an iterator"


def _root(symbol: Symbol) -> Symbol:
    while isinstance(symbol, Attr):
        symbol = symbol.base
    return symbol


def _is_random(thing: Any) -> bool:
    """Whether this is a generator of random numbers, a module of such functions, or a method of one."""
    if isinstance(thing, ModuleType):
        return thing.__name__ in _MODULES
    return any(
        type(each).__module__ in _GENERATORS or getattr(each, "__module__", None) in _MODULES
        for each in (thing, getattr(thing, "__self__", None))
    )


def _dithers(call: Called, values: tuple[Value, ...]) -> bool:
    """Whether it is asked for noise, as Kaldi's functions are by an argument that is not zero."""
    named = dict(zip(call.names, call.given[len(call.given) - len(call.names) :], strict=True))
    noise = named.get("dither", Const(0))
    functions = map(function_of, values)
    return not (isinstance(noise, Const) and not noise.value) or any(
        each.keywords.get("dither") for each in functions if isinstance(each, PARTIAL)
    )
