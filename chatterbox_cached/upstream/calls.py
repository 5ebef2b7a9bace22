"""A call that wants a voice prepared, taken apart: whose, of what audio, with which arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from .families import Family
from .signatures import Signature, signature_of


class Preparation(NamedTuple):
    """One call of a family's prepare method.

    ``key_arguments``: all but the audio and the exaggeration. ``upstream`` makes that very call as if there were no
    cache.
    """

    model: Any
    family: Family
    audio: object
    exaggeration: object
    key_arguments: Mapping[str, object]
    upstream: Callable[[], Any]


def preparation(
    model: Any,
    family: Family,
    signature: Signature,
    upstream: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Preparation | None:
    """The call ``upstream(*args, **kwargs)`` taken apart; None where it does not fit the method's signature."""
    bound = signature.bind(args, kwargs)
    if bound is None or family.audio not in bound:
        return None
    arguments = signature.defaults | bound
    audio, exaggeration = arguments.pop(family.audio), arguments.pop(family.exaggeration, None)
    return Preparation(model, family, audio, exaggeration, arguments, partial(upstream, *args, **kwargs))


@dataclass(slots=True)
class Prepared:
    """How a preparation was served: from ``memory``, ``disk``, by ``upstream``, or ``round the cache``.

    ``returned`` is what upstream's method returned, ``conditionals`` what the model had at the end of its turn.
    """

    source: str
    returned: Any = None
    conditionals: Any = None


def asked_for(model: Any, family: Family, audio: object, exaggeration: object) -> Preparation:
    """The call that prepares this audio on ``model``."""
    arguments = {family.audio: audio, family.exaggeration: exaggeration}
    signature = signature_of(getattr(type(model), family.prepare))
    call = preparation(model, family, signature, getattr(model, family.prepare), (), arguments)
    assert call is not None  # these two are the arguments that every family has
    return call


def unproxied(model: Any) -> Any:
    """The model itself, where a proxy around it was given."""
    if (wrapt := sys.modules.get("wrapt")) is not None:  # else there are no proxies
        while issubclass(type(model), wrapt.BaseObjectProxy):
            model = model.__wrapped__
    return model
