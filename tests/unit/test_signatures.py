"""Which argument is which."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.upstream.signatures import Signature, signature_of


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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 annotations are evaluated at once")
def test_an_annotation_may_name_what_is_not_there() -> None:
    source, inside = "def forward(self, wavs, accelerator: Missing = None): ...", dict[str, Any]()
    exec(compile(source, "a fork", "exec", dont_inherit=True), inside)
    assert Signature(inside["forward"]).bind(("a wave",), {}) == {"wavs": "a wave"}


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
