"""A shared store that is away, slow, full, read-only, closed to us or lying, against the real servers.

The caller has upstream's voice, hears of it once, waits for one timeout at most, and the store is used again by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.proxy import Proxy, proxy
from benchmarks.servers import BUCKET, Seaweed, Valkey, free_port, running
from chatterbox_cached import CacheWarning
from chatterbox_cached.voice import entry_format
from tests.support.fleet_worker import Worker
from tests.support.scenery import until, voices
from tests.support.stage import Stage
from tests.support.tally import tried

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

CONNECT, OPERATION = 0.2, 1.0
SLACK = 6.0  # for a busy machine; without an end to each operation the slow ones take a minute and more


@contextlib.contextmanager
def refusing(between: Proxy) -> Iterator[None]:
    between.refuse()
    yield
    between.listen()


def does(**what: Any) -> Callable[[Proxy], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def changed(between: Proxy) -> Iterator[None]:
        before = {name: getattr(between, name) for name in what}
        for name, value in what.items():
            setattr(between, name, value)
        between.cut()
        yield
        for name, value in before.items():
            setattr(between, name, value)
        between.cut()

    return changed


NETWORKS: dict[str, Callable[[Proxy], AbstractContextManager[None]]] = {
    "it is away": refusing,
    "it answers nothing": does(silent=True),
    "it answers slowly": does(delay=5.0),
    "it answers byte by byte": does(delay=0.3, piece=1),
    "connections are cut in the middle of a value": does(cut_after=8000),
    "connections are cut at once": does(cut_after=0),
    "it speaks HTTP": does(nonsense=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "it finds nothing": does(nonsense=b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "it speaks RESP": does(nonsense=b"-ERR unknown command\r\n"),
    "it speaks nonsense": does(nonsense=bytes(range(256)) * 50),
}


def with_a_bad_network(folder: Path, kind: str, port: int, env: dict[str, str], name: str, opened: bool) -> Any:
    """What was told and counted, the seconds of the longest call, and whether the store is used again."""
    os.environ.update(env)
    known, other, new = voices(folder, 3)
    with proxy(port) as between, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        os.environ["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{between.port}"
        url = f"valkey://127.0.0.1:{between.port}/0" if kind == "valkey" else f"s3://{BUCKET}/{folder.name}"
        settings = {"namespace": f"{abs(hash(str(folder)))}"}
        first = Worker(folder / "first", url, **settings)
        for path in (known, other):
            first.wants(path)
        first.cache.close()
        worker = Worker(folder / "mine", url, **settings)
        if opened:
            worker.wants(other)
        longest = 0.0
        with NETWORKS[name](between):
            for path in (known, new, known, new):
                began = time.monotonic()
                worker.wants(path)
                longest = max(longest, time.monotonic() - began)
                tried("calls while a shared store was out of order")
        errors = worker.stats()["errors"]
        until(worker.finds_it_back)
        worker.cache.clear_disk()
        before = worker.stats()["shared_hits"]
        for path in (other, known):
            worker.wants(path)
        served = worker.stats()["shared_hits"] - before
        worker.store.try_again()
        worker.puts()
        newcomer = Worker(folder / "new", url, **settings)
        newcomer.wants(new)
        ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
        places = sorted({place.split()[0] for place in errors})
        return len(ours), places == [worker.store.name], longest, served, newcomer.stats()["shared_hits"]


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        *((name, False) for name in NETWORKS),
        *(
            (name, True)
            for name in ("it is away", "it answers nothing", "connections are cut in the middle of a value")
        ),
    ],
)
@pytest.mark.parametrize("kind", ["valkey", "s3"])
def test_a_bad_network_costs_one_timeout_and_one_warning(
    kind: str, name: str, opened: bool, stage: Stage, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    env = server.environment if kind == "s3" else {}
    told, only_there, longest, served, put = stage(
        with_a_bad_network, kind, server.port, env, name, opened, folder=tmp_path
    )
    assert (told, only_there) == (1, True)
    assert longest < CONNECT + OPERATION + SLACK
    assert served == 2
    assert put == 1


def nearest_is_away(folder: Path, port: int, far: str, env: dict[str, str], name: str) -> Any:
    """Which store gave what, and what the nearest has of both voices once it is back."""
    os.environ.update(env)
    known, new = voices(folder, 2)
    with proxy(port) as between, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        near, settings = f"valkey://127.0.0.1:{between.port}/0", {"namespace": folder.name}
        first = Worker(folder / "first", far, **settings, operation_seconds=20)
        first.wants(known)
        first.cache.close()
        worker = Worker(folder / "mine", [near, far], **settings)
        far_tier = worker.cache.serving.store.shared.tiers[1]
        far_tier.shared._operation_seconds = 20.0  # it is in order, and only the machine may be busy
        with NETWORKS[name](between):
            worker.wants(known)
            worker.wants(new)
        given = worker.stats()["shared_hits_in"]
        until(worker.finds_it_back)
        worker.store.try_again()
        worker.puts()
        there = len(worker.store.shared.keys())
        until(lambda: len(far_tier.shared.keys()) == 2)
    ours = [warning for warning in told if warning.category is CacheWarning]
    return len(ours), given == {far_tier.name: 1}, there


@pytest.mark.parametrize("name", ["it is away", "it answers nothing", "it speaks nonsense"])
def test_where_the_nearest_of_two_stores_fails_the_other_serves_and_both_have_it_in_the_end(
    name: str, stage: Stage, tmp_path: Path, valkey: Valkey, s3: Seaweed
) -> None:
    assert stage(nearest_is_away, valkey.port, s3.url, s3.environment, name, folder=tmp_path) == [1, True, 2]


# What a server itself does


def _lowered(server: Valkey, **options: Any) -> AbstractContextManager[None]:
    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        client = server.client()
        names = {name: name.replace("_", "-") for name in options}
        before = {name: client.config_get(option)[option] for name, option in names.items()}
        for name, option in names.items():
            client.config_set(option, options[name])
        try:
            yield
        finally:
            for name, option in names.items():
                client.config_set(option, before[name])

    return changed()


@contextlib.contextmanager
def _a_replica(server: Valkey) -> Iterator[None]:
    """Of a server that is away, so that it gives what it has and takes nothing."""
    server.client().execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        server.client().execute_command("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def _for_readers(server: Valkey) -> Iterator[None]:
    server.client().execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        yield
    finally:
        server.client().execute_command("ACL", "SETUSER", "default", "+@all")


def _full_in_use(server: Valkey) -> int:
    return int(server.client().info("memory")["used_memory"])


TAKES_NOTHING: dict[str, Callable[[Valkey], AbstractContextManager[None]]] = {
    "it is full": lambda server: _lowered(server, maxmemory=_full_in_use(server), maxmemory_policy="noeviction"),
    "it is a replica": _a_replica,
    "we may only read": _for_readers,
}


def takes_nothing(folder: Path, port: int, name: str) -> Any:
    known, new = voices(folder, 2)
    url = f"valkey://127.0.0.1:{port}/0"
    settings = {"namespace": folder.name}
    first = Worker(folder / "first", url, **settings)
    first.wants(known)
    first.cache.close()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        worker = Worker(folder / "mine", url, **settings)
        with TAKES_NOTHING[name](Valkey(port)):
            for path in (known, new, known, new):
                worker.wants(path)
            until(lambda: bool(worker.stats()["errors"]))
        given = worker.stats()["shared_hits"]
        worker.store.try_again()
        worker.puts()
    newcomer = Worker(folder / "new", url, **settings)
    newcomer.wants(new)
    ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
    return len(ours), given, newcomer.stats()["shared_hits"]


@pytest.mark.parametrize("name", TAKES_NOTHING)
def test_a_store_that_takes_nothing_gives_what_it_has_and_is_put_to_later(
    name: str, stage: Stage, tmp_path: Path, valkey: Valkey
) -> None:
    assert stage(takes_nothing, valkey.port, name, folder=tmp_path) == [1, 1, 1]


def evicts(folder: Path, port: int) -> Any:
    url, paths = f"valkey://127.0.0.1:{port}/0", voices(folder, 150)
    worker = Worker(folder / "mine", url, namespace=folder.name)
    server = Valkey(port)
    with _lowered(server, maxmemory=_full_in_use(server) + 1_500_000, maxmemory_policy="volatile-lru"):
        worker.cache.forget(paths[0])
        for path in paths:
            worker.wants(path)
        worker.puts()
        there = len(worker.store.shared.keys())
        newcomer = Worker(folder / "new", url, namespace=folder.name)
        for path in paths:
            newcomer.wants(path)
    counted = newcomer.stats()
    return there, counted["shared_hits"], counted["errors"], counted["not_stored"]


def test_a_store_that_evicts_drops_voices_and_nothing_else(stage: Stage, tmp_path: Path, valkey: Valkey) -> None:
    there, found, errors, not_stored = stage(evicts, valkey.port, folder=tmp_path)
    assert 0 < found <= there < 150
    assert errors == {}
    assert not_stored == {"voice was forgotten": 1}  # which was never evicted


def closed_to_us(folder: Path, kind: str, url: str, env: dict[str, str]) -> Any:
    os.environ.update(env)
    paths = voices(folder, 2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        worker = Worker(folder / "mine", url, namespace=folder.name)
        for path in (*paths, *paths):
            worker.wants(path)
        worker.cache.close()
    ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
    return len(ours), "hush" not in "".join(ours), worker.stats()["misses"]


NO_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
CLOSED: dict[str, tuple[str, dict[str, str]]] = {
    "a user who is not known": ("valkey://someone:hush@127.0.0.1:{valkey}/0", {}),
    "a database that is not there": ("valkey://127.0.0.1:{valkey}/99", {}),
    "TLS where there is none": ("valkeys://127.0.0.1:{valkey}/0", {}),
    "a socket that is not there": ("unix:///nowhere/valkey.sock", {}),
    "a name that is not there": ("valkey://nowhere.invalid:6379/0", {}),
    "an option that is not known": ("valkey://127.0.0.1:{valkey}/0?colour=red", {}),
    "another secret": (f"s3://{BUCKET}/closed", {"AWS_SECRET_ACCESS_KEY": "hush"}),
    "no credentials": (f"s3://{BUCKET}/closed", NO_CREDENTIALS),
    "a bucket that is not there": ("s3://nobodys-bucket/closed", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_a_store_that_is_closed_to_us_is_told_of_once(
    name: str, stage: Stage, tmp_path: Path, valkey: Valkey, request: pytest.FixtureRequest
) -> None:
    url, env = CLOSED[name]
    kind = "s3" if url.startswith("s3") else "valkey"
    environment = {**request.getfixturevalue("s3").environment, **env} if kind == "s3" else {}
    told, hushed, misses = stage(closed_to_us, kind, url.format(valkey=valkey.port), environment, folder=tmp_path)
    assert (told, hushed, misses) == (1, True, 2)


@pytest.mark.parametrize(
    ("login", "told", "misses"), [("", 1, 2), (":wrong-hush@", 1, 2), (":hush@", 0, 2), ("default:hush@", 0, 2)]
)
def test_a_password_is_given_and_never_shown(login: str, told: int, misses: int, stage: Stage, tmp_path: Path) -> None:
    with running(lambda: Valkey(requirepass="hush")) as server:
        url = f"valkey://{login}127.0.0.1:{server.port}/0"
        assert stage(closed_to_us, "valkey", url, {}, folder=tmp_path) == [told, True, misses]
        assert bool(server.client().keys("*")) is not bool(told)


# What is in it


def _damage(value: bytes, name: str) -> bytes:
    changes = {
        "truncated": value[:-7],
        "empty": b"",
        "a bit": value[:-100] + bytes([value[-100] ^ 1]) + value[-99:],
        "unsigned": value,
        "not an entry": b"not an entry",
        "larger than any voice": value + bytes(17 * 2**20),
    }
    return changes[name]


def changed_there(folder: Path, kind: str, url: str, env: dict[str, str], name: str) -> Any:
    """Whoever can write to the store has changed every value in it."""
    os.environ.update(env)
    (path,) = voices(folder, 1)
    settings = {"namespace": folder.name}
    first = Worker(
        folder / "first", url, **settings, **({"signing_key": None, "signed": False} if name == "unsigned" else {})
    )
    first.wants(path)
    first.puts()
    for key in (there := first.store.shared).keys():  # noqa: SIM118
        there.put(key, _damage(there.get(key), name))  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        worker = Worker(folder / "mine", url, **settings)
        worker.wants(path)
        worker.puts()
        counted = worker.stats()
        newcomer = Worker(folder / "new", url, **settings)
        newcomer.wants(path)
    ours = [str(warning.message) for warning in told if warning.category is CacheWarning]
    failures = sum(counted["errors"].values())
    return len(ours), failures, counted["misses"], counted["shared_hits"], newcomer.stats()["shared_hits"]


@pytest.mark.parametrize("name", ["truncated", "empty", "a bit", "unsigned", "not an entry", "larger than any voice"])
@pytest.mark.parametrize("kind", ["valkey", "s3"])
def test_what_was_changed_in_the_store_is_prepared_again_and_replaced(
    kind: str, name: str, stage: Stage, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    env = server.environment if kind == "s3" else {}
    assert stage(changed_there, kind, server.url, env, name, folder=tmp_path) == [1, 1, 1, 0, 1]


def larger_than_any(folder: Path, url: str) -> Any:
    """A voice that no reader would take, prepared three times."""
    (path,) = voices(folder, 1)
    worker = Worker(folder / "mine", url, namespace=folder.name)
    entry_format.MOST_BYTES = 1000
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            worker.wants(path)
        worker.cache.get_or_prepare(worker.model, path)
        worker.cache.close()
    now, ours = worker.stats(), [str(warning.message) for warning in told if warning.category is CacheWarning]
    assert len(ours) == 1, ours
    assert "larger than any voice" in ours[0]
    return now["errors"], now["misses"], now["memory_hits"], now["disk_cached_items"], worker.store.shared.keys()


def test_what_is_larger_than_any_voice_is_put_nowhere_and_told_once(
    stage: Stage, tmp_path: Path, valkey: Valkey
) -> None:
    assert stage(larger_than_any, valkey.url, folder=tmp_path) == [{"store": 3}, 3, 1, 0, []]


def other_kinds_there(folder: Path, port: int) -> Any:
    """Something else has taken our names."""
    (path,) = voices(folder, 1)
    worker = Worker(folder / "mine", f"valkey://127.0.0.1:{port}/0", namespace=folder.name)
    root, client = worker.store.shared._root, Valkey(port).client()
    for name in ("voices", "forgotten"):
        client.rpush(f"{root}:{name}", "a list")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            worker.wants(path)
    return len([warning for warning in told if warning.category is CacheWarning])


def test_names_that_something_else_has_taken_are_a_failure_like_any_other(
    stage: Stage, tmp_path: Path, valkey: Valkey
) -> None:
    assert stage(other_kinds_there, valkey.port, folder=tmp_path) == 1


def dies_and_comes_back(folder: Path, port: int) -> Any:
    paths = voices(folder, 6)
    server = Valkey(port)
    server.start()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        worker = Worker(folder / "mine", server.url)
        for path in paths[:2]:
            worker.wants(path)
        worker.puts()
        server.kill()
        for path in paths:
            worker.wants(path)
        server.start()
        until(worker.finds_it_back)
        worker.store.try_again()
        worker.puts()
        newcomer = Worker(folder / "new", server.url)
        for path in paths:
            newcomer.wants(path)
        server.end()
    return len([warning for warning in told if warning.category is CacheWarning]), newcomer.stats()["shared_hits"]


def test_a_server_that_is_killed_and_started_again_is_used_again(stage: Stage, tmp_path: Path) -> None:
    told, found = stage(dies_and_comes_back, free_port(), folder=tmp_path)
    assert told == 1
    assert found == 6  # those that it had lost as well, which this machine had on its disk
