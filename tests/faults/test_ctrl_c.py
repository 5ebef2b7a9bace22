"""Ctrl-C at every moment of a call: no lock stays taken, no fork waits, and the next call is served."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.concurrency import forks
from tests.support.scenery import SECONDS, at_once, ended_well, forked, voices
from tests.support.stage import Stage
from tests.support.tally import tried

PACKAGE = str(Path(chatterbox_cached.__file__).parent)
# Where Python looks for signals in a call: at the beginning of a function, and after one that is written in C.
MOMENTS = ("call", "c_return")
MOST = 1500


def interrupted(act: Callable[[], object], moment: int) -> bool:
    """Do ``act`` until the given moment inside the package; says whether it came to that."""
    left = moment

    def look(frame: Any, event: str, _: object) -> None:
        nonlocal left
        if event in MOMENTS and frame.f_code.co_filename.startswith(PACKAGE):
            left -= 1
            if not left:
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return left <= 0  # it came where Python drops exceptions, in a weak reference's callback for one


def _free(lock: Any) -> bool:
    taken = bool(lock.acquire(timeout=1))
    if taken:
        lock.release()
    return taken


def ctrl_c(folder: Path, kind: str) -> Any:
    """How often, the owners of locks that another thread can't have afterwards, and how long a fork waits."""
    from chatterbox.tts import ChatterboxTTS, voice_of

    from chatterbox_cached.concurrency.turns import turn

    cache, model, (voice,) = ConditionalCache(folder / "voices", wait_seconds=3), ChatterboxTTS(), voices(folder, 1)
    cache.get_or_prepare(model, voice)

    def hit() -> object:
        return cache.get_or_prepare(model, voice)

    before, act = {
        "a memory hit": (hit, hit),
        "a disk hit": (cache.clear_memory, hit),
        "a miss": (cache.clear_memory, lambda: cache.get_or_prepare(model, voice, force_refresh=True)),
        # These write to the account, or drop from it, what a hit has left to be written.
        "closing": (hit, cache.close),
        "forgetting": (hit, lambda: cache.forget(voice)),
        "clearing": (hit, cache.clear_all),
    }[kind]
    times, more = 0, True
    while times < MOST and more:
        before()
        more = interrupted(act, times + 1)
        times += more

    owners = [owner for owner in forks._renewed if hasattr(owner, "_lock")]
    flights = list(cache.serving.flights._flights.values())
    locks = [turn(model).lock, *(flight.lock for flight in flights), *(owner._lock for owner in owners)]
    names = ["turn", *(["flight"] * len(flights)), *(type(owner).__name__ for owner in owners)]
    free = at_once(lambda _: [_free(lock) for lock in locks], 1)[0]

    def use() -> None:
        cache.clear_memory()
        expected = voice_of(voice.read_bytes())
        assert torch.equal(cache.get_or_prepare(model, voice).gen["embedding"], expected)

    started = time.monotonic()
    children = at_once(lambda _: forked(use), 1)
    waited = time.monotonic() - started
    assert ended_well(*children)
    at_once(lambda _: use(), 1)
    cache.check()
    use()
    served = cache.get_cache_stats()["disk_hits"]
    return times, [name for name, is_free in zip(names, free, strict=True) if not is_free], waited, served


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kind", ["a memory hit", "a disk hit", "a miss", "closing", "forgetting", "clearing"])
def test_ctrl_c_at_any_moment_leaves_no_lock_taken(stage: Stage, tmp_path: Path, kind: str) -> None:
    times, held, waited, served = stage(ctrl_c, kind, folder=tmp_path)
    assert held == []
    assert waited < min(SECONDS, forks.unforked.wait_seconds)
    assert served
    assert times > 20
    tried("calls cut short by Ctrl-C, each at another moment", times)


class JobTimeout(Exception):
    """What the runner of a job has the handler of a signal raise once it has taken too long."""


def timeouts(folder: Path, kind: str) -> Any:
    """How often a call was to end by a signal, how often it did, and the failures that were counted."""
    from chatterbox.tts import ChatterboxTTS, voice_of

    cache, model, (voice,) = ConditionalCache(folder / "voices", wait_seconds=3), ChatterboxTTS(), voices(folder, 1)
    cache.get_or_prepare(model, voice)

    def end(number: int, frame: Any) -> None:
        raise JobTimeout

    signal.signal(signal.SIGALRM, end)
    before = {"a memory hit": lambda: None, "a disk hit": cache.clear_memory, "a miss": cache.clear_all}[kind]
    heard = moment = 0
    while moment < MOST:
        before()
        left = moment = moment + 1

        def look(frame: Any, event: str, _: object) -> None:
            nonlocal left
            if event in MOMENTS and frame.f_code.co_filename.startswith(PACKAGE):
                left -= 1
                if not left:
                    signal.raise_signal(signal.SIGALRM)

        sys.setprofile(look)
        try:
            cache.get_or_prepare(model, voice)
        except JobTimeout:
            heard += 1
        finally:
            sys.setprofile(None)
        if left > 0:
            break
    assert torch.equal(cache.get_or_prepare(model, voice).gen["embedding"], voice_of(voice.read_bytes()))
    return moment - 1, heard, cache.get_cache_stats()["errors"]


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="signals")
@pytest.mark.parametrize("kind", ["a memory hit", "a disk hit", "a miss"])
def test_what_a_signals_handler_raises_ends_the_call_and_is_no_failure_of_the_cache(
    stage: Stage, tmp_path: Path, kind: str
) -> None:
    times, heard, errors = stage(timeouts, kind, folder=tmp_path)
    assert errors == {}
    assert heard >= 0.99 * times, "Python itself drops what comes as a generator is closed"
    assert times > 20
    tried("calls ended by a signal's handler, each at another moment", times)
