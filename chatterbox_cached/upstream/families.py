"""The Chatterbox classes that are cached: their methods, and which arguments decide the conditionals.

One row per class. Classes are known by their name and by what they are made of, so that nothing of Chatterbox is
imported here, and forks and copies under any module's name are found too. What their code does is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .encodings import Encoding


class Family(NamedTuple):
    """One Chatterbox class and how it makes and uses conditionals.

    ``audio`` and ``prompt`` name the reference audio in ``prepare`` and in ``generate``. Every other argument of
    ``prepare`` except ``exaggeration`` is part of the key. ``constants`` are read from the model, dots allowed.
    ``exaggeration``: empty where it takes none. ``hears_exaggeration``: whether what is spoken depends on it; Turbo
    takes it, and makes no use of it.
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
    # Where a model keeps its conditionals, and their parts: without T3, it is the dict that S3Gen speaks from.
    slot: str = "conds"
    parts: frozenset[str] = frozenset({"t3", "gen"})
    # Of these, a module that its class is written in knows all, and one that only has a model of it inside does not.
    surroundings: frozenset[str] = frozenset({"Conditionals", "T3Cond"})
    constants: tuple[str, ...] = ("ENC_COND_LEN", "DEC_COND_LEN", "t3.hp.speech_cond_prompt_len")
    # The parts of a model whose weights make conditionals. T3 is not among them: of it, a preparation reads only
    # speech_cond_prompt_len.
    encoders: tuple[str, ...] = ("ve", "s3gen.tokenizer", "s3gen.speaker_encoder")
    # The part whose dtype the mel features of the reference are cast to.
    caster: str = "s3gen.flow"

    @property
    def speaks_texts(self) -> bool:
        """Whether its models are given texts to speak, and not speech to convert."""
        return "t3" in self.parts

    def with_exaggeration(self, exaggeration: object) -> dict[str, object]:
        """The argument of ``prepare`` that says it, by name; none where it takes none."""
        return {self.exaggeration: exaggeration} if self.exaggeration else {}

    def home(self, kind: type) -> type | None:
        """The family's own class, which ``kind`` is or comes from; None where there is none."""
        return next((base for base in kind.__mro__ if is_of(base, self)), None)


FAMILIES: tuple[Family, ...] = (
    Family("english", "chatterbox.tts", "ChatterboxTTS"),
    Family("multilingual", "chatterbox.mtl_tts", "ChatterboxMultilingualTTS"),
    # From 0.1.6 on. Nano is the same class.
    Family("turbo", "chatterbox.tts_turbo", "ChatterboxTurboTTS", hears_exaggeration=False),
    Family(
        "vc",
        "chatterbox.vc",
        "ChatterboxVC",
        prepare="set_target_voice",
        prompt="target_voice_path",
        exaggeration="",
        hears_exaggeration=False,
        slot="ref_dict",
        parts=frozenset({"gen"}),
        surroundings=frozenset({"S3Gen", "S3GEN_SR"}),
        constants=("DEC_COND_LEN",),
        encoders=("s3gen.tokenizer", "s3gen.speaker_encoder"),
    ),
)


def named(name: str) -> Family:
    """The family called ``name``."""
    return next(family for family in FAMILIES if family.name == name)


class Variant(NamedTuple):
    """A model that a family's class loads: ``arguments`` are what ``from_pretrained`` and ``from_local`` are given."""

    family: Family
    arguments: Mapping[str, bool]


def variant(name: str) -> Variant:
    """The model called ``name``: a family's usual one, or ``nano``, which came after 0.1.7 and is a smaller Turbo."""
    return Variant(named("turbo"), {"nano": True}) if name == "nano" else Variant(named(name), {})


def name_of(class_name: str) -> str:
    """Such as ``english`` for a full class name, as entries have it; for any other class that name."""
    own = class_name.rpartition(".")[2]
    return next((family.name for family in FAMILIES if family.class_name == own), class_name)


def family_of(model: object) -> Family | None:
    """The family that a model's class or one of its bases belongs to; None for a class that is not cached."""
    kind: Any = type(model)
    return _family_of_class(kind)


@lru_cache(maxsize=256)
def _family_of_class(kind: type) -> Family | None:
    return next((family for family in FAMILIES if family.home(kind) is not None), None)


def class_of(model: object, family: Family | Encoding) -> type:
    """The family's or encoding's own class, which a model's class is or comes from."""
    found = family.home(type(model))
    assert found is not None
    return found


def is_of(kind: type, family: Family) -> bool:
    """Whether a class is the family's own: upstream's, a fork's, or a copy's under any module's name.

    Not so a program's class of the same name that only has one of these inside.
    """
    if kind.__qualname__ != family.class_name or family.prepare not in vars(kind):
        return False
    return kind.__module__ == family.module or family.surroundings <= _names_of_module(kind).keys()


@lru_cache(maxsize=256)
def types_of(kind: type, family: Family) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``Conditionals`` and ``T3Cond`` as the module of a family for texts has them that ``kind`` comes from.

    Each module has its own ``Conditionals``, and each time that it is imported anew another.
    """
    base: Any = family.home(kind)
    names = _names_of_module(base)
    return names["Conditionals"], names["T3Cond"]


def _names_of_module(kind: Any) -> dict[str, Any]:
    """The namespace in which a class was written."""
    import inspect  # in functions only, since it takes milliseconds and enable() is to be quick

    return getattr(inspect.unwrap(kind.__init__), "__globals__", {})


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
    return owner is not family.home(type(model))
