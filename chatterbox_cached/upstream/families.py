"""The Chatterbox classes that are cached: their methods, and which arguments decide the conditionals.

One row per class. Classes are known by module and name, so that nothing of Chatterbox is imported here and
the forks, which install under the same import name, are found too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple


class Family(NamedTuple):
    """One Chatterbox class and how it makes and uses conditionals.

    ``audio`` and ``prompt`` name the reference audio in ``prepare`` and in ``generate``. Every other argument of
    ``prepare`` except ``exaggeration`` is part of the key. ``constants`` are read from the model, dots allowed.
    ``hears_exaggeration``: whether what is spoken depends on it. Turbo takes it, and makes no use of it.
    """

    name: str
    module: str
    class_name: str
    prepare: str = "prepare_conditionals"
    generate: str = "generate"
    audio: str = "wav_fpath"
    prompt: str = "audio_prompt_path"
    exaggeration: str = "exaggeration"
    hears_exaggeration: bool = True
    # Where a model keeps its conditionals.
    slot: str = "conds"
    constants: tuple[str, ...] = ("ENC_COND_LEN", "DEC_COND_LEN", "t3.hp.speech_cond_prompt_len")
    # The parts of a model whose weights make conditionals. T3 is not among them: of it, a preparation reads only
    # speech_cond_prompt_len.
    encoders: tuple[str, ...] = ("ve", "s3gen.tokenizer", "s3gen.speaker_encoder")
    # The part whose dtype the mel features of the reference are cast to.
    caster: str = "s3gen.flow"


FAMILIES: tuple[Family, ...] = (
    Family("english", "chatterbox.tts", "ChatterboxTTS"),
    Family("multilingual", "chatterbox.mtl_tts", "ChatterboxMultilingualTTS"),
    # From 0.1.6 on. Nano is the same class.
    Family("turbo", "chatterbox.tts_turbo", "ChatterboxTurboTTS", hears_exaggeration=False),
)


def named(name: str) -> Family:
    """The family called ``name``."""
    return next(family for family in FAMILIES if family.name == name)


def name_of(class_name: str) -> str:
    """Such as ``english`` for a full class name, as entries have it; for any other class that name."""
    for family in FAMILIES:
        if class_name == f"{family.module}.{family.class_name}":
            return family.name
    return class_name


def family_of(model: object) -> Family | None:
    """The family that a model's class or one of its bases belongs to; None for a class that is not cached."""
    kind: Any = type(model)
    return _family_of_class(kind)


@lru_cache(maxsize=256)
def _family_of_class(kind: type) -> Family | None:
    return next((family for family in FAMILIES if _base(kind, family) is not None), None)


def class_of(model: object, family: Family) -> type:
    """The family's own class, which a model's class is or comes from."""
    found = _base(type(model), family)
    assert found is not None
    return found


def _base(kind: type, family: Family) -> type | None:
    own = family.module, family.class_name
    return next((base for base in kind.__mro__ if (base.__module__, base.__qualname__) == own), None)


@lru_cache(maxsize=256)
def types_of(kind: type, family: Family) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``Conditionals`` and ``T3Cond`` as the family's module has them that ``kind`` comes from.

    Each module has its own ``Conditionals``, and each time that it is imported anew another.
    """
    import inspect  # in functions only, since it takes milliseconds and enable() is to be quick

    base: Any = _base(kind, family)
    names = inspect.unwrap(base.__init__).__globals__
    return names["Conditionals"], names["T3Cond"]


def generates(kind: type, method: str, family: Family) -> bool:
    """Whether this is a method to generate with: ``generate``, or one of a fork's, such as ``generate_stream``."""
    import inspect

    found = inspect.getattr_static(kind, method, None)
    if method == family.generate:
        return found is not None
    return method.startswith(f"{family.generate}_") and inspect.isfunction(found)


def overrides(model: object, method: str, family: Family) -> bool:
    """Whether a subclass, or the instance itself, has a ``method`` of its own in place of the family's."""
    if method in vars(model):
        return True
    owner = next(base for base in type(model).__mro__ if method in vars(base))
    return (owner.__module__, owner.__qualname__) != (family.module, family.class_name)
