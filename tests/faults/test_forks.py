"""Processes that come of one another: fork while every lock is held, pools, preloading servers, and asyncio beside."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import torch

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.concurrency import forks
from tests.support.scenery import (
    SECONDS,
    another_holds,
    at_once,
    calls_counted,
    ended_well,
    forked,
    standin,
    until,
    voices,
)
from tests.support.stage import Stage


def _prepared(folder: Path) -> int:
    return len((folder / "log").read_text().split())


def _is(conditionals: Any, path: Path) -> bool:
    from chatterbox.tts import voice_of

    return torch.equal(conditionals.gen["embedding"], voice_of(path.read_bytes()))


def _spoken(model: Any, path: Path) -> bool:
    from chatterbox.tts import heard, voice_of

    speaker, sound, exaggeration = heard(model.generate("Hello.", audio_prompt_path=path, exaggeration=0.7))
    expected = voice_of(path.read_bytes())
    return torch.equal(speaker, expected) and torch.equal(sound, expected) and abs(exaggeration - 0.7) < 1e-6


def fork_while_every_lock_is_held(folder: Path) -> Any:
    """The child hits in memory and on disk, misses, and uses every method, though another thread has every lock."""
    from chatterbox_cached.concurrency.turns import turn

    model, (known, new) = standin(folder)(), voices(folder, 2)
    cache = chatterbox_cached.enable(folder / "voices")
    cache.get_or_prepare(model, known)

    def use_everything() -> None:
        assert _is(cache.get_or_prepare(model, known), known)
        cache.serving.store.memory.clear()
        assert _is(cache.get_or_prepare(model, known), known)
        assert _is(cache.get_or_prepare(model, new), new)
        assert _spoken(model, known)
        now = cache.get_cache_stats()
        counted = now["memory_hits"], now["disk_hits"], now["misses"], now["bypasses"], now["errors"]
        assert counted == (2, 1, 2, {}, {}), counted  # one miss is the parent's
        cache.save(known, 0.5, folder / "saved.pt")
        assert cache.forget(new) == 1
        assert cache.clear_all() == 2
        chatterbox_cached.disable()
        chatterbox_cached.enable(folder / "others")
        cache.close()

    # Whatever has locks has told forks.py, or its child would have to be mended one lock at a time.
    with cache.serving.flights.flight("any"):
        flight = cache.serving.flights._flights["any"].lock
    locks = [turn(model).lock, flight, *(owner._lock for owner in list(forks._renewed) if hasattr(owner, "_lock"))]  # type: ignore[attr-defined]
    with another_holds(*locks):
        assert ended_well(forked(use_everything))
    return len(locks) - 2


def test_a_child_of_a_process_that_holds_every_lock_goes_on(stage: Stage, tmp_path: Path) -> None:
    # Turns, flights, memory, disk, statistics, fingerprints, the shared caches and the patch.
    assert stage(fork_while_every_lock_is_held, folder=tmp_path) >= 8


def fork_while_another_prepares(folder: Path) -> Any:
    """The child does not wait for a flight that only its parent's thread can end."""
    upstream, (voice,) = standin(folder), voices(folder, 1)
    cache, child = ConditionalCache(folder / "voices", wait_seconds=1), []

    def want_it_too() -> None:
        upstream.meanwhile = staticmethod(lambda _: None)
        assert _is(cache.get_or_prepare(upstream(), voice), voice)

    def fork(_: Path) -> None:
        # The lock file is held by this very process, so the child waits for it as any other process would.
        at_once(lambda _: child.append(forked(want_it_too)), 1)
        assert ended_well(*child)

    upstream.meanwhile = staticmethod(fork)
    cache.get_or_prepare(upstream(), voice)
    return _prepared(folder)


def test_a_fork_in_the_middle_of_a_preparation_waits_no_longer_than_it_may(stage: Stage, tmp_path: Path) -> None:
    assert stage(fork_while_another_prepares, folder=tmp_path) == 2


