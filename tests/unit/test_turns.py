"""One call at a time on one model."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

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
