"""One call at a time on one model."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatterbox_cached import turns
from chatterbox_cached.turns import OneByOne, out_of_turn, turn, watch
from tests.unit.forks import in_a_fork


class Model:
    pass


def test_a_model_has_one_turn_and_another_model_another() -> None:
    one, two = Model(), Model()
    assert turn(one) is turn(one)
    assert turn(one) is not turn(two)


def test_threads_that_ask_at_once_get_the_same_turn() -> None:
    model, together = Model(), threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait()
        return id(turn(model))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_a_turn_is_free_for_its_holder_and_for_nobody_else() -> None:
    model = Model()
    with turn(model), turn(model), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(lambda: turn(model).acquire(blocking=False)).result()


def test_another_models_turn_is_free() -> None:
    one, two = Model(), Model()
    with turn(one), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: turn(two).acquire(blocking=False)).result()


def test_a_turn_goes_with_its_model() -> None:
    gc.collect()
    before = len(turns._turns._of)
    models = [Model() for _ in range(5)]
    held = [turn(model) for model in models]
    assert len(turns._turns._of) == before + 5
    models.clear()
    gc.collect()
    assert len(turns._turns._of) == before
    assert held


def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    model, there, leave = Model(), threading.Event(), threading.Event()

    def take() -> None:
        with turn(model):
            there.set()
            leave.wait(60)

    def take_in_the_child() -> None:
        with turn(model):
            pass

    thread = threading.Thread(target=take)
    thread.start()
    there.wait(60)
    try:
        assert in_a_fork(take_in_the_child) == "done"
    finally:
        leave.set()
        thread.join()


def test_a_forked_childs_own_turn_is_still_its_own() -> None:
    model = Model()

    def take_again() -> None:
        with turn(model):
            pass

    with turn(model):
        assert in_a_fork(take_again) == "done"


def test_what_runs_out_of_turn_disturbs_others_and_not_itself() -> None:
    model = Model()
    before = watch(model)
    with out_of_turn(model), ThreadPoolExecutor(1) as pool:
        assert not before()
        assert watch(model)()
        assert not pool.submit(lambda: watch(model)()).result()
    assert not before()
    assert watch(model)()


def test_what_was_begun_and_ended_meanwhile_has_disturbed_too() -> None:
    model = Model()
    undisturbed, of_another = watch(model), watch(Model())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: out_of_turn(model).__enter__()).result()
    assert not undisturbed()
    assert of_another()


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
