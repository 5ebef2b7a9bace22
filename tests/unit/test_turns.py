"""One call at a time on one model."""

from __future__ import annotations

import gc
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from chatterbox_cached.concurrency import turns
from chatterbox_cached.concurrency.turns import out_of_turn, turn, watch
from tests.support.forks import in_a_fork


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
    with turn(model).lock, turn(model).lock, ThreadPoolExecutor(1) as pool:
        assert not pool.submit(lambda: turn(model).lock.acquire(blocking=False)).result()


def test_another_models_turn_is_free() -> None:
    one, two = Model(), Model()
    with turn(one).lock, ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: turn(two).lock.acquire(blocking=False)).result()


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
        with turn(model).lock:
            there.set()
            leave.wait(60)

    def take_in_the_child() -> None:
        with turn(model).lock:
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
        with turn(model).lock:
            pass

    with turn(model).lock:
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


SECONDS = 30


def by_join(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)


def by_result(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(SECONDS)


def by_all_results(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert not wait([pool.submit(work)], SECONDS).not_done


def by_leaving_the_pool(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work)


def by_event(work: Callable[[], None]) -> None:
    done = threading.Event()

    def then_tell() -> None:
        work()
        done.set()

    threading.Thread(target=then_tell, daemon=True).start()
    assert done.wait(SECONDS)


def by_queue(work: Callable[[], None]) -> None:
    pieces = queue.Queue[str]()

    def then_put() -> None:
        work()
        pieces.put("piece")

    threading.Thread(target=then_put, daemon=True).start()
    assert pieces.get(timeout=SECONDS) == "piece"


def by_way_of_another(work: Callable[[], None]) -> None:
    by_join(lambda: by_result(work))


WAYS = [by_join, by_result, by_all_results, by_leaving_the_pool, by_event, by_queue, by_way_of_another]


@pytest.mark.parametrize("wait_for", WAYS)
def test_a_thread_that_the_holder_waits_for_goes_ahead_within_its_turn(wait_for: Callable[..., None]) -> None:
    model, seen = Model(), list[bool]()

    def work() -> None:
        with turn(model).taken() as works_for_it:
            seen.append(works_for_it)

    with turn(model).taken() as works_for_it:
        assert not works_for_it
        wait_for(work)
        assert seen == [True]
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(lambda: turn(model).lock.acquire(blocking=False)).result(), "it is still its"


@pytest.mark.parametrize("wait_for", WAYS)
def test_a_thread_that_the_holder_does_not_wait_for_waits_though_it_waits_for_another(
    wait_for: Callable[..., None],
) -> None:
    model, order = Model(), list[object]()

    def other() -> None:
        with turn(model).taken() as works_for_it:
            order.append(works_for_it)

    with ThreadPoolExecutor(1) as pool:
        with turn(model).taken():
            waits = pool.submit(other)
            wait_for(lambda: threading.Event().wait(0.2))
            order.append("the holder is done")
        waits.result(SECONDS)
    assert order == ["the holder is done", False]


def test_a_thread_that_the_last_holder_waits_for_has_no_part_in_the_turn_of_the_next() -> None:
    model, there, leave = Model(), threading.Event(), threading.Event()

    def hold() -> None:
        with turn(model).taken():
            there.set()
            leave.wait(SECONDS)

    def ask() -> bool:
        with turn(model).taken() as works_for_it:
            return works_for_it

    with turn(model).taken():
        pass
    with ThreadPoolExecutor(2) as pool:
        pool.submit(hold)
        assert there.wait(SECONDS)
        asks = pool.submit(ask)
        with pytest.raises(TimeoutError):
            asks.result(0.2)
        leave.set()
        assert not asks.result(SECONDS)


def test_threads_that_want_each_others_turns_both_go_on() -> None:
    one, two, together, done = Model(), Model(), threading.Barrier(2), list[bool]()

    def take(mine: Model, others: Model) -> None:
        with turn(mine).taken():
            together.wait(SECONDS)
            with turn(others).taken() as works_for_it:
                done.append(works_for_it)

    threads = [threading.Thread(target=take, args=models, daemon=True) for models in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(done) == 2
    assert any(done)
