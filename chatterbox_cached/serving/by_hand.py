"""Preparations asked for in Python, of a model and audio, and not by a program's own call of its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..concurrency.turns import turn
from ..errors import Unidentifiable
from ..identity.code.forwarding import signature_and_taker
from ..upstream import guard, slots
from ..upstream.calls import Preparation, Prepared, asked_for, unproxied
from ..upstream.context import doing, is_doing
from ..upstream.families import FAMILIES, Family, family_of, overrides
from ..upstream.signatures import arguments_of

if TYPE_CHECKING:
    from .voices import Serving


class ByHand:
    """Of one cache. Audio may be a voice's name; all of it raises UnknownVoiceError for one that there is not."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def call(self, model: Any, family: Family, audio: object, exaggeration: Any) -> Preparation:
        """The call that prepares this audio on ``model``, with the exaggeration where its class takes one.

        Raises Unidentifiable where a fork's method has other arguments.
        """
        naming = self._serving.naming
        make = partial(asked_for, signature_of_any=lambda function: signature_and_taker(function)[0])
        return naming.call(naming.resolved(audio), lambda path: make(model, family, path, exaggeration))

    def serve(self, model: Any, audio: object, exaggeration: Any, *, refresh: bool) -> Prepared:
        """``Serving.serve`` for a model, or a proxy around one, of any class that has upstream's method to prepare."""
        model = unproxied(model)
        family = family_of(model)
        if family is None or overrides(model, family.prepare, family):
            doubt = Unidentifiable("class is not cached" if family is None else "prepare method is overridden")
            return self._by_encoders(model, family or FAMILIES[0], audio, exaggeration, doubt)
        try:
            call = self.call(model, family, audio, exaggeration)
        except Unidentifiable as error:
            doubt = error
        else:
            return self._serving.serve(call, refresh)
        with doing("prepare", model):  # its own wrapper would say the same again
            return self._by_encoders(model, family, audio, exaggeration, doubt)

    def has(self, model: Any, audio: object) -> bool:
        """Whether what ``model`` would make of this audio is kept; not counted as a hit."""
        family = family_of(model)
        try:
            known = None if family is None else self._serving.known(self.call(model, family, audio, 0.5))
        except Unidentifiable:
            return False
        return known is not None and bool(known[2])

    def prepare(self, model: Any, audio: object) -> None:
        """Have it prepared, and give the model back what it had. Raises whatever upstream raises for this audio."""
        model = unproxied(model)
        family = family_of(model)
        with turn(model).lock:
            before = None if family is None else slots.held(model, family)
            try:
                self.serve(model, audio, 0.5, refresh=False)
            finally:
                if family is not None:
                    slots.hold(model, family, before)

    def _by_encoders(
        self, model: Any, family: Family, audio: object, exaggeration: Any, doubt: Unidentifiable
    ) -> Prepared:
        prepare, named = getattr(model, family.prepare), family.with_exaggeration(exaggeration)
        audio = self._serving.naming.resolved(audio)
        prepared = self._serving.by_encoders(audio, doubt, _call(prepare, audio, named))
        prepared.conditionals = slots.held(model, family)
        guard.remember(prepared.conditionals, exaggeration, on_purpose=not is_doing("generate", model))
        return prepared


def _call(prepare: Callable[..., Any], audio: object, others: dict[str, Any]) -> Callable[[], Any]:
    """``prepare`` of this audio, with the others by name or, where it has other names for them, in their order. Without
    them, where it takes none.
    """
    told = arguments_of(prepare)
    by_name = partial(prepare, audio, **others)
    for call in (by_name, partial(prepare, audio, *others.values()), partial(prepare, audio)):
        with contextlib.suppress(TypeError):
            if told is not None:
                told.bind(*call.args, **call.keywords)
                return call
    return by_name
