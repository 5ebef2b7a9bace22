"""What is forgotten is neither kept nor stored, whatever happens at the same moment; on real servers."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from benchmarks.proxy import proxy
from benchmarks.servers import BUCKET, Seaweed, Server, Valkey
from chatterbox_cached import CacheWarning, SharedStoreError
from chatterbox_cached.tiers.shared.stores import store_at
from chatterbox_cached.tiers.sharing import SharingTier
from tests.support.fleet_worker import Worker
from tests.support.scenery import until, voices
from tests.support.stage import Stage

ANNA, BEN = "a" * 64, "b" * 64
KEY = f"v3/{ANNA}/{BEN}"
SECONDS = 20.0


def machine(url: str, folder: Path, **said: Any) -> SharingTier:
    store = store_at(url, folder.name, SECONDS, SECONDS)
    return SharingTier(store, said.pop("failed", lambda place, error: None), **{"writes": True, **said})


@pytest.fixture(params=["valkey", "s3"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def lose_all(server: Server, folder: Path) -> None:
    """As one that keeps nothing on disk starts anew, as far as this test's namespace goes."""
    if isinstance(server, Valkey):
        server.client().delete(f"chatterbox-cached:{folder.name}:forgotten")
    elif isinstance(server, Seaweed):
        server.client().delete_object(Bucket=BUCKET, Key=f"chatterbox/{folder.name}/forgotten.json")


@pytest.mark.parametrize("heard", ["at once", "after the next was forgotten"])
def test_a_store_that_has_lost_all_lifts_nothing_and_is_told_again(heard: str, tmp_path: Path, server: Server) -> None:
    here, there, third = (machine(server.url, tmp_path) for _ in range(3))
    there.forget(ANNA)
    here.look_at_forgotten()
    assert here.has_forgotten(ANNA)
    lose_all(server, tmp_path)
    if heard == "at once":
        here.look_at_forgotten()
    third.forget(BEN)
    here.look_at_forgotten()
    assert here.has_forgotten(BEN)
    assert here.has_forgotten(ANNA)
    until(lambda: not len(here.writer))
    newcomer = machine(server.url, tmp_path)
    assert newcomer.has_forgotten(ANNA)
    assert newcomer.has_forgotten(BEN)
    assert newcomer.lift(ANNA)
    here.look_at_forgotten()
    assert not here.has_forgotten(ANNA)
    assert sorted(here.shared.forgotten_since()) == [BEN]


def test_who_is_lifted_stays_so_whoever_knew_better(tmp_path: Path, server: Server) -> None:
    here, there = machine(server.url, tmp_path), machine(server.url, tmp_path)
    there.forget(ANNA)
    here.look_at_forgotten()
    lose_all(server, tmp_path)
    assert not there.lift(ANNA)  # the store did not know
    here.look_at_forgotten()
    here.shared.note_again([ANNA])  # as one that has looked before it was lifted
    assert not here.has_forgotten(ANNA)
    assert not machine(server.url, tmp_path).has_forgotten(ANNA)
    there.forget(ANNA)
    here.look_at_forgotten()
    assert here.has_forgotten(ANNA)


def test_a_machine_that_only_reads_notes_nothing_again(tmp_path: Path, valkey: Valkey) -> None:
    here = machine(valkey.url, tmp_path, writes=False)
    machine(valkey.url, tmp_path).forget(ANNA)
    here.look_at_forgotten()
    lose_all(valkey, tmp_path)
    here.look_at_forgotten()
    assert here.has_forgotten(ANNA)
    assert not len(here.writer)
    assert here.shared.forgotten_since() == {}