def no_connection_crosses_a_fork(folder: Path) -> Any:
    """What the child has open of the database is its own, whatever its parent then does with its connections."""
    model, (known, new, newer) = standin(folder)(), voices(folder, 3)
    cache = ConditionalCache(folder / "voices")
    cache.get_or_prepare(model, known)
    inherited = cache.serving.store._disk.written._cache  # type: ignore[union-attr]

    class Forbidden(type(inherited)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} of an inherited connection")

    def use() -> None:
        assert not _open_databases()
        inherited.__class__ = Forbidden
        cache.serving.store.memory.clear()
        assert _is(cache.get_or_prepare(model, known), known)
        assert _open_databases()
        (folder / "there").touch()
        until((folder / "closed").exists)
        assert _is(cache.get_or_prepare(model, new), new)
        now = cache.get_cache_stats()
        assert (now["disk_hits"], now["errors"], now["disk_cached_items"]) == (1, {}, 2), now

    child = forked(use)
    until((folder / "there").exists)
    assert _is(cache.get_or_prepare(model, newer), newer)
    cache.forget(newer)
    cache.close()  # if it were the last it would take the write-ahead log with it, and what the child then writes
    (folder / "closed").touch()
    assert ended_well(child)
    assert _is(cache.get_or_prepare(model, new), new)
    return cache.get_cache_stats()["disk_hits"], cache.get_cache_stats()["errors"]


def _open_databases() -> list[str]:
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [target for link in links if os.path.lexists(link) and "cache.db" in (target := os.readlink(link))]


def test_no_connection_crosses_a_fork(stage: Stage, tmp_path: Path) -> None:
    assert stage(no_connection_crosses_a_fork, folder=tmp_path) == [1, {}]


def forks_while_others_work(folder: Path) -> Any:
    """Thirty forks while three threads read and write on disk, each of which would hold SQLite's own locks."""
    upstream, paths = standin(folder), voices(folder, 9)
    cache, stop = chatterbox_cached.enable(folder / "voices", memory_entries=0), threading.Event()
    models = [upstream() for _ in range(4)]

    def serve(number: int) -> int:
        served = 0
        while not stop.is_set() or served < 30:
            path = paths[served % 8]
            if served % 5 == 0:
                cache.forget(path)
            assert _spoken(models[number], path)
            served += 1
        return served

    def fork(_: int) -> int:
        try:
            for number in range(30):
                child = forked(lambda: _served(models[3], paths[number % 9]))  # noqa: B023
                assert ended_well(child)
        finally:
            stop.set()
        return 30

    served = at_once(lambda number: serve(number) if number else fork(number), 4)
    assert all(isinstance(times, int) and times >= 30 for times in served), served
    return cache.get_cache_stats()["errors"]


def _served(model: Any, path: Path) -> None:
    assert _spoken(model, path)
    assert chatterbox_cached.stats()["errors"] == {}


def test_a_fork_does_not_fall_into_what_other_threads_do_on_disk(stage: Stage, tmp_path: Path) -> None:
    assert stage(forks_while_others_work, folder=tmp_path) == {}


def fork_into_a_long_operation(folder: Path) -> Any:
    """How long a fork takes while another thread is in a disk operation that takes longer than a fork waits."""
    model, (known,) = standin(folder)(), voices(folder, 1)
    cache, there, leave = ConditionalCache(folder / "voices"), threading.Event(), threading.Event()
    cache.get_or_prepare(model, known)
    forks.unforked.wait_seconds = 0.2

    def look_for_long(*_: object) -> None:
        there.set()
        leave.wait(SECONDS)

    cache.serving.store._judged = look_for_long  # type: ignore[method-assign]
    checked: list[Any] = []
    checking = threading.Thread(target=lambda: checked.append(cache.check()))
    checking.start()
    assert there.wait(SECONDS)
    started = time.monotonic()
    child = forked(lambda: _hits_in_memory(cache, model, known))
    took = time.monotonic() - started
    assert ended_well(child)
    assert checking.is_alive()
    leave.set()
    checking.join(SECONDS)
    cache.serving.store.memory.clear()
    assert _is(cache.get_or_prepare(model, known), known)
    return took, checked[0].sound, cache.get_cache_stats()["disk_hits"], cache.get_cache_stats()["errors"]


def _hits_in_memory(cache: ConditionalCache, model: Any, path: Path) -> None:
    assert _is(cache.get_or_prepare(model, path), path)
    assert cache.get_cache_stats()["memory_hits"] == 1


def test_a_fork_waits_no_longer_than_it_may_and_both_sides_go_on(stage: Stage, tmp_path: Path) -> None:
    took, sound, disk_hits, errors = stage(fork_into_a_long_operation, folder=tmp_path)
    assert took >= 0.2  # and the other thread was still at it afterwards
    assert (sound, disk_hits, errors) == (True, 1, {})


