"""A call that wants a voice prepared, taken apart: whose, of what audio, with which arguments."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..errors import Unidentifiable
from .families import Family
from .signatures import Signature, signature_of

UNFITTING = "arguments don't fit the method"


class Preparation(NamedTuple):
    """One call of a family's prepare method.

    ``function``: the method without anything of ours, as the plain function that takes the model first.
    ``exaggeration``: 0 where the class takes none. ``key_arguments``: all but this and the audio. ``upstream`` makes
    that very call as if there were no cache.
    """

    model: Any
    family: Family
    function: Callable[..., Any]
    audio: object
    exaggeration: object
    key_arguments: Mapping[str, object]
    upstream: Callable[[], Any]

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.model.device


def preparation(
    model: Any,
    family: Family,
    function: Callable[..., Any],
    upstream: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    signature: Signature | None = None,
) -> Preparation | None:
    """The call ``upstream(*args, **kwargs)`` taken apart by ``signature``, or else that of ``function``; None where it
    does not fit.
    """
    signature = signature or signature_of(function)
    bound = signature.bind(args, kwargs)
    if bound is None or family.audio not in bound:
        return None
    arguments = signature.defaults | bound
    audio = arguments.pop(family.audio)
    exaggeration = arguments.pop(family.exaggeration, None) if family.exaggeration else 0.0
    return Preparation(model, family, function, audio, exaggeration, arguments, partial(upstream, *args, **kwargs))


@dataclass(slots=True)
class Prepared:
    """How a preparation was served: from ``memory``, ``disk``, by ``upstream``, or ``round the cache``.

    ``returned`` is what upstream's method returned, ``conditionals`` what the model had at the end of its turn.
    """

    source: str
    returned: Any = None
    conditionals: Any = None


def asked_for(
    model: Any,
    family: Family,
    audio: object,
    exaggeration: object,
    signature_of_any: Callable[[Any], Signature] = signature_of,
) -> Preparation:
    """The call that prepares this audio on ``model``, with the exaggeration where its class takes one.

    ``signature_of_any`` tells the arguments of a method that takes any. Raises Unidentifiable where a fork's method has
    others.
    """
    arguments = family.with_exaggeration(exaggeration)
    function = without_ours(inspect.getattr_static(type(model), family.prepare))
    make = partial(preparation, model, family, function, getattr(model, family.prepare))
    call = make((), {family.audio: audio, **arguments}) or make((audio,), arguments, signature_of_any(function))
    if call is None:
        raise Unidentifiable(UNFITTING)
    return call


def without_ours(function: Any) -> Any:
    """A method as it is without our own wrapper, where that is the outermost."""
    while is_ours(function):
        function = function.__wrapped__
    return function


def is_ours(function: object) -> bool:
    """Whether this is our own wrapper on a method, which says so itself: here it can't be known."""
    return getattr(type(function), "is_chatterbox_cached", False) is True


def unproxied(model: Any) -> Any:
    """The model itself, where a proxy around it was given."""
    if (wrapt := sys.modules.get("wrapt")) is not None:  # else there are no proxies
        while issubclass(type(model), wrapt.BaseObjectProxy):
            model = model.__wrapped__
    return model
