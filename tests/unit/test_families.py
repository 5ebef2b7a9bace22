"""Which class a model is of, and which argument is which."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.families import FAMILIES, Family, Signature, family_of, named, overrides, signature_of

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
        upstream_class(name="ChatterboxTurboTTS")(),
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


def generate(self, text, language_id, audio_prompt_path=None, exaggeration=0.5, *, top_p=1.0):  # type: ignore[no-untyped-def]
    """A method as in one version of upstream."""


def generate_in_another_order(self, text, exaggeration=0.0, audio_prompt_path=None):  # type: ignore[no-untyped-def]
    """The same as in a fork."""


def test_arguments_are_bound_by_name_whatever_the_order() -> None:
    assert Signature(generate).bind(("Hi", "en", "a.wav"), {"exaggeration": 0.7}) == {
        "text": "Hi",
        "language_id": "en",
        "audio_prompt_path": "a.wav",
        "exaggeration": 0.7,
    }
    bound = Signature(generate_in_another_order).bind(("Hi", 0.7, "a.wav"), {})
    assert bound == {"text": "Hi", "exaggeration": 0.7, "audio_prompt_path": "a.wav"}


def test_defaults_are_the_methods_own() -> None:
    assert Signature(generate).defaults == {"audio_prompt_path": None, "exaggeration": 0.5, "top_p": 1.0}
    assert Signature(generate_in_another_order).defaults["exaggeration"] == 0.0


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("Hi",), {}),
        (("Hi", "en"), {"text": "Hi"}),
        (("Hi", "en"), {"volume": 11}),
        (("Hi", "en", None, 0.5, 1.0), {}),
        (("Hi", "en"), {"self": 1}),
    ],
)
def test_a_call_that_does_not_fit_is_none(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert Signature(generate).bind(args, kwargs) is None


def test_a_method_that_takes_anything_is_not_guessed_at() -> None:
    def anything(self: Any, *args: Any, **kwargs: Any) -> None: ...

    def also_anything(self: Any, wav_fpath: Any, **kwargs: Any) -> None: ...

    assert Signature(anything).bind(("a.wav",), {}) is None
    assert Signature(also_anything).bind(("a.wav",), {}) is None


NAMES = ("a", "b", "c", "d", "e")


@st.composite
def methods(draw: st.DrawFn) -> Callable[..., Any]:
    """A method with some positional and some keyword-only parameters, some with defaults."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    positional = draw(st.integers(0, len(names)))
    with_default = draw(st.integers(0, positional))
    parameters = ["self"]
    parameters += [name if place < with_default else f"{name}=0" for place, name in enumerate(names[:positional])]
    if names[positional:]:
        parameters.append("*")
        parameters += [f"{name}=0" if draw(st.booleans()) else name for name in names[positional:]]
    scope: dict[str, Any] = {}
    exec(f"def method({', '.join(parameters)}): ...", scope)
    return scope["method"]


@given(methods(), st.lists(st.integers(), max_size=6), st.dictionaries(st.sampled_from((*NAMES, "x")), st.integers()))
def test_binding_agrees_with_inspect(method: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    try:
        expected = dict(inspect.signature(method).bind(None, *args, **kwargs).arguments)
        del expected["self"]
    except TypeError:
        expected = None
    assert Signature(method).bind(tuple(args), kwargs) == expected


def test_a_signature_is_worked_out_once_per_function() -> None:
    assert signature_of(generate) is signature_of(generate)
    assert signature_of(generate) is not signature_of(generate_in_another_order)


@pytest.fixture
def upstream_module(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = SimpleNamespace(Conditionals=object(), T3Cond=object())
    monkeypatch.setitem(sys.modules, FAMILY.module, module)
    return module


def test_types_are_those_of_the_familys_own_module(upstream_module: SimpleNamespace) -> None:
    assert FAMILY.types() == (upstream_module.Conditionals, upstream_module.T3Cond)


def returns_nothing(self: Any, audio: Any) -> None:
    if audio:
        return
    print(audio)
    return None


def returns_now_and_then(self: Any, audio: Any) -> Any:
    if audio:
        return self
    return None


def yields(self: Any, audio: Any) -> Any:
    yield


@functools.wraps(returns_nothing)
def passes_on(*args: Any) -> Any:
    return returns_nothing(*args)


@pytest.mark.parametrize(
    ("method", "nothing"),
    [
        (returns_nothing, True),
        (passes_on, True),
        (lambda self, audio: None, True),
        (returns_now_and_then, False),
        (lambda self, audio: 1, False),
        (yields, False),
    ],
)
def test_a_method_that_returns_something_is_known_by_its_code(method: Callable[..., Any], nothing: bool) -> None:
    assert Signature(method).returns_nothing is nothing
