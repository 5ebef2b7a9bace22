"""What machines tell each other of a name: nothing is believed that is not wholly as it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatterbox_cached.errors import EntryError, SignatureError
from chatterbox_cached.named.record import CONDITIONALS, NamedVoice
from chatterbox_cached.named.telling import MOST_BYTES, Kept, Told, decode, encode, place_of
from chatterbox_cached.voice.signing import HMAC_SHA256, NO_KEYS, UNSIGNED, keyring

KEYS, OTHER_KEYS = keyring([b"k" * 16], []), keyring([b"l" * 16], [])
A, B = "a" * 64, "b" * 64
PLACE = place_of("team", "Anna")
VOICE = NamedVoice("Anna", A, aliases=("die Erzählerin",), description="warm", consent="by letter", seconds=2.5)
TOLD = Told(PLACE, 7, VOICE, Kept(B, 1000, ".wav"))
START = 8 + 1 + 64


def _unsigned(said: Any) -> bytes:
    return encode(Told(PLACE, 1), NO_KEYS)[:START] + json.dumps(said).encode()


@pytest.mark.parametrize("told", [TOLD, Told(PLACE, 9), Told(place_of("team", "DIE ERZÄHLERIN"), 7, VOICE)])
@pytest.mark.parametrize("keys", [KEYS, NO_KEYS])
def test_what_is_told_comes_back(told: Told, keys: Any) -> None:
    assert decode(told.place, "team", encode(told, keys), keys) == told


def test_a_name_stands_for_one_place_in_a_namespace_however_it_is_written() -> None:
    assert place_of("team", "ANNA") == PLACE
    assert place_of("another", "Anna") != PLACE


def test_every_changed_byte_is_refused() -> None:
    whole = encode(TOLD, KEYS)
    for at in range(len(whole)):
        with pytest.raises(EntryError):
            decode(PLACE, "team", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], KEYS)
        with pytest.raises(EntryError):
            decode(PLACE, "team", whole[:at], KEYS)


@pytest.mark.parametrize("made", [encode(TOLD, NO_KEYS), encode(TOLD, OTHER_KEYS)])
def test_what_is_not_signed_with_our_keys_is_refused(made: bytes) -> None:
    assert made[8] in (UNSIGNED, HMAC_SHA256)
    with pytest.raises(SignatureError):
        decode(PLACE, "team", made, KEYS)


@pytest.mark.parametrize(
    ("place", "namespace"),
    [(place_of("team", "Ben"), "team"), (PLACE, "another"), (place_of("another", "Anna"), "another")],
)
def test_what_is_said_of_another_name_is_refused_here(place: str, namespace: str) -> None:
    with pytest.raises(EntryError, match="another name"):
        decode(place, namespace, encode(TOLD, KEYS), KEYS)


def test_a_voice_that_has_not_the_name_of_its_place_is_refused() -> None:
    place = place_of("team", "Ben")
    with pytest.raises(EntryError, match="another name"):
        decode(place, "team", encode(Told(place, 7, VOICE), KEYS), KEYS)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0}, {"version": -1}, {"version": 2**62}, {"version": True}, {"version": 1.5}, {"version": "7"},
        {"place": 7}, {"place": "../" + A}, {"more": 1}, {"voice": None}, {"voice": []},
        {"voice__name": "a/b"}, {"voice__name": ""}, {"voice__name": "x" * 65}, {"voice__name": 7},
        {"voice__name": "default"}, {"voice__aliases": "ab"}, {"voice__aliases": ["a\u0000"]},
        {"voice__aliases": ["a"] * 101}, {"voice__aliases": [["a"]]}, {"voice__description": None},
        {"voice__consent": {}}, {"voice__description": "\ud800"}, {"voice__digest": "A" * 64},
        {"voice__digest": "../../x"}, {"voice__kind": "other"}, {"voice__kind": []}, {"voice__seconds": -1},
        {"voice__seconds": float("nan")}, {"voice__seconds": float("inf")}, {"voice__seconds": True},
        {"voice__seconds": "2"}, {"voice__more": 1}, {"voice__file": []}, {"voice__file": {}},
        {"voice__file__suffix": "/../../x"}, {"voice__file__suffix": ".wav/x"}, {"voice__file__suffix": "wav"},
        {"voice__file__suffix": "." + "a" * 60}, {"voice__file__size": -1}, {"voice__file__size": "1"},
        {"voice__file__sha256": "x"}, {"voice__kind": CONDITIONALS},
    ],
    ids=str,
)  # fmt: skip
def test_odd_parts_are_refused(changed: dict[str, Any]) -> None:
    said = json.loads(encode(TOLD, NO_KEYS)[START:])
    for name, value in changed.items():
        *parents, part = name.split("__")
        of = said
        for parent in parents:
            of = of[parent]
        of[part] = value
    with pytest.raises(EntryError):
        decode(PLACE, "team", _unsigned(said), NO_KEYS)


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{", b"[" * 60_000, b"9" * 60_000, b"\xff\xfe", b'{"place": 1}']
)
def test_what_is_no_such_text_is_refused(text: bytes) -> None:
    with pytest.raises(EntryError):
        decode(PLACE, "team", encode(TOLD, NO_KEYS)[:START] + text, NO_KEYS)


def test_what_is_too_long_is_neither_made_nor_read() -> None:
    with pytest.raises(EntryError, match="more to say"):
        encode(Told(PLACE, 7, NamedVoice("Anna", A, description="x" * MOST_BYTES)), KEYS)
    with pytest.raises(EntryError):
        decode(PLACE, "team", encode(TOLD, NO_KEYS) + b" " * MOST_BYTES, NO_KEYS)
