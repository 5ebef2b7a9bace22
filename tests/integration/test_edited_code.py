"""An edit of any line that a preparation runs is another entry; an edit of what it does not run is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chatterbox_cached.identity.code.running import RunningCode
from chatterbox_cached.upstream.families import named
from tests.support import short_models
from tests.support.edits import code_that_runs, edited, edits_of, functions_of

MANY = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
# What a preparation might run on other input: with other arguments, another rate, or a model on another device.
_MAY_RUN = {
    "get_resampler", "device", "mel_basis", "preemphasis", "_amp_to_db", "_normalize", "utt_to_spk_embed", "to",
    "forward",
}  # fmt: skip


class Chatterbox:
    """A model, and Chatterbox's functions apart: those that its preparation runs, and those that it does not."""

    def __init__(self, model: Any, clip: Path) -> None:
        self.model = model
        ran = code_that_runs(lambda: model.prepare_conditionals(clip), "chatterbox")
        modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "chatterbox"]
        functions = [function for function in functions_of(modules) if edits_of(function)]
        self.run = [function for function in functions if function.__code__ in ran]
        self.not_run = [
            function for function in functions if function.__code__ not in ran and function.__name__ not in _MAY_RUN
        ]

        self.before = self.digest()

    def digest(self) -> str:
        return RunningCode(self.model, named("english"), type(self.model).prepare_conditionals).digest


@pytest.fixture(scope="module")
def chatterbox(voice: Path) -> Chatterbox:
    return Chatterbox(short_models.english(), voice)


@contextmanager
def with_code(function: FunctionType, code: CodeType) -> Iterator[None]:
    before = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = before


def any_edit(data: st.DataObject, functions: list[FunctionType]) -> tuple[FunctionType, CodeType]:
    function = data.draw(st.sampled_from(functions))
    code = edited(function, *data.draw(st.sampled_from(edits_of(function))))
    assume(code.replace(co_firstlineno=0) != function.__code__.replace(co_firstlineno=0))
    assume(len(code.co_freevars) == len(function.__code__.co_freevars))
    return function, code


def test_there_is_enough_to_edit(chatterbox: Chatterbox) -> None:
    assert len(chatterbox.run) > 30
    assert len(chatterbox.not_run) > 100
    assert {"prepare_conditionals", "embed_ref", "mel_spectrogram", "log_mel_spectrogram"} <= {
        function.__name__ for function in chatterbox.run
    }
    assert {"generate", "inference", "punc_norm"} <= {function.__name__ for function in chatterbox.not_run}


@MANY
@given(st.data())
def test_an_edit_of_what_runs_is_another_entry(chatterbox: Chatterbox, data: st.DataObject) -> None:
    with with_code(*any_edit(data, chatterbox.run)):
        assert chatterbox.digest() != chatterbox.before


@MANY
@given(st.data())
def test_an_edit_of_what_does_not_run_is_the_same_entry(chatterbox: Chatterbox, data: st.DataObject) -> None:
    with with_code(*any_edit(data, chatterbox.not_run)):
        assert chatterbox.digest() == chatterbox.before
