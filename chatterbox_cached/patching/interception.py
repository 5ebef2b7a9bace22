"""What one prepare or generate call goes through, whether it came in by a patched class or by a proxy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..cache import ConditionalCache
from ..concurrency.turns import out_of_turn, turn
from ..errors import Unidentifiable
from ..identity.code.forwarding import taken_by
from ..upstream import guard, slots
from ..upstream.calls import Preparation, preparation
from ..upstream.context import doing, goes_round, is_doing
from ..upstream.families import Family
from ..upstream.signatures import signature_of

Upstream = Callable[..., Any]


def prepare(
    cache: ConditionalCache, model: Any, family: Family, function: Upstream, upstream: Upstream, args: Any, kwargs: Any
) -> Any:
    """Serve ``upstream(*args, **kwargs)``, the prepare method ``function`` bound to ``model``, from ``cache``."""
    signature = signature_of(function)
    if not signature.bindable:
        signature = signature_of(taken_by(function))
    call = preparation(model, family, function, upstream, args, kwargs, signature)
    if call is not None:
        return cache.serving.serve(call).returned
    call = Preparation(model, family, function, None, None, {}, partial(upstream, *args, **kwargs))
    return cache.serving.round_the_cache(call, Unidentifiable("arguments don't fit the method")).returned


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
