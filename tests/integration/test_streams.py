"""A fork's ``generate`` that speaks piece by piece, on a real model: whose turn it is, and whose voice is heard."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached
from chatterbox_cached import CachedTTS, ConditionalCache, ExaggerationMismatchError
from chatterbox_cached.concurrency import turns
from chatterbox_cached.concurrency.turns import turn
from chatterbox_cached.upstream.context import is_doing

PIECES = 3


def speaker(model: Any) -> torch.Tensor:
    """Whose voice the model has now."""
    embedding: torch.Tensor = model.conds.gen["embedding"].clone()
    return embedding


def generator(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> Iterator[Any]:
    if reference is not None:
        self.prepare_conditionals(reference, exaggeration)
    for _ in range(PIECES):
        yield speaker(self)


def at_once(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> Iterator[Any]:
    """Prepares when it is called, and speaks later."""
    if reference is not None:
        self.prepare_conditionals(reference, exaggeration)
    return (speaker(self) for _ in range(PIECES))


async def asynchronous(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> AsyncIterator[Any]:
    if reference is not None:
        self.prepare_conditionals(reference, exaggeration)
    for _ in range(PIECES):
        await asyncio.sleep(0)
        yield speaker(self)


async def coroutine(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> list[Any]:
    self.prepare_conditionals(reference, exaggeration)
    said = []
    for _ in range(PIECES):
        await asyncio.sleep(0)
        said.append(speaker(self))
    return said


def conversing(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> Any:
    """Takes what it is sent and thrown, and gives something at its end."""
    got = []
    try:
        while len(got) < PIECES:
            try:
                got.append((yield len(got)))
            except LookupError as error:  # noqa: PERF203
                got.append(error)
    finally:
        self.closed = is_doing("generate", self)
    return got


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the class generate in this way."""

    def speaking(function: Any, name: str = "generate") -> None:
        monkeypatch.setattr(ChatterboxTTS, name, function, raising=False)

    return speaking


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the module, so that each voice is prepared once."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture
def voices(english: Any, voice: Path, other_voice: Path, folder: Path) -> dict[Path, torch.Tensor]:
    """Two voices, with what speaks in each."""
    cache = ConditionalCache(folder)
    return {each: cache.get_or_prepare(english, each).gen["embedding"].clone() for each in (voice, other_voice)}


def same(said: Any, expected: torch.Tensor) -> list[bool]:
    return [torch.equal(piece, expected) for piece in said]


ALL = [True] * PIECES


@pytest.mark.parametrize("function", [generator, at_once], ids=["generator", "prepares at once"])
def test_no_piece_has_another_threads_voice(
    function: Any, english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(function)
    together = threading.Barrier(2)

    def speak(which: Path) -> list[bool]:
        together.wait()
        right = []
        for _ in range(4):
            for piece in english.generate("x", which):
                threading.Event().wait(0.01)
                right.append(torch.equal(piece, voices[which]))
        return right

    with chatterbox_cached.enabled(folder), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(speak, voices)) == [ALL * 4] * 2


def test_a_call_waits_until_the_stream_is_exhausted_closed_or_gone(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator)
    first, second = voices
    with chatterbox_cached.enabled(folder), ThreadPoolExecutor(1) as pool:
        for end in (list, lambda stream: stream.close(), lambda stream: None):
            stream = english.generate("x", first)
            next(stream)
            waits = pool.submit(english.prepare_conditionals, second)
            assert not waits.done()
            with pytest.raises(TimeoutError):
                waits.result(0.2)
            end(stream)
            del stream
            gc.collect()
            waits.result(4)
            assert not turn(english).reserved


def test_a_stream_that_is_not_begun_holds_nothing(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator)
    first, second = voices
    with chatterbox_cached.enabled(folder), ThreadPoolExecutor(1) as pool:
        stream = english.generate("x", first)
        pool.submit(english.prepare_conditionals, second).result(4)
        assert same(stream, voices[first]) == ALL


def test_a_stream_that_nobody_goes_on_with_is_passed_by_and_keeps_its_voice(
    english: Any,
    voices: dict[Path, torch.Tensor],
    folder: Path,
    speaking: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speaking(generator)
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.2)
    first, second = voices
    with chatterbox_cached.enabled(folder), ThreadPoolExecutor(1) as pool:
        stream = english.generate("x", first)
        said = [next(stream)]
        pool.submit(english.prepare_conditionals, second).result(10)
        said.extend(stream)
        assert same(said, voices[first]) == ALL
        assert torch.equal(speaker(english), voices[second]), "the other caller's voice is still there for it"


def test_its_consumer_may_prepare_and_generate_meanwhile_as_without_the_cache(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator)
    first, second = voices

    def relayed() -> Iterator[Any]:
        yield from english.generate("x", first)

    def consume(stream: Iterator[Any]) -> list[Any]:
        said = []
        for piece in stream:
            said.append(piece)
            if len(said) == 1:
                english.prepare_conditionals(second)
                assert not is_doing("generate", english), "left in the consumer's context"
            if len(said) == 2:
                said.extend(english.generate("y", second))
        return said

    plain = [consume(english.generate("x", first)), consume(relayed())]
    with chatterbox_cached.enabled(folder):
        cached = [consume(english.generate("x", first)), consume(relayed())]
    for one, other in zip(plain, cached, strict=True):
        assert len(one) == len(other) == 2 * PIECES
        assert all(map(torch.equal, one, other))


