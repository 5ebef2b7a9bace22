"""Machines with a store between them, on the real package: each has a cache folder of its own."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from benchmarks.proxy import proxy
from benchmarks.servers import Server, Valkey
from chatterbox_cached import CacheWarning, ConditionalCache, SharedStoreError
from chatterbox_cached.accounting import account
from chatterbox_cached.library.warming import FAILED, PREPARED, THERE_ALREADY, warm
from chatterbox_cached.tiers import sharing
from tests.support.beside import at_each_call
from tests.support.children import started
from tests.support.comparison import assert_same_conditionals
from tests.support.crowd import wanted_at_once
from tests.support.scenery import until
from tests.support.speech import speak

KEY = "a key of the team, of 16 bytes and more"
SLACK = 20.0  # for a busy machine
Machine = Callable[..., ConditionalCache]


@pytest.fixture(params=["valkey", "s3"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Machine:
    """A cache of the machine with this name; all share the store, in a namespace of this test."""

    def made(name: str, **settings: Any) -> ConditionalCache:
        own = {"shared": server.url, "namespace": re.sub(r"\W", "-", tmp_path.name)}
        return ConditionalCache(tmp_path / name, **{**own, "signing_key": KEY, "operation_seconds": 20, **settings})

    return made


@pytest.fixture
def seconds(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """How long a lease lasts, and what is known of the forgotten: as for users with Valkey, shorter with S3, for which
    only the store is another one."""
    if not isinstance(server, Valkey):
        monkeypatch.setattr(sharing, "LEASE_SECONDS", 4.0)
        monkeypatch.setattr(sharing, "FORGOTTEN_SECONDS", 1.0)
    return sharing.LEASE_SECONDS, sharing.FORGOTTEN_SECONDS


def served(cache: ConditionalCache) -> tuple[int, int, int, int]:
    """Misses, and hits in memory, on disk and in the store."""
    now = cache.get_cache_stats()
    assert (now["bypasses"], now["errors"]) == ({}, {})
    return now["misses"], now["memory_hits"], now["disk_hits"], now["shared_hits"]


def test_a_second_machine_prepares_nothing_and_says_the_same(
    machine: Machine, english: Any, voice: Path, upstream_says: Any
) -> None:
    expected = upstream_says(english, 0.5)
    first, second = machine("first"), machine("second")
    with chatterbox_cached.enabled(cache=first):
        speak(english, audio_prompt_path=voice)
    first.close()
    with (
        chatterbox_cached.enabled(cache=second),
        at_each_call(type(english.s3gen.speaker_encoder).inference, lambda: pytest.fail("upstream prepared")),
    ):
        assert torch.equal(speak(english, audio_prompt_path=voice), expected)
        assert served(second) == (0, 0, 0, 1)
        second.clear_memory()
        assert torch.equal(speak(english, audio_prompt_path=voice), expected)
    assert served(second) == (0, 0, 1, 1)  # what was found is kept on disk


def test_a_store_that_has_lost_everything_is_filled_from_the_machines_disks(
    machine: Machine, english: Any, voice: Path
) -> None:
    first, second = machine("first"), machine("second")
    first.get_or_prepare(english, voice)
    first.close()
    first.clear_shared()
    again = machine("first")  # as after a restart
    for _ in range(2):
        again.clear_memory()
        again.get_or_prepare(english, voice)
    again.close()
    second.get_or_prepare(english, voice)
    assert (served(again), served(second)) == ((0, 0, 2, 0), (0, 0, 0, 1))


def test_what_one_class_has_prepared_serves_another_on_another_machine(
    machine: Machine, english: Any, multilingual: Any, voice: Path
) -> None:
    multilingual.prepare_conditionals(voice, exaggeration=0.7)
    upstreams = multilingual.conds
    first, second = machine("first"), machine("second")
    with chatterbox_cached.enabled(cache=first):
        english.prepare_conditionals(voice)
    first.close()
    with chatterbox_cached.enabled(cache=second):
        multilingual.prepare_conditionals(voice, exaggeration=0.7)
    assert_same_conditionals(multilingual.conds, upstreams)
    assert served(second) == (0, 0, 0, 1)
    assert second.get_cache_stats()["seams"] == {"encoders": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the model is shared by a fork")
def test_eight_workers_on_two_machines_have_a_new_voice_prepared_once(
    machine: Machine, english: Any, voice: Path, tmp_path: Path, one_thread: None
) -> None:
    def cache_of(number: int) -> ConditionalCache:
        return machine(f"machine {number % 2}")

    assert wanted_at_once(8, english, voice, tmp_path / "log", cache_of) == ["upstream"] + ["hit"] * 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the model is shared by a fork")
def test_a_holder_that_is_killed_costs_the_others_one_lease(
    machine: Machine, english: Any, voice: Path, tmp_path: Path, seconds: tuple[float, float]
) -> None:
    begun, (lease, _) = tmp_path / "begun", seconds

    def prepare_for_ever() -> None:
        def hang() -> None:
            begun.touch()
            time.sleep(600)

        with at_each_call(type(english).prepare_conditionals, hang):
            machine("first").get_or_prepare(english, voice)

    holder = started(prepare_for_ever)
    until(begun.exists)
    time.sleep(lease / 2)  # it is renewed meanwhile
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    began = time.monotonic()
    second = machine("second")
    second.get_or_prepare(english, voice)
    waited = time.monotonic() - began
    assert served(second) == (1, 0, 0, 0)
    assert lease / 3 < waited < lease + SLACK


def test_a_wait_for_another_machine_has_an_end(machine: Machine, english: Any, voice: Path) -> None:
    first, second = machine("first"), machine("second", wait_seconds=1)
    with first.serving.store.shared.lease(first.serving.identity.key(_call(english, voice)).text, 0.0):
        second.get_or_prepare(english, voice)
    assert served(second) == (1, 0, 0, 0)


def _call(model: Any, voice: Path) -> Any:
    from chatterbox_cached.upstream.calls import asked_for
    from chatterbox_cached.upstream.families import family_of

    family = family_of(model)
    assert family is not None
    return asked_for(model, family, voice, 0.5)


def test_a_person_who_is_forgotten_on_one_machine_is_forgotten_on_all(
    machine: Machine, english: Any, voice: Path, other_voice: Path, seconds: tuple[float, float]
) -> None:
    first, second = machine("first"), machine("second")
    for cache in (first, second):
        for path in (voice, other_voice):
            cache.get_or_prepare(english, path)
            cache.close()
    assert served(second) == (0, 0, 0, 2)
    assert first.forget(voice) >= 1
    time.sleep(seconds[1] + 0.1)
    for _ in range(2):
        second.get_or_prepare(english, voice)
        second.get_or_prepare(english, other_voice)
    now = second.get_cache_stats()
    assert (now["misses"], now["memory_hits"]) == (2, 2)
    assert now["not_stored"] == {"voice was forgotten": 2}
    assert (now["memory_cached_items"], now["disk_cached_items"]) == (1, 1)
    newcomer = machine("newcomer")
    newcomer.get_or_prepare(english, voice)
    for cache in (second, newcomer):
        cache.close()
        assert cache.settings.cache_dir is not None
        known = account.read(cache.settings.cache_dir).voices
        assert cache.serving.name_of(voice) not in known  # neither its name nor its path
    assert newcomer.get_cache_stats()["not_stored"] == {"voice was forgotten": 1}
    forgotten = first.serving.name_of(voice)
    assert [key for key in first.serving.store.lower.keys() if forgotten in key] == []  # noqa: SIM118
    assert first.lift(voice) is True
    assert first.lift(voice) is False
    time.sleep(seconds[1] + 0.1)
    second.get_or_prepare(english, voice)
    second.get_or_prepare(english, voice)
    assert second.get_cache_stats()["memory_hits"] == 3


def test_many_who_forget_at_once_are_all_heard(machine: Machine) -> None:
    voices = [f"{number:064x}" for number in range(12)]
    stores = [machine("first").serving.store.shared for _ in voices]
    with ThreadPoolExecutor(len(voices)) as pool:
        list(pool.map(lambda pair: pair[0].forget(pair[1]), zip(stores, voices, strict=True)))
    (noted,) = stores[0].forgotten().values()
    assert sorted(noted) == voices


def test_what_cannot_be_forgotten_everywhere_is_said(machine: Machine, english: Any, voice: Path) -> None:
    away = machine("first", shared="valkey://127.0.0.1:1/0", operation_seconds=1)
    with pytest.warns(chatterbox_cached.CacheWarning, match="valkey://127"):
        away.get_or_prepare(english, voice)
    for by_hand in (lambda: away.forget(voice), lambda: away.lift(voice), away.clear_shared):
        with pytest.raises(SharedStoreError, match="valkey://127"):
            by_hand()
    assert away.get_cache_stats()["disk_cached_items"] == 0  # here it is forgotten


def test_to_clear_this_machine_leaves_the_store_and_to_clear_the_store_leaves_other_tenants(
    machine: Machine, english: Any, voice: Path
) -> None:
    first, tenant = machine("first"), machine("tenant", namespace="another-tenant")
    for cache in (first, tenant):
        cache.get_or_prepare(english, voice)
        cache.close()
    assert served(tenant) == (1, 0, 0, 0)
    first.clear_all()
    first.get_or_prepare(english, voice)
    assert served(first) == (1, 0, 0, 1)
    assert first.clear_shared() == 1
    assert first.clear_shared() == 0
    assert tenant.clear_shared() == 1


def test_a_machine_that_only_reads_puts_nothing(machine: Machine, english: Any, voice: Path, other_voice: Path) -> None:
    first, reader = machine("first"), machine("reader", shared_mode="read")
    first.get_or_prepare(english, voice)
    first.close()
    for path in (voice, other_voice):
        reader.get_or_prepare(english, path)
    reader.close()
    assert served(reader) == (1, 0, 0, 1)
    newcomer = machine("newcomer")
    newcomer.get_or_prepare(english, other_voice)
    assert served(newcomer) == (1, 0, 0, 0)


def test_what_is_warmed_at_once_is_in_the_store_when_that_is_said(
    valkey: Valkey, english: Any, voice: Path, other_voice: Path
) -> None:
    with proxy(valkey.port) as between:
        own = {"shared": f"valkey://127.0.0.1:{between.port}", "namespace": "warmed", "signing_key": KEY}
        cache = ConditionalCache(**own, operation_seconds=20)
        between.delay = 0.2  # so that it would not be there by chance
        assert warm(cache, english, voice, at_once=True).became == PREPARED
        assert len(valkey.client().keys("chatterbox-cached:warmed:v*/*")) == 1
        assert warm(cache, english, voice, at_once=True).became == THERE_ALREADY
        between.refuse()
        with pytest.warns(CacheWarning, match="get"):
            failed = warm(cache, english, other_voice, at_once=True)
        assert failed.became == FAILED
        assert failed.why.startswith("prepared, but not kept: valkey://")


def test_where_only_the_own_set_up_counts_another_ones_voice_is_not_taken(
    machine: Machine, english: Any, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machine("first", exact="setup")
    first.get_or_prepare(english, voice)
    first.close()
    like, unlike = machine("like", exact="setup"), machine("unlike", exact="setup")
    like.get_or_prepare(english, voice)
    assert served(like) == (0, 0, 0, 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        unlike.get_or_prepare(english, voice)
        unlike.close()
        again = machine("again", exact="setup")
        again.get_or_prepare(english, voice)
    finally:
        torch.set_num_threads(threads)
    assert (served(unlike), served(again)) == ((1, 0, 0, 0), (0, 0, 0, 1))
