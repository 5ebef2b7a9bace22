"""How many threads each of several processes gets, in every library that has some."""

from __future__ import annotations

import os

import pytest

from chatterbox_cached.cli.threads import environment_of_each


@pytest.mark.parametrize(
    ("asked_for", "processes", "share"), [("8", 2, "4"), ("7", 2, "3"), ("1", 2, "1"), ("2", 3, "1"), ("6,2", 2, "3")]
)
def test_processes_divide_the_threads_that_are_asked_for(
    asked_for: str, processes: int, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked_for)
    told = environment_of_each(processes)
    assert set(told.values()) == {share}
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(told)


@pytest.mark.parametrize("asked_for", [None, "", "many", "0", "-1"])
def test_without_a_number_they_divide_the_cores(asked_for: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked_for is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked_for)
    alone, share = (int(environment_of_each(processes)["OMP_NUM_THREADS"]) for processes in (1, 2))
    assert 1 <= alone <= (os.cpu_count() or 1)
    assert share == max(1, alone // 2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process is kept to some processors by Linux")
def test_a_core_that_this_process_may_not_use_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert environment_of_each(1)["OMP_NUM_THREADS"] == "1"
    finally:
        os.sched_setaffinity(0, allowed)
