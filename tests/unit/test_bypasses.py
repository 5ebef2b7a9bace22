"""What a program is told of preparations that gain nothing."""

from __future__ import annotations

import warnings

import pytest

from chatterbox_cached.accounting.bypasses import Bypasses
from chatterbox_cached.accounting.failures import Failures
from chatterbox_cached.accounting.stats import Stats
from chatterbox_cached.errors import CacheWarning, Unidentifiable


@pytest.fixture
def bypasses() -> Bypasses:
    stats = Stats()
    return Bypasses(stats, Failures(stats, None))


def test_what_is_told_at_once_says_what_happened_and_what_to_do_and_is_told_once(bypasses: Bypasses) -> None:
    doubt = Unidentifiable("model is in training mode", "The encoder is in training mode.")
    with pytest.warns(CacheWarning) as told:
        bypasses.count(doubt)
    assert "The encoder is in training mode. Call .eval() on it" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bypasses.count(doubt)


def test_what_to_do_is_told_when_a_reason_comes_up_again(bypasses: Bypasses) -> None:
    doubt = Unidentifiable("file object is not at its start")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bypasses.count(doubt)
    with pytest.warns(CacheWarning, match=r"file object is not at its start\). Call seek\(0\)"):
        bypasses.count(doubt)


def test_what_the_user_asked_for_is_never_told(bypasses: Bypasses) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            bypasses.count(Unidentifiable("disabled"))
