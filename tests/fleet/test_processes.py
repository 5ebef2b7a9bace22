"""Shared stores and processes: nothing is connected to before a call, a fork has connections of its own, and what waits
is put before a program ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import chatterbox_cached
from benchmarks.proxy import proxy
from benchmarks.servers import Server, Valkey
from chatterbox_cached import CacheWarning
from tests.support.commands import REPOSITORY, STANDIN
from tests.support.fleet_worker import KEY, Worker
from tests.support.scenery import ended_well, forked, voices
from tests.support.stage import Stage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(params=["valkey", "s3"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def environment_of(server: Server) -> dict[str, str]:
    return getattr(server, "environment", {})


def namespace_of(folder: Path) -> str:
    return re.sub(r"\W", "-", folder.name)


def forked_workers(folder: Path, url: str, env: dict[str, str]) -> Any:
    """As under gunicorn with --preload: the parent has used the store, and goes on while its children do."""
    os.environ.update(env)
    paths = voices(folder, 6)
    worker = Worker(folder / "mine", url, namespace=namespace_of(folder), operation_seconds=20)
    worker.wants(paths[0])
    worker.puts()

    def child(number: int) -> None:
        for path in (paths[0], paths[number]):
            worker.wants(path)
        worker.puts()
        assert worker.stats()["errors"] == {}

    children = [forked(lambda number=number: child(number)) for number in range(1, 5)]  # type: ignore[misc]
    worker.wants(paths[5])
    well = ended_well(*children)
    worker.puts()
    newcomer = Worker(folder / "new", url, namespace=namespace_of(folder), operation_seconds=20)
    for path in paths:
        newcomer.wants(path)
    return well, worker.stats()["errors"], newcomer.stats()["shared_hits"]


def test_a_forked_worker_has_connections_of_its_own(server: Server, stage: Stage, tmp_path: Path) -> None:
    assert stage(forked_workers, server.url, environment_of(server), folder=tmp_path) == [True, {}, 6]  # type: ignore[attr-defined]


def in_an_event_loop(folder: Path, url: str, env: dict[str, str]) -> Any:
    os.environ.update(env)
    paths = voices(folder, 4)
    settings = {"namespace": namespace_of(folder), "operation_seconds": 20}
    first, second = Worker(folder / "first", url, **settings), Worker(folder / "second", url, **settings)

    async def ask(worker: Worker) -> None:
        worker.wants(paths[0])  # in the loop's own thread
        await asyncio.gather(*(asyncio.to_thread(worker.wants, path) for path in paths * 3))

    asyncio.run(ask(first))
    first.cache.close()
    asyncio.run(ask(second))
    return second.stats()["misses"], first.stats()["errors"], second.stats()["errors"]


def test_calls_from_an_event_loop_and_its_threads_are_served(server: Server, stage: Stage, tmp_path: Path) -> None:
    assert stage(in_an_event_loop, server.url, environment_of(server), folder=tmp_path) == [0, {}, {}]  # type: ignore[attr-defined]


def before_the_first_call(folder: Path, port: int) -> Any:
    (path,) = voices(folder, 1)
    with proxy(port) as between:
        cache = chatterbox_cached.enable(
            folder / "mine", shared=f"valkey://127.0.0.1:{between.port}/0", signing_key=KEY, namespace=folder.name
        )
        from chatterbox.tts import ChatterboxTTS

        model = ChatterboxTTS()
        cache.get_cache_stats()
        repr(cache)
        before = between.connections
        model.prepare_conditionals(path)
        cache.close()
        chatterbox_cached.disable()
        return before, between.connections > 0


def test_nothing_is_connected_to_before_the_first_voice(stage: Stage, tmp_path: Path, valkey: Valkey) -> None:
    assert stage(before_the_first_call, valkey.port, folder=tmp_path) == [0, True]


PROGRAM = """
import sys
from pathlib import Path
import chatterbox_cached
from chatterbox.tts import ChatterboxTTS

chatterbox_cached.enable(sys.argv[1])
model = ChatterboxTTS()
for path in sys.argv[2:]:
    model.prepare_conditionals(path)
print(chatterbox_cached.stats()["shared_hits"], chatterbox_cached.stats()["misses"])
"""


def test_what_waits_is_put_before_a_program_ends(server: Server, tmp_path: Path) -> None:
    paths = list(map(str, voices(tmp_path, 5)))
    settings = {
        "PYTHONPATH": f"{STANDIN}{os.pathsep}{REPOSITORY}",
        "CHATTERBOX_CACHED_SHARED": server.url,  # type: ignore[attr-defined]
        "CHATTERBOX_CACHED_SIGNING_KEY": KEY,
        "CHATTERBOX_CACHED_NAMESPACE": namespace_of(tmp_path),
        "CHATTERBOX_CACHED_OPERATION_SECONDS": "20",
    }

    def run(folder: str) -> str:
        program = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / folder), *paths]
        return subprocess.run(
            program, env=os.environ | environment_of(server) | settings, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert [run("first"), run("second")] == ["0 5", "5 0"]


def a_program_that_ends(folder: Path, port: int) -> Any:
    """Seconds that closing takes, with a store that answers nothing, and how many entries were given up."""
    with proxy(port) as between, warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        between.silent = True
        worker = Worker(folder / "mine", f"valkey://127.0.0.1:{between.port}/0", namespace=folder.name)
        for path in voices(folder, 20):
            worker.wants(path)
        began = time.monotonic()
        worker.cache.close()
        return time.monotonic() - began, worker.stats()["shared"][worker.store.name]["dropped"]


def test_a_store_that_answers_nothing_holds_up_the_end_for_one_attempt(
    stage: Stage, tmp_path: Path, valkey: Valkey
) -> None:
    seconds, dropped = stage(a_program_that_ends, valkey.port, folder=tmp_path)
    assert seconds < 1.2 + 6.0  # of twenty entries
    assert dropped == 20


def interrupted(folder: Path, port: int) -> Any:
    known, other = voices(folder, 2)
    with proxy(port) as between:
        worker = Worker(
            folder / "mine", f"valkey://127.0.0.1:{between.port}/0", namespace=folder.name, operation_seconds=60
        )
        worker.wants(known)
        worker.puts()
        between.silent = True
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            worker.wants(other)
        except KeyboardInterrupt:
            stopped = time.monotonic() - began
        between.silent = False
        between.cut()
        worker.wants(other)
        worker.wants(known)
        return stopped < 30, worker.stats()["disk_hits"]


def test_ctrl_c_ends_a_wait_for_the_store(stage: Stage, tmp_path: Path, valkey: Valkey) -> None:
    assert stage(interrupted, valkey.port, folder=tmp_path) == [True, 1]
