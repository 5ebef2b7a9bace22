"""A tier that fails is left alone for a while: with a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from chatterbox_cached.concurrency.breaker import FIRST_PAUSE_SECONDS, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_after_a_pause_one_tries_and_the_others_do_without(clock: Clock) -> None:
    breaker = Breaker(clock)
    first: Any = breaker.attempt()
    breaker.failed(first)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.attempt() is not None
    assert [breaker.attempt() for _ in range(3)] == [None] * 3


def test_those_that_fail_together_count_once(clock: Clock) -> None:
    breaker = Breaker(clock)
    together: list[Any] = [breaker.attempt() for _ in range(8)]
    for trial in together:
        breaker.failed(trial)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.attempt() is not None


def test_a_trial_that_never_comes_back_does_not_end_all_trials(clock: Clock) -> None:
    breaker = Breaker(clock)
    first: Any = breaker.attempt()
    breaker.failed(first)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.attempt() is not None  # and its thread is killed, say
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.attempt() is not None