def test_a_stream_may_go_from_thread_to_thread(
    english: Any,
    voices: dict[Path, torch.Tensor],
    folder: Path,
    speaking: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speaking(generator)
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.2)  # a new thread each time, which the other stream keeps waiting
    first, second = voices
    with chatterbox_cached.enabled(folder):
        streams = {which: english.generate("x", which) for which in voices}
        said: dict[Path, list[Any]] = {which: [] for which in voices}
        for _ in range(PIECES):
            for which, stream in streams.items():
                with ThreadPoolExecutor(1) as pool:
                    said[which].append(pool.submit(next, stream).result(10))
        assert same(said[first], voices[first]) == same(said[second], voices[second]) == ALL


def test_one_thread_that_serves_two_consumers_keeps_their_voices_apart(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator)
    with chatterbox_cached.enabled(folder), ThreadPoolExecutor(1) as pool:
        streams = {which: english.generate("x", which) for which in voices}
        said = [{which: pool.submit(next, stream).result(4) for which, stream in streams.items()} for _ in range(2)]
        for pieces in said:
            assert all(torch.equal(piece, voices[which]) for which, piece in pieces.items())


@pytest.mark.parametrize("function", [generator, asynchronous, coroutine])
def test_tasks_of_one_event_loop_wait_for_nobody_and_have_their_own_voices(
    function: Any, english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(function)

    async def consume(which: Path) -> list[Any]:
        stream, said = english.generate("x", which), []
        if inspect.iscoroutine(stream):
            return list(await stream)
        if inspect.isasyncgen(stream):
            return [piece async for piece in stream]
        for piece in stream:
            await asyncio.sleep(0)
            said.append(piece)
        return said

    async def both() -> list[list[Any]]:
        return list(await asyncio.wait_for(asyncio.gather(*map(consume, voices)), 30))

    with chatterbox_cached.enabled(folder):
        for which, said in zip(voices, asyncio.run(both()), strict=True):
            assert same(said, voices[which]) == ALL
    assert not turn(english).reserved


def test_it_is_a_generator_as_upstreams_is(english: Any, folder: Path, speaking: Any) -> None:
    speaking(conversing)
    with chatterbox_cached.enabled(folder):
        stream = english.generate("x")
        assert inspect.isgenerator(stream)
        assert stream.__name__ == "conversing"
        assert next(stream) == 0
        assert stream.send("a") == 1
        error = LookupError("thrown")
        assert stream.throw(error) == 2
        with pytest.raises(StopIteration) as ended:
            stream.send("c")
        assert ended.value.value == ["a", error, "c"]
        assert english.closed

        stream = english.generate("x")
        next(stream)
        with pytest.raises(OSError, match="its own"):
            stream.throw(OSError("its own"))
        assert not turn(english).reserved

        english.closed = None
        stream = english.generate("x")
        next(stream)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(stream.close).result(10)
        assert english.closed
        assert not turn(english).reserved
    del english.closed


def test_what_a_fork_calls_generate_stream_and_a_proxy_have_their_turn_too(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator, "generate_stream")
    first, _ = voices
    proxy = CachedTTS(english, ConditionalCache(folder))
    with chatterbox_cached.enabled(folder):
        for model in (english, proxy):
            stream = model.generate_stream("x", first)
            next(stream)
            assert turn(english).reserved
            assert same(stream, voices[first]) == ALL[1:]
            assert not turn(english).reserved
    assert proxy.cache.get_cache_stats()["disk_hits"] == 1


def test_it_is_guarded_when_it_is_called(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(generator)
    first, second = voices
    with chatterbox_cached.enabled(folder, on_mismatch="error"):
        english.prepare_conditionals(first, 0.7)
        with pytest.raises(ExaggerationMismatchError):
            english.generate("x", exaggeration=0.3)
        assert same(english.generate("x", second, exaggeration=0.3), voices[second]) == ALL
        assert same(english.generate("x", exaggeration=0.9), voices[second]) == ALL, "prepared by the way"


def test_a_preparation_beside_a_stream_without_turns_is_not_kept(
    english: Any, voice: Path, other_voice: Path, speaking: Any
) -> None:
    speaking(generator)
    with chatterbox_cached.enabled(None, take_turns=False, auto_save=False) as cache, ThreadPoolExecutor(1) as pool:
        stream = english.generate("x", voice)
        next(stream)
        embed_ref = inspect.unwrap(type(english.s3gen).embed_ref).__code__

        def beside(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code is embed_ref:
                pool.submit(next, stream).result(10)

        sys.setprofile(beside)  # it watches only, so that the code is what it was
        try:
            english.prepare_conditionals(other_voice)
        finally:
            sys.setprofile(None)
        stats = cache.get_cache_stats()
    assert stats["not_stored"] == {"another call was on the model": 1}
    assert stats["memory_cached_items"] == 1


def in_a_thread_of_its_own(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> list[Any]:
    """Prepares in another thread, and waits for it."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(self.prepare_conditionals, reference, exaggeration).result(30)
    return [speaker(self)] * PIECES


def test_without_turns_a_generation_may_wait_for_a_thread_that_prepares(
    english: Any, voices: dict[Path, torch.Tensor], folder: Path, speaking: Any
) -> None:
    speaking(in_a_thread_of_its_own)
    with chatterbox_cached.enabled(folder, take_turns=False):
        for which in [*voices, *voices]:
            assert same(english.generate("x", which), voices[which]) == ALL