_model: Any = None


def _serve(path: Path) -> tuple[bool, int]:
    """In a pool's process: whether the voice is right, and how often this process has missed so far."""
    assert _model is not None
    return _spoken(_model, path), int(chatterbox_cached.stats()["misses"])


def a_pool_of_forks(folder: Path) -> Any:
    global _model
    _model, paths = standin(folder)(), voices(folder, 6)
    cache = chatterbox_cached.enable(folder / "voices")
    for path in paths[:5]:
        assert _spoken(_model, path)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        served = pool.map(_serve, paths * 5, chunksize=1)
    return all(right for right, _ in served), _prepared(folder), cache.get_cache_stats()["misses"]


def test_a_pool_of_forks_hits_in_what_its_parent_has(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_pool_of_forks, folder=tmp_path) == [True, 6, 5]


def _serve_anew(cache: ConditionalCache, folder: Path, path: Path) -> tuple[bool, dict[str, Any]]:
    """In a spawned process, which has nothing but what was pickled for it."""
    return _is(cache.get_or_prepare(standin(folder)(), path), path), cache.get_cache_stats()


def a_spawned_pool(folder: Path) -> Any:
    (voice,) = voices(folder, 1)
    cache = ConditionalCache(folder / "voices", memory_entries=7)
    cache.get_or_prepare(standin(folder)(), voice)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        right, now = pool.apply(_serve_anew, (cache, folder, voice))
    return right, now["disk_hits"], now["errors"], _prepared(folder)


def test_a_spawned_process_finds_the_voice_on_disk(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_spawned_pool, folder=tmp_path) == [True, 1, {}, 1]


def a_server_that_preloads(folder: Path) -> Any:
    """As gunicorn --preload: the parent loads the model, enables and warms; its workers serve from threads."""
    loaded, paths = standin(folder)(), voices(folder, 12)
    cache = chatterbox_cached.enable(folder / "voices")
    for path in paths[:6]:
        assert _spoken(loaded, path)

    def work() -> None:
        models = [loaded, copy.copy(loaded)]

        def serve(number: int) -> bool:
            return all(_spoken(models[number % 2], path) for path in paths[number:] + paths[:number])

        assert at_once(serve, 4) == [True] * 4
        now = cache.get_cache_stats()
        assert (now["bypasses"], now["errors"], calls_counted(now)) == ({}, {}, 6 + 4 * 12), now
        assert now["memory_hits"] + now["disk_hits"] >= 4 * 12 - 6, now

    assert ended_well(*[forked(work) for _ in range(3)])
    return _prepared(folder), cache.serving.store.figures()["disk_cached_items"]


def test_the_workers_of_a_server_that_preloads_prepare_only_what_is_new_and_once(stage: Stage, tmp_path: Path) -> None:
    assert stage(a_server_that_preloads, folder=tmp_path) == [12, 12]


def tasks(folder: Path) -> Any:
    """Forty tasks in threads, before and after a fork; one of them goes round the cache, and no other does."""
    upstream, paths = standin(folder), voices(folder, 4)
    cache = chatterbox_cached.enable(folder / "voices")
    models = [upstream() for _ in range(3)]

    async def serve(number: int) -> bool:
        if number:
            return await asyncio.to_thread(_spoken, models[number % 3], paths[number % 4])
        with chatterbox_cached.disabled():
            return await asyncio.to_thread(_spoken, models[0], paths[0])

    async def main() -> list[bool]:
        return await asyncio.gather(*(serve(number) for number in range(40)))

    def run() -> None:
        before = cache.get_cache_stats()
        assert all(asyncio.run(main()))
        now = cache.get_cache_stats()
        assert calls_counted(now) - calls_counted(before) == 40, now
        assert now["bypasses"]["disabled"] - before["bypasses"].get("disabled", 0) == 1, now
        assert now["errors"] == {}, now

    run()
    assert ended_well(forked(run), forked(run))
    return _prepared(folder)


def test_tasks_that_work_in_threads_do_so_before_and_after_a_fork(stage: Stage, tmp_path: Path) -> None:
    # Four voices, and once in each process round the cache.
    assert stage(tasks, folder=tmp_path) == 4 + 3