@pytest.mark.parametrize("failing", ["before the put", "after the put"])
def test_nothing_is_put_while_it_cannot_be_seen_what_is_forgotten(
    failing: str, tmp_path: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machine(valkey.url, tmp_path), machine(valkey.url, tmp_path)
    here.look_at_forgotten()
    look, looks = here.shared.forgotten, iter([failing == "before the put", True, False])

    def failing_once(known: str) -> Any:
        if next(looks, False):
            there.forget(ANNA)
            raise TimeoutError("no answer")
        return look(known)

    monkeypatch.setattr(here.shared, "forgotten", failing_once)
    here.put(KEY, b"a voice")
    until(lambda: not len(here.writer))
    assert next(looks, None) is None
    assert there.shared.keys() == []


def test_an_answer_that_was_long_on_its_way_takes_nothing_back(
    tmp_path: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machine(valkey.url, tmp_path), machine(valkey.url, tmp_path)
    there.forget(BEN)
    look, asked, go_on = here.shared.forgotten, threading.Event(), threading.Event()

    def slow(known: str) -> Any:
        seen = look(known)
        asked.set()
        go_on.wait(60)
        return seen

    with monkeypatch.context() as slowly:
        slowly.setattr(here.shared, "forgotten", slow)
        late = threading.Thread(target=here.look_at_forgotten)
        late.start()
        asked.wait(60)
    there.forget(ANNA)
    here.look_at_forgotten()
    assert here.has_forgotten(ANNA)
    go_on.set()
    late.join()
    assert here.has_forgotten(ANNA)


def forgotten_meanwhile(folder: Path, url: str, where: str) -> Any:
    """What this machine has, whose other thread hears while a voice is prepared or found that nobody may keep it."""
    (path,) = voices(folder, 1)
    here, there = (Worker(folder / name, url, namespace=folder.name) for name in ("here", "there"))
    anna, store = here.cache.serving.name_of(path), here.cache.serving.store
    if where == "found":
        there.wants(path)
        there.puts()
    disk = store._folders[0].tier
    put = disk.put

    def slow(key: str, value: bytes) -> None:
        there.cache.forget(path)
        here.store.look_at_forgotten()
        put(key, value)

    disk.put = slow  # type: ignore[method-assign]
    here.wants(path)
    here.cache.close()
    assert here.store.has_forgotten(anna)
    now = here.stats()
    return now["disk_cached_items"], now["memory_cached_items"], there.store.shared.keys()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("where", ["prepared", "found"])
def test_what_is_forgotten_while_it_is_being_kept_is_not_kept(
    where: str, stage: Stage, tmp_path: Path, valkey: Valkey
) -> None:
    assert stage(forgotten_meanwhile, valkey.url, where, folder=tmp_path) == [0, 0, []]


def forgotten_during_an_outage(folder: Path, port: int) -> Any:
    """What the store has, once it is back, of a voice that waited to be put when nobody could be told to forget it."""
    (path,) = voices(folder, 1)
    with proxy(port) as between, warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        here = Worker(folder / "here", f"valkey://127.0.0.1:{between.port}/0", namespace=folder.name)
        between.refuse()
        here.wants(path)
        try:
            here.cache.forget(path)
        except SharedStoreError:
            between.listen()
        until(here.finds_it_back)
        here.puts()
        return here.store.shared.keys()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_could_not_be_forgotten_everywhere_is_not_put_later(stage: Stage, tmp_path: Path, valkey: Valkey) -> None:
    assert stage(forgotten_during_an_outage, valkey.port, folder=tmp_path) == []


def saved_after_it_was_forgotten(folder: Path, url: str) -> Any:
    """What a machine has to save of a voice in its memory, a minute after another machine has forgotten it."""
    (path,) = voices(folder, 1)
    here, there = (Worker(folder / name, url, namespace=folder.name) for name in ("here", "there"))
    here.wants(path)
    here.puts()
    there.cache.forget(path)
    here.clock.now += 60
    return [tier for tier, _ in here.cache.serving.store.of_audio(here.cache.serving.name_of(path))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_is_forgotten_is_not_given_to_be_saved(stage: Stage, tmp_path: Path, valkey: Valkey) -> None:
    assert stage(saved_after_it_was_forgotten, valkey.url, folder=tmp_path) == []
