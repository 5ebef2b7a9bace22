"""What one prepare or generate call goes through, whether it came in by a patched class or by a proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..cache import ConditionalCache
from ..concurrency.turns import out_of_turn, turn
from ..upstream import guard, slots
from ..upstream.calls import preparation
from ..upstream.context import doing, goes_round, is_doing
from ..upstream.families import Family
from ..upstream.signatures import signature_of

Upstream = Callable[..., Any]


def prepare(
    cache: ConditionalCache, model: Any, family: Family, function: Upstream, upstream: Upstream, args: Any, kwargs: Any
) -> Any:
    """Serve ``upstream(*args, **kwargs)``, the prepare method ``function`` bound to ``model``, from ``cache``."""
    signature = signature_of(function)
    call = preparation(model, family, signature, upstream, args, kwargs)
    if call is not None and signature.returns_nothing:
        return cache.serving.serve(call).returned
    if call is not None:  # its caller counts on something that a hit could not give
        cache.serving.stats.bypass("preparation returns something")
        return upstream(*args, **kwargs)
    if signature.bindable:  # else it is another wrapper, which takes anything, and below it the call comes by again
        cache.serving.stats.bypass("arguments don't fit the method")
    return upstream(*args, **kwargs)


def generate(
    cache: ConditionalCache, model: Any, family: Family, function: Upstream, upstream: Upstream, args: Any, kwargs: Any
) -> Any:
    """Run ``upstream(*args, **kwargs)``, the generate method ``function`` of ``model``, in its turn and guarded.

    Raises ExaggerationMismatchError before anything is generated, where the cache's settings ask for that.
    """
    if cache.off or is_doing("generate", model):
        return upstream(*args, **kwargs)
    with turn(model) if cache.settings.take_turns else out_of_turn(model), doing("generate", model):
        if goes_round():  # but in its turn all the same, since it would speak into what other threads say on this model
            return upstream(*args, **kwargs)
        return upstream(*args, **_guarded(cache, model, family, function, args, kwargs))


def _guarded(cache: ConditionalCache, model: Any, family: Family, function: Upstream, args: Any, kwargs: Any) -> Any:
    """The keyword arguments to generate with."""
    signature = signature_of(function)
    passed = signature.bind(args, kwargs)
    if passed is None or passed.get(family.prompt) or family.exaggeration not in signature.defaults:
        return kwargs  # upstream says what is wrong, or prepares with the exaggeration that it speaks with
    conditionals, default = slots.held(model, family), signature.defaults[family.exaggeration]
    use = guard.exaggeration_to_use(
        cache.settings.on_mismatch, conditionals, passed, default, cache.serving.stats.mismatch
    )
    return kwargs if use is None else {**kwargs, family.exaggeration: use}
