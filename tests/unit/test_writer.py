"""Writing behind the caller's back: in order, bounded, and nothing is lost in silence."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
import weakref
from pathlib import Path

import pytest

from chatterbox_cached.tiers import writer as writer_module
from chatterbox_cached.tiers.writer import Write, Writer
from tests.support.forks import in_a_fork
from tests.support.scenery import until


class Store:
    """Takes what is written while it ``works``."""

    def __init__(self) -> None:
        self.works, self.attempts = True, 0
        self.written: list[str] = []
        self.dropped: list[int] = []
        self.asked_by_hand = 0
        self.writer = Writer(self.dropped.append, self._by_hand)

    def _by_hand(self) -> None:
        self.asked_by_hand += 1

    def write(self, name: str, nbytes: int = 1, voice: str = "") -> None:
        def attempt() -> bool:
            self.attempts += 1
            if self.works:
                self.written.append(name)
            return self.works

        self.writer.submit(Write(attempt, nbytes, voice))


def test_everything_is_written_in_order() -> None:
    store = Store()
    for number in range(200):
        store.write(str(number))
    assert store.writer.flush()
    assert store.written == [str(number) for number in range(200)]
    assert len(store.writer) == 0


def test_what_fails_is_written_when_the_store_is_back() -> None:
    store = Store()
    store.works = False
    store.write("a")
    store.write("b")
    until(lambda: store.attempts > 1)
    assert store.written == []
    store.works = True
    until(lambda: len(store.writer) == 0)
    assert sorted(store.written) == ["a", "b"]
    assert store.dropped == []


def test_one_that_always_fails_keeps_no_other_back_and_is_told_of_at_the_end() -> None:
    store = Store()
    store.writer.submit(Write(lambda: False, 1))
    for name in "abc":
        store.write(name)
    until(lambda: store.written == ["a", "b", "c"])
    assert not store.writer.flush()
    assert store.dropped == [1]


@pytest.mark.parametrize("odd", [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError])
def test_an_attempt_that_ends_in_any_other_way_ends_no_other(odd: type[BaseException]) -> None:
    store, tries = Store(), iter([True])

    def attempt() -> bool:
        if next(tries, False):
            raise odd
        store.written.append("odd")
        return True

    store.writer.submit(Write(attempt, 1))
    store.write("a")
    until(lambda: not len(store.writer))
    assert sorted(store.written) == ["a", "odd"]
    assert store.dropped == []


def test_where_no_thread_can_begin_it_is_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = Store()
    with monkeypatch.context() as none_can_begin:
        none_can_begin.setattr(threading.Thread, "start", start)
        store.write("a")
        store.write("b")
        assert store.writer.flush()
    assert store.written == ["a", "b"]
    store.write("c")
    until(lambda: store.written == ["a", "b", "c"])


def test_one_that_nobody_uses_any_more_leaves_no_thread_and_nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "IDLE_SECONDS", 0.05)
    store = Store()
    store.write("a")
    assert store.writer.flush()
    before = weakref.ref(store)
    del store

    def is_gone() -> bool:
        gc.collect()
        return before() is None

    until(is_gone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_waits_in_a_worker_of_multiprocessing_is_written_before_it_ends(tmp_path: Path) -> None:
    begun = Store()
    begun.write("before")
    assert begun.writer.flush()

    def work() -> None:
        def attempt() -> bool:
            time.sleep(0.3)
            (tmp_path / "written").touch()
            return True

        begun.writer.submit(Write(attempt, 1))

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert (tmp_path / "written").exists()


def test_at_the_end_a_failing_store_is_tried_once_and_what_is_left_is_told() -> None:
    store = Store()
    store.works = False
    for name in "abc":
        store.write(name)
    until(lambda: store.attempts > 0)
    assert not store.writer.flush()
    assert store.asked_by_hand == 1
    assert store.dropped == [3]
    assert store.writer.dropped == 3
    store.works = True
    store.write("d")
    assert store.writer.flush()
    assert store.written == ["d"]


def test_what_is_no_entry_is_not_counted_where_it_is_given_up() -> None:
    store = Store()
    store.works = False
    store.write("a lease's end", nbytes=0)
    store.write("an entry")
    until(lambda: store.attempts > 0)
    assert not store.writer.flush()
    assert store.dropped == [1]


@pytest.mark.parametrize("limit", ["MOST_WAITING", "MOST_BYTES"])
def test_what_finds_no_room_is_told_and_not_written(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, limit, 3)
    store, go_on = Store(), threading.Event()
    store.writer.submit(Write(lambda: go_on.wait(60), 1))
    for name in "abcd":
        store.write(name)
    assert store.dropped == [1, 1]
    go_on.set()
    assert store.writer.flush()
    assert store.written == ["a", "b"]


def test_what_is_forgotten_meanwhile_is_not_written() -> None:
    store, go_on = Store(), threading.Event()
    store.writer.submit(Write(lambda: go_on.wait(60), 0, "anna"))
    for voice in ("anna", "bob", "anna", ""):
        store.write(voice, 1, voice)
    store.writer.drop_voice("anna")
    go_on.set()
    assert store.writer.flush()
    assert store.written == ["bob", ""]
    assert store.dropped == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_writes_its_own_and_not_the_parents() -> None:
    store = Store()
    store.works = False
    store.write("parent")
    until(lambda: store.attempts > 0)

    def child() -> None:
        store.works = True
        store.write("child")
        assert store.writer.flush()
        assert store.written == ["child"]

    assert in_a_fork(child) == "done"
    store.works = True
    until(lambda: len(store.writer) == 0)
    assert store.written == ["parent"]
