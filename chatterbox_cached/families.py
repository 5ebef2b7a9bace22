"""The Chatterbox classes that are cached: their methods, and which arguments decide the conditionals.

One row per class. Classes are known by module and name, so that nothing of Chatterbox is imported here and
the forks, which install under the same import name, are found too.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Family:
    """One Chatterbox class and how it makes and uses conditionals.

    ``audio`` and ``prompt`` name the reference audio in ``prepare`` and in ``generate``. Every other argument of
    ``prepare`` except ``exaggeration`` is part of the key. ``constants`` are read from the model, dots allowed.
    """

    name: str
    module: str
    class_name: str
    prepare: str = "prepare_conditionals"
    generate: str = "generate"
    audio: str = "wav_fpath"
    prompt: str = "audio_prompt_path"
    exaggeration: str = "exaggeration"
    constants: tuple[str, ...] = ("ENC_COND_LEN", "DEC_COND_LEN", "t3.hp.speech_cond_prompt_len")
    # The parts of a model whose weights make conditionals. T3 is not among them: of it, a preparation reads only
    # speech_cond_prompt_len.
    encoders: tuple[str, ...] = ("ve", "s3gen.tokenizer", "s3gen.speaker_encoder")
    # The part whose dtype the mel features of the reference are cast to.
    caster: str = "s3gen.flow"

    def types(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The family's own ``Conditionals`` and ``T3Cond`` (each module has its own ``Conditionals``)."""
        module = sys.modules[self.module]
        return module.Conditionals, module.T3Cond


FAMILIES: tuple[Family, ...] = (
    Family("english", "chatterbox.tts", "ChatterboxTTS"),
    Family("multilingual", "chatterbox.mtl_tts", "ChatterboxMultilingualTTS"),
)


def named(name: str) -> Family:
    """The family called ``name``."""
    return next(family for family in FAMILIES if family.name == name)


def family_of(model: object) -> Family | None:
    """The family that a model's class or one of its bases belongs to; None for a class that is not cached."""
    kind: Any = type(model)
    return _family_of_class(kind)


@lru_cache(maxsize=256)
def _family_of_class(kind: type) -> Family | None:
    for base in kind.__mro__:
        for family in FAMILIES:
            if (base.__module__, base.__qualname__) == (family.module, family.class_name):
                return family
    return None


def overrides(model: object, method: str, family: Family) -> bool:
    """Whether a subclass, or the instance itself, has a ``method`` of its own in place of the family's."""
    if method in vars(model):
        return True
    owner = next(base for base in type(model).__mro__ if method in vars(base))
    return (owner.__module__, owner.__qualname__) != (family.module, family.class_name)


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
