"""Brief works of several threads follow each other, and no thread waits for long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatterbox_cached.concurrency.one_by_one import OneByOne


def test_brief_works_of_several_threads_follow_each_other() -> None:
    one_by_one, together = OneByOne(), threading.Barrier(4)
    at_work, most = 0, 0

    def work() -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.001)
        at_work -= 1
        return 7

    def run(_: int) -> int:
        together.wait(10)
        return one_by_one.run(work)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [7] * 4
    assert most == 1


def test_nobody_waits_for_a_brief_work_that_is_none() -> None:
    one_by_one, leave = OneByOne(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            long = pool.submit(lambda: one_by_one.run(lambda: leave.wait(60)))
            assert one_by_one.run(lambda: "done") == "done"
            assert not long.done()
        finally:
            leave.set()
    assert one_by_one._lock.acquire(blocking=False)


def test_a_work_that_is_not_brief_gives_way() -> None:
    one_by_one = OneByOne()

    def long() -> bool:
        one_by_one.give_way()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: one_by_one._lock.acquire(blocking=False)).result()

    assert one_by_one.run(long)


def test_giving_way_is_for_whoever_has_it_only() -> None:
    one_by_one = OneByOne()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: one_by_one._lock.acquire(blocking=False)).result()
        one_by_one.give_way()
        assert not one_by_one._lock.acquire(blocking=False)


def test_a_brief_work_that_fails_leaves_nothing_locked() -> None:
    one_by_one = OneByOne()
    with pytest.raises(ZeroDivisionError):
        one_by_one.run(lambda: 1 // 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: one_by_one._lock.acquire(blocking=False)).result()
