"""Whatever a call is made with, its key is certain or it goes round the cache."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.errors import Unidentifiable
from chatterbox_cached.identity import key
from chatterbox_cached.identity.key import Identity

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ODD = st.binary(max_size=5) | st.lists(PLAIN, max_size=3) | st.builds(object) | st.decimals() | st.complex_numbers()


def arguments_text(others: dict[str, Any]) -> tuple[str, ...] | None:
    try:
        return key._arguments(others)
    except Unidentifiable:
        return None


@given(st.dictionaries(st.text(max_size=8), PLAIN | ODD, max_size=4))
def test_arguments_of_any_kind_are_part_of_the_key_or_make_the_call_go_round(others: dict[str, Any]) -> None:
    plain = all(type(value) in (bool, int, float, str, type(None)) for value in others.values())
    assert (arguments_text(others) is not None) == plain


@given(*[st.dictionaries(st.sampled_from(["norm_loudness", "a", "b=1"]), PLAIN, max_size=3)] * 2)
def test_two_calls_have_one_key_only_if_their_arguments_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def exactly(others: dict[str, Any]) -> list[tuple[str, type, str]]:
        return sorted((name, type(value), repr(value)) for name, value in others.items())

    assert (arguments_text(one) == arguments_text(other)) == (exactly(one) == exactly(other))


@given(PLAIN | ODD | st.binary() | st.text().map(Path))
def test_audio_of_any_kind_is_identified_or_goes_round(audio: Any) -> None:
    with contextlib.suppress(Unidentifiable):
        assert len(Identity().audio.identify(audio).digest) == 64
