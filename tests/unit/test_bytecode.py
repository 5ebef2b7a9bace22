"""What a function refers to and does, read from its bytecode: the same on every version of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatterbox_cached.identity.code.bytecode import uses_of
from chatterbox_cached.identity.code.symbols import Attr, Const, Global, Local, Within
from tests.support import code_shapes

# What the functions below refer to is never run.
# mypy: ignore-errors

SELF = Local("self")


@pytest.mark.parametrize(
    ("function", "attributes", "items"),
    [
        (code_shapes.an_attribute_is_set, {(SELF, "last")}, set()),
        (code_shapes.an_attribute_is_added_to, {(SELF, "count")}, set()),
        (code_shapes.an_item_is_set, set(), {Attr(SELF, "table")}),
        (code_shapes.an_item_is_added_to, set(), {Attr(SELF, "table")}),
        (code_shapes.a_slice_is_set, set(), {Attr(SELF, "buffer")}),
        (code_shapes.a_slice_is_multiplied, set(), {Attr(SELF, "buffer")}),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_is_set_is_seen(function: Callable[..., Any], attributes: Any, items: Any) -> None:
    used = uses_of(function.__code__)
    assert used.attributes_set == attributes
    assert used.items_set == items


@pytest.mark.parametrize(
    ("function", "called"),
    [
        (code_shapes.a_comprehension_calls, Attr(SELF, "load")),
        (code_shapes.a_lambda_sets, Attr(Attr(SELF, "table"), "update")),
        (code_shapes.a_closure_is_made, Attr(SELF, "read")),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_a_function_within_calls_is_the_functions(function: Callable[..., Any], called: Any) -> None:
    assert called in {call.function for call in uses_of(function.__code__).calls}


def test_a_function_within_is_known_where_it_is_called() -> None:
    used = uses_of(code_shapes.a_closure_is_made.__code__)
    assert used.assigned["load"] == {Within()}
    assert Local("load") in {call.function for call in used.calls}


def test_nothing_unknown_is_called_by_an_assertion() -> None:
    called = {call.function for call in uses_of(code_shapes.an_assertion_has_a_message.__code__).calls}
    assert called == {Global("len"), Attr(SELF, "check"), Global("AssertionError")}


def test_all_instructions_together_leave_the_names_right() -> None:
    used = uses_of(code_shapes.all_comes_together.__code__)
    assert used.returned == {Attr(SELF, "conds")}
    assert used.attributes_set == {(SELF, "conds")}
    expected = {
        Attr(Global("torch"), "no_grad"), Attr(Global("librosa"), "load"), Attr(SELF, "mix"), Global("RuntimeError"),
        Global("Conditionals"), Global("len"),
    }  # fmt: skip
    assert expected <= {call.function for call in used.calls}


def test_a_constant_is_given_as_one() -> None:
    assert uses_of(code_shapes.a_constant_is_given.__code__).returned == {Const(5)}
