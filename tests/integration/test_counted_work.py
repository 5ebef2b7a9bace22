"""What a memory hit does, counted and not timed: one look at the file; nothing opened, hashed, copied or waited for."""

from __future__ import annotations

import builtins
import copy
import hashlib
import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import xxhash
from torch.utils._python_dispatch import TorchDispatchMode

import chatterbox_cached
from chatterbox_cached import CachedTTS, ConditionalCache
from chatterbox_cached.concurrency import one_by_one
from chatterbox_cached.identity import audio, weights
from chatterbox_cached.identity.code import looks
from tests.support.beside import at_each_call

Prepare = Callable[[], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the voice is prepared once."""
    return tmp_path_factory.mktemp("counted")


@pytest.fixture
def cache(folder: Path) -> ConditionalCache:
    return ConditionalCache(folder / "voices")


@pytest.fixture(params=["enable", "proxy", "by hand"])
def hit(request: pytest.FixtureRequest, english: Any, cache: ConditionalCache, settled: str) -> Iterator[Prepare]:
    """A call that is served from memory, in each of the ways to make one."""
    if request.param == "enable":
        chatterbox_cached.enable(cache=cache)
    proxy = CachedTTS(english, cache)
    ways: dict[str, Prepare] = {
        "enable": lambda: english.prepare_conditionals(settled),
        "proxy": lambda: proxy.prepare_conditionals(settled),
        "by hand": lambda: cache.get_or_prepare(english, settled),
    }
    for _ in range(2):  # what a first preparation has loaded late is looked at by the next call
        ways[request.param]()
        time.sleep(2 * looks.FULL_LOOK_SECONDS)
    ways[request.param]()
    before = cache.get_cache_stats()["memory_hits"]
    yield ways[request.param]
    assert cache.get_cache_stats()["memory_hits"] > before, "the test has made no memory hit"


@pytest.fixture(scope="module")
def settled(folder: Path, voice: Path) -> str:
    """A clip that was not written just now: such a one is read at every call."""
    clip = folder / "settled.wav"
    clip.write_bytes(voice.read_bytes())
    os.utime(clip, (1, 1))
    time.sleep(2.1)  # its change time can't be set back
    return str(clip)


def counted(monkeypatch: pytest.MonkeyPatch, *places: tuple[Any, str]) -> Counter[str]:
    """Count the calls of functions in this thread from here on: another may be writing the account."""
    calls: Counter[str] = Counter()
    this = threading.get_ident()

    def counting(name: str, real: Any) -> Any:
        def count(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == this:
                calls[name] += 1
            return real(*args, **kwargs)

        return count

    for owner, name in places:
        monkeypatch.setattr(owner, name, counting(name, getattr(owner, name)))
    return calls


def audited(work: Prepare) -> list[str]:
    """The names of the events that Python's audit hooks are told of meanwhile, in this thread."""
    _audited.append((threading.get_ident(), seen := []))
    try:
        work()
    finally:
        _audited.pop()
    return seen


def _hook(event: str, _: object) -> None:
    if _audited and _audited[-1][0] == threading.get_ident():
        _audited[-1][1].append(event)


_audited: list[tuple[int, list[str]]] = []
sys.addaudithook(_hook)  # it can't be taken out again


class Operations(TorchDispatchMode):
    """The operations that PyTorch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(operation.name())
        return operation(*args, **(kwargs or {}))


def tensors_of(one: Any, other: Any) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """The tensors of two ``Conditionals`` side by side, by name."""
    pairs = (("t3", vars(one.t3), vars(other.t3)), ("gen", one.gen, other.gen))
    return [
        (f"{part}.{name}", value, others[name])
        for part, fields, others in pairs
        for name, value in fields.items()
        if isinstance(value, torch.Tensor)
    ]


def test_a_memory_hit_looks_at_the_file_once_and_at_nothing_else(
    hit: Prepare, settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("stat", "lstat", "scandir", "listdir", "open", "readlink", "access")
    calls = counted(monkeypatch, *((os, name) for name in names))
    hit()
    monkeypatch.undo()
    assert calls == {"stat": 1}


def test_a_memory_hit_opens_no_file_and_no_connection(hit: Prepare) -> None:
    seen = audited(hit)
    assert not [event for event in seen if event.startswith(("open", "os.", "sqlite3.", "socket.", "subprocess."))]


def test_the_audit_sees_a_file_that_is_opened(settled: str) -> None:
    assert "open" in audited(lambda: Path(settled).read_bytes())


def test_a_memory_hit_computes_no_hash(hit: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(
        monkeypatch,
        (hashlib, "sha256"), (hashlib, "md5"), (hashlib, "new"), (xxhash, "xxh3_128"), (builtins, "open"), (io, "open"),
        (weights, "_digest"),
    )  # fmt: skip
    monkeypatch.setattr(looks, "FULL_LOOK_SECONDS", 0.0)  # also where the weights are looked at in full
    hit()
    monkeypatch.undo()
    assert not calls


def test_a_memory_hit_copies_no_tensor(hit: Prepare, english: Any) -> None:
    with Operations() as operations:
        hit()
    assert {name for name in operations.names if name != "aten::_lazy_clone"} == set()
    # What a lazy clone shares until somebody writes to it is seen by an address that is the same for two hits.
    first = english.conds
    hit()
    for name, one, other in tensors_of(first, english.conds):
        assert one is not other, name
        assert torch._C._data_address(one) == torch._C._data_address(other), name


def may_go_ahead() -> bool:
    """Whether another thread's hit would not have to wait now."""
    lock = one_by_one.one_by_one._lock

    def look() -> bool:
        taken = lock.acquire(blocking=False)
        if taken:
            lock.release()
        return taken

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(look).result()


def test_hits_of_several_threads_go_one_by_one(hit: Prepare) -> None:
    seen = list[bool]()
    with at_each_call(torch._lazy_clone, lambda: seen.append(may_go_ahead())):
        hit()
    assert seen == [False] * 7
    assert may_go_ahead()


def test_no_hit_waits_while_another_thread_reads_audio_or_weights(
    cache: ConditionalCache, english: Any, settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[str, bool]]()
    for module, name in ((audio, "_digest"), (weights, "_digest")):
        real = getattr(module, name)

        def reading(*args: Any, name: str = module.__name__, real: Any = real) -> Any:
            seen.append((name.rpartition(".")[2], may_go_ahead()))
            return real(*args)

        monkeypatch.setattr(module, name, reading)
    cache.get_or_prepare(copy.copy(english), settled)
    with open(settled, "rb") as file:
        cache.get_or_prepare(english, file)
    assert set(seen) == {("audio", True), ("weights", True)}


def test_a_memory_hit_is_not_held_up_by_another_voice(
    cache: ConditionalCache, english: Any, settled: str, other_voice: Path
) -> None:
    """One thread is in the middle of preparing another voice on another model, and stays there."""
    other, within, go_on = copy.copy(english), threading.Event(), threading.Event()
    cache.get_or_prepare(english, settled)

    def hold() -> None:
        within.set()
        assert go_on.wait(60)

    def prepare() -> None:
        with at_each_call(type(english.s3gen).embed_ref, hold):
            cache.get_or_prepare(other, other_voice)

    preparing = threading.Thread(target=prepare)
    hitting = threading.Thread(target=lambda: cache.get_or_prepare(english, settled))
    preparing.start()
    try:
        assert within.wait(60)
        hitting.start()
        hitting.join(30)
        assert not hitting.is_alive(), "the hit waits for the other voice"
        assert cache.get_cache_stats()["memory_hits"] == 1
    finally:
        go_on.set()
        preparing.join()
