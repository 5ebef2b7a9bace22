"""Which class a model is of."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from chatterbox_cached.upstream.families import FAMILIES, Family, family_of, named, overrides, types_of

FAMILY = FAMILIES[0]


def upstream_class(module: str = FAMILY.module, name: str = FAMILY.class_name) -> type:
    """A class that says it is upstream's."""

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None: ...

    def generate(self: Any, text: str, audio_prompt_path: Any = None, exaggeration: float = 0.5) -> None: ...

    body = {"__module__": module, "prepare_conditionals": prepare_conditionals, "generate": generate}
    return type(name, (), body)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_model_is_of_its_family(family: Family) -> None:
    assert family_of(upstream_class(family.module, family.class_name)()) is family
    assert named(family.name) is family


def test_a_subclass_is_of_its_bases_family() -> None:
    class Mine(upstream_class()):  # type: ignore[misc]
        pass

    class MineToo(Mine):
        pass

    assert family_of(MineToo()) is FAMILY


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
        return type(FAMILY.class_name, (), {"__module__": FAMILY.module, "__init__": made}), module

    (first, module), (again, other) = imported(), imported()
    assert types_of(first, FAMILY) == (module.Conditionals, module.T3Cond)
    assert types_of(again, FAMILY) == (other.Conditionals, other.T3Cond)
    assert types_of(type("Mine", (first,), {}), FAMILY) == (module.Conditionals, module.T3Cond)
