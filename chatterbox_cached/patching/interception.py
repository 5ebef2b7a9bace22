"""What one prepare or generate call goes through, whether it came in by a patched class or by a proxy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from ..cache import ConditionalCache
from ..errors import Unidentifiable
from ..identity.code.forwarding import handed_on, signature_and_taker, taken_by
from ..notices import caller
from ..upstream import guard
from ..upstream.calls import UNFITTING, Preparation, preparation
from ..upstream.context import goes_round, is_doing
from ..upstream.encodings import Encoding, is_traced
from ..upstream.families import Family
from ..upstream.signatures import Signature, arguments_of
from ..upstream.spoken import conditionals_of
from .streams import Stream, begins_later, streamed

Upstream = Callable[..., Any]


def prepare(
    cache: ConditionalCache, model: Any, family: Family, function: Upstream, upstream: Upstream, args: Any, kwargs: Any
) -> Any:
    """Serve ``upstream(*args, **kwargs)``, the prepare method ``function`` bound to ``model``, from ``cache``."""
    signature = signature_and_taker(function)[0]
    call = preparation(model, family, function, upstream, args, kwargs, signature)
    if call is not None:
        return cache.serving.serve(_by_name(cache, call, signature, upstream, args, kwargs)).returned
    if is_doing("prepare", model):  # the call comes by again below another wrapper
        return upstream(*args, **kwargs)
    call = Preparation(model, family, function, None, None, {}, partial(upstream, *args, **kwargs))
    return cache.serving.round_the_cache(call, Unidentifiable(UNFITTING)).returned


def _by_name(
    cache: ConditionalCache, call: Preparation, signature: Signature, upstream: Upstream, args: Any, kwargs: Any
) -> Preparation:
    """The call as it is meant: where its audio is a voice's name, upstream is given the recording's path."""
    naming, audio = cache.serving.naming, call.audio
    meant = naming.resolved(audio)
    if meant is audio:
        return call

    def with_path(path: object) -> Preparation:
        put = [path if value is audio else value for value in args]
        named = {name: path if value is audio else value for name, value in kwargs.items()}
        made = preparation(call.model, call.family, call.function, upstream, tuple(put), named, signature)
        assert made is not None, "as the call was, with another value in it"
        return made

    return naming.call(meant, with_path)


def encode(
    cache: ConditionalCache,
    model: Any,
    encoding: Encoding,
    function: Upstream,
    upstream: Upstream,
    args: Any,
    kwargs: Any,
) -> Any:
    """Serve ``upstream(*args, **kwargs)``, the encoder's method ``function`` bound to ``model``, from ``cache``."""
    if is_traced():  # first of all, for what comes after is no work for a compiler
        return upstream(*args, **kwargs)
    signature = _arguments_of(function)
    return cache.serving.encodings.serve(model, encoding, function, signature, upstream, args, kwargs)


def generate(
    cache: ConditionalCache, model: Any, family: Family, function: Upstream, upstream: Upstream, args: Any, kwargs: Any
) -> Any:
    """Run ``upstream(*args, **kwargs)``, a generate method ``function`` of ``model``, in its turn and guarded.

    Where it is a generator it has its turn from its first step on, and is guarded now.
    Raises ExaggerationMismatchError before anything is generated, where the cache's settings ask for that.
    """
    if cache.off or is_doing("generate", model):
        return upstream(*args, **kwargs)
    stream = Stream(model, family, in_turn=cache.settings.take_turns)
    if begins_later(function):
        return streamed(upstream(*args, **_guarded(cache, model, family, function, args, kwargs)), stream)
    with stream.call(caller) as given:
        given.append(upstream(*args, **_guarded(cache, model, family, function, args, kwargs)))
    return streamed(given[0], stream)


def _guarded(cache: ConditionalCache, model: Any, family: Family, function: Upstream, args: Any, kwargs: Any) -> Any:
    """The keyword arguments to generate with."""
    # Round the cache it goes in its turn all the same: it would speak into what other threads say on this model.
    if goes_round() or not family.hears_exaggeration:
        return kwargs
    signature, inner = signature_and_taker(function)
    passed = signature.bind(args, kwargs)
    if passed is None or family.exaggeration not in signature.defaults:
        return kwargs  # upstream says what is wrong
    prompts = {family.prompt, *handed_on(inner, family.prepare, family.audio)}
    conditionals, default = conditionals_of(model, family, passed, prompts), signature.defaults[family.exaggeration]
    use = guard.exaggeration_to_use(
        cache.settings.on_mismatch, conditionals, passed, default, cache.serving.stats.mismatch
    )
    return kwargs if use is None else {**kwargs, family.exaggeration: use}


@lru_cache(maxsize=64)
def _arguments_of(function: Upstream) -> inspect.Signature | None:
    return arguments_of(taken_by(function))
