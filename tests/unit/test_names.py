"""What a voice may be called, and which two names are one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_cached.errors import VoiceNameError
from chatterbox_cached.named.names import LONGEST, checked, folded, nearest


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("  \t ", "empty"),
        ("\N{ZERO WIDTH JOINER}", "empty"),
        ("a/b", "must have no /"),
        ("a\\b", "must have no /"),
        ("..", "folder"),
        (".", "folder"),
        ("a\x00b", "can't be shown"),
        ("a\x1b[31mb", "can't be shown"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "can't be shown"),
        ("\ud800", "can't be shown"),
        ("x" * (LONGEST + 1), "65 characters"),
        ("Voice:anna", "stands before a name"),
        ("default", "meaning of its own"),
        ("BuiltIn", "meaning of its own"),
        ("\N{FULLWIDTH LATIN SMALL LETTER D}efault", "meaning of its own"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(VoiceNameError, match=why) as refused:
        checked(name)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", [None, 7, b"anna", object()])
def test_what_is_no_text_is_refused(name: object) -> None:
    with pytest.raises(VoiceNameError, match="is a text"):
        checked(name)


@pytest.mark.parametrize(
    "name", ["Anna", "Frau Müller-Lüdenscheid", "ナレーター", "می‌خواهم", "Dr: Who", "x" * LONGEST, "voice.wav"]
)
def test_what_people_type_is_a_name(name: str) -> None:
    assert checked(name) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "ANNA"),
        ("Erz\u00e4hler", "Erza\u0308hler"),
        ("Stra\u00dfe", "STRASSE"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}nna", "anna"),
        ("two  words", "two words"),
        (" anna ", "anna"),
    ],
)
def test_names_that_read_alike_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def _is_name(text: str) -> bool:
    try:
        checked(text)
    except VoiceNameError:
        return False
    return True


@given(st.text().filter(_is_name))
def test_a_name_that_is_taken_once_is_taken_again_as_it_is(text: str) -> None:
    name = checked(text)
    assert checked(name) == name
    assert name == unicodedata.normalize("NFC", name)
    assert 0 < len(name) <= LONGEST
    assert folded(name) == folded(name.upper()) == folded(folded(name))


@given(st.text().filter(lambda text: not _is_name(text)))
def test_what_is_refused_is_said_in_a_line_that_any_terminal_can_show(text: str) -> None:
    with pytest.raises(VoiceNameError) as refused:
        checked(text)
    assert str(refused.value).isprintable()


def test_the_nearest_names_are_shown() -> None:
    assert nearest("naratr", ["Narrator", "Anna", "Ben"]) == "Did you mean 'Narrator'?"
    assert "voices ls" in nearest("xyz", ["Narrator"])
    assert nearest("x", []) == "No voice has been given a name yet."
