"""The text of a key: put together and taken apart by one module, and believed only in one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.voice.key_format import (
    SCHEMA,
    digest_of,
    is_of_another_schema,
    is_sha256,
    key_of,
    parsed,
    prefix_of,
    voice_prefix,
)

SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(SHA256, SHA256)
def test_what_is_put_together_is_taken_apart_the_same(audio: str, maker: str) -> None:
    key = key_of(audio, maker)
    assert parsed(key) == (SCHEMA, audio, maker)
    assert key.startswith(voice_prefix(audio))
    assert prefix_of(key) == voice_prefix(audio)
    assert not is_of_another_schema(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1/a/b",
        "x" + key_of("a" * 64, "b" * 64),
        key_of("a" * 64, "b" * 64) + "0",
        key_of("A" * 64, "b" * 64),
    ],
)
def test_what_is_no_key_has_no_parts(text: str) -> None:
    assert parsed(text) is None


def test_a_key_of_another_schema_has_parts_and_is_told_from_ours() -> None:
    key = f"v{SCHEMA + 1}/{'a' * 64}/{'b' * 64}"
    assert parsed(key) == (SCHEMA + 1, "a" * 64, "b" * 64)
    assert is_of_another_schema(key)
    assert not is_of_another_schema("no key")


def test_the_maker_is_a_sha256_of_what_made_it() -> None:
    assert is_sha256(digest_of("{}"))
    assert digest_of("{}") != digest_of("{} ")
    assert not is_sha256(digest_of("{}")[:-1])
    assert not is_sha256(digest_of("{}").upper())
