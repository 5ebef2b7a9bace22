"""Which class a model is of."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from chatterbox_cached.upstream.families import FAMILIES, Family, family_of, name_of, named, overrides, types_of

FAMILY = FAMILIES[0]


def upstream_class(
    module: str = FAMILY.module, name: str = FAMILY.class_name, prepare: str = "prepare_conditionals"
) -> type:
    """A class that says it is upstream's."""

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None: ...

    def generate(self: Any, text: str, audio_prompt_path: Any = None, exaggeration: float = 0.5) -> None: ...

    body = {"__module__": module, prepare: prepare_conditionals, "generate": generate}
    return type(name, (), body)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_model_is_of_its_family(family: Family) -> None:
    assert family_of(upstream_class(family.module, family.class_name, family.prepare)()) is family
    assert named(family.name) is family


def test_a_subclass_is_of_its_bases_family() -> None:
    class Mine(upstream_class()):  # type: ignore[misc]
        pass

    class MineToo(Mine):
        pass

    assert family_of(MineToo()) is FAMILY


def _copy(module: str, family: Family, **names: Any) -> type:
    """A class as a copy of Chatterbox has it, in a module with these names."""
    made = FunctionType(OnceImported.__init__.__code__, names)
    body = {"__module__": module, "__init__": made, family.prepare: made, family.generate: made}
    return type(family.class_name, (), body)


@pytest.mark.parametrize("module", ["src.chatterbox.tts", "/srv/nodes/voice.local.tts", "nodes"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_copy_under_any_modules_name_is_of_its_family(family: Family, module: str) -> None:
    kind = _copy(module, family, **dict.fromkeys(family.surroundings))
    assert family_of(kind()) is family
    assert name_of(f"{module}.{family.class_name}") == family.name
    assert not overrides(kind(), family.prepare, family)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_programs_own_class_of_the_same_name_is_no_copy(family: Family) -> None:
    """Nor one that knows some of what upstream's module does, as a server may that resamples to S3GEN_SR."""
    names = {family.class_name, *sorted(family.surroundings)[1:]}
    assert family_of(_copy("server.engines", family, **dict.fromkeys(names))()) is None


@pytest.mark.parametrize(
    "model",
    [
        object(),
        None,
        SimpleNamespace(),
        upstream_class("somewhere.else")(),
        upstream_class(name="ChatterboxTurboTTS")(),  # which is in a module of its own
    ],
)
def test_another_class_is_of_no_family(model: object) -> None:
    assert family_of(model) is None


def test_upstreams_own_methods_override_nothing() -> None:
    class Mine(upstream_class()):  # type: ignore[misc]
        def speak(self) -> None: ...

    assert not overrides(upstream_class()(), "prepare_conditionals", FAMILY)
    assert not overrides(Mine(), "prepare_conditionals", FAMILY)


def test_a_subclass_with_its_own_method_overrides() -> None:
    class Mine(upstream_class()):  # type: ignore[misc]
        def prepare_conditionals(self, wav_fpath: Any, exaggeration: float = 0.5) -> None: ...

    class MineToo(Mine):
        pass

    assert overrides(Mine(), "prepare_conditionals", FAMILY)
    assert overrides(MineToo(), "prepare_conditionals", FAMILY)
    assert not overrides(MineToo(), "generate", FAMILY)


def test_a_mixin_in_front_overrides() -> None:
    class Mixin:
        def prepare_conditionals(self, wav_fpath: Any) -> None: ...

    class Mine(Mixin, upstream_class()):  # type: ignore[misc]
        pass

    assert overrides(Mine(), "prepare_conditionals", FAMILY)


def test_an_instance_with_its_own_method_overrides() -> None:
    model = upstream_class()()
    model.prepare_conditionals = lambda wav_fpath: None
    assert overrides(model, "prepare_conditionals", FAMILY)
    assert not overrides(model, "generate", FAMILY)


class OnceImported:
    """A class with a constructor of the module that it was made in, as each import of Chatterbox makes another."""

    def __init__(self) -> None: ...


def test_types_are_those_of_the_import_that_made_the_class() -> None:
    def imported() -> tuple[type, SimpleNamespace]:
        module = SimpleNamespace(Conditionals=object(), T3Cond=object())
        made = FunctionType(OnceImported.__init__.__code__, vars(module))
        body = {"__module__": FAMILY.module, "__init__": made, FAMILY.prepare: made}
        return type(FAMILY.class_name, (), body), module

    (first, module), (again, other) = imported(), imported()
    assert types_of(first, FAMILY) == (module.Conditionals, module.T3Cond)
    assert types_of(again, FAMILY) == (other.Conditionals, other.T3Cond)
    assert types_of(type("Mine", (first,), {}), FAMILY) == (module.Conditionals, module.T3Cond)
