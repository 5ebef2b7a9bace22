"""Preparations asked for in Python, of a model and audio, and not by a program's own call of its model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..concurrency.turns import turn
from ..errors import Unidentifiable
from ..upstream import guard, slots
from ..upstream.calls import Preparation, Prepared, asked_for, unproxied
from ..upstream.context import is_doing
from ..upstream.families import FAMILIES, Family, family_of, overrides

if TYPE_CHECKING:
    from .voices import Serving


class ByHand:
    """Of one cache. Audio may be a voice's name; all of it raises UnknownVoiceError for one that there is not."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def call(self, model: Any, family: Family, audio: object, exaggeration: Any) -> Preparation:
        """The call that prepares this audio on ``model``, with the exaggeration where its class takes one."""
        naming = self._serving.naming
        return naming.call(naming.resolved(audio), lambda path: asked_for(model, family, path, exaggeration))

    def serve(self, model: Any, audio: object, exaggeration: Any, *, refresh: bool) -> Prepared:
        """``Serving.serve`` for a model, or a proxy around one, of any class that has upstream's method to prepare."""
        model = unproxied(model)
        family = family_of(model)
        if family is None or overrides(model, family.prepare, family):
            return self._by_encoders(model, family, audio, exaggeration)
        return self._serving.serve(self.call(model, family, audio, exaggeration), refresh)

    def has(self, model: Any, audio: object) -> bool:
        """Whether what ``model`` would make of this audio is kept; not counted as a hit."""
        family = family_of(model)
        known = None if family is None else self._serving.known(self.call(model, family, audio, 0.5))
        return known is not None and bool(known[2])

    def prepare(self, model: Any, audio: object) -> None:
        """Have it prepared, and give the model back what it had. Raises whatever upstream raises for this audio."""
        model = unproxied(model)
        family = family_of(model)
        with turn(model).taken():
            before = None if family is None else slots.held(model, family)
            try:
                self.serve(model, audio, 0.5, refresh=False)
            finally:
                if family is not None:
                    slots.hold(model, family, before)

    def _by_encoders(self, model: Any, family: Family | None, audio: object, exaggeration: Any) -> Prepared:
        doubt = Unidentifiable("class is not cached" if family is None else "prepare method is overridden")
        as_family = family or FAMILIES[0]
        prepare, keywords = getattr(model, as_family.prepare), as_family.with_exaggeration(exaggeration)
        audio = self._serving.naming.resolved(audio)
        prepared = self._serving.by_encoders(audio, doubt, partial(prepare, audio, **keywords))
        prepared.conditionals = slots.held(model, as_family)
        guard.remember(prepared.conditionals, exaggeration, on_purpose=not is_doing("generate", model))
        return prepared
