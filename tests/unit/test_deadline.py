"""An operation on another machine ends in time, whatever it hangs in, and hangs no other."""

from __future__ import annotations

import os
import threading

import pytest

from chatterbox_cached.concurrency.deadline import within


def test_what_an_operation_gives_or_raises_is_the_callers() -> None:
    assert within(20, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(20, lambda: 1 // 0)


def test_one_operation_after_the_other_takes_one_thread() -> None:
    assert len({within(20, threading.get_ident) for _ in range(50)}) == 1
    assert within(20, threading.get_ident) != threading.get_ident()


def test_an_operation_that_hangs_ends_in_time_and_holds_up_no_other() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def hang() -> int:
        go_on.wait(60)
        ended.set()
        return threading.get_ident()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        within(0.1, hang)
    assert within(20, lambda: 7) == 7
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(20)  # it ends unseen
    assert within(20, lambda: 8) == 8


def test_callers_at_once_do_not_wait_for_each_other_and_leave_few_threads_behind() -> None:
    together = threading.Barrier(30, timeout=60)
    given: list[int] = []
    callers = [threading.Thread(target=lambda: given.append(within(60, together.wait))) for _ in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(given) == list(range(30))
    for thread in threading.enumerate():
        if thread.name == "chatterbox-cached-shared":
            thread.join(0.2)
    assert sum(thread.name == "chatterbox-cached-shared" for thread in threading.enumerate()) <= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    within(20, lambda: None)  # there is one that only the parent has
    child = os.fork()
    if not child:
        try:
            os._exit(0 if within(20, lambda: 7) == 7 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
