"""Voices made on another set-up are told of, and with ``exact="setup"`` left alone. Threads stand for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.identity.origin import setup_of
from chatterbox_cached.voice import entry_format
from tests.support.filled_folders import entries

HERE, THERE = 1, 2


@pytest.fixture
def on(english: Any, voice: Path, tmp_path: Path) -> Iterator[Callable[..., ConditionalCache]]:
    """``on(threads, **settings)``: a program with so many threads prepares the voice; gives its cache."""
    before = torch.get_num_threads()

    def on(threads: int, *, refresh: bool = False, **settings: Any) -> ConditionalCache:
        torch.set_num_threads(threads)
        cache = ConditionalCache(tmp_path / "voices", **settings)
        cache.get_or_prepare(english, voice, force_refresh=refresh)
        cache.close()
        return cache

    yield on
    torch.set_num_threads(before)


def came_from(cache: ConditionalCache) -> list[str]:
    stats = cache.get_cache_stats()
    return [name for name in ("memory_hits", "disk_hits", "misses") for _ in range(stats[name])]


def threads_of_entries(folder: Path) -> list[int]:
    headers = [entry_format.header_of(key, entry) for key, entry in entries(folder).items()]
    return sorted(json.loads(header.origin)["threads"]["torch"] for header in headers)


def test_every_entry_of_the_model_is_used_where_nothing_else_is_asked_for(on: Any, tmp_path: Path) -> None:
    on(HERE)
    assert came_from(on(THERE)) == ["disk_hits"]
    assert threads_of_entries(tmp_path / "voices") == [HERE]


def test_each_set_up_finds_its_own_and_replaces_no_others(on: Any, tmp_path: Path) -> None:
    exact = {"exact": "setup"}
    assert came_from(on(HERE, **exact)) == ["misses"]
    assert came_from(on(THERE, **exact)) == ["misses"]
    assert threads_of_entries(tmp_path / "voices") == [HERE, THERE]
    assert came_from(on(HERE, **exact)) == came_from(on(THERE, **exact)) == ["disk_hits"]
    assert came_from(on(THERE)) == ["disk_hits"]
    on(THERE, refresh=True, **exact)
    on(HERE, refresh=True, **exact)
    assert threads_of_entries(tmp_path / "voices") == [HERE, THERE]


def test_its_own_is_found_where_the_others_has_gone(on: Any, tmp_path: Path) -> None:
    on(HERE)
    (plain,) = entries(tmp_path / "voices")
    cache = on(THERE, exact="setup")
    cache.serving.store.lower.delete(plain)
    assert came_from(on(THERE, exact="setup")) == ["disk_hits"]
    assert threads_of_entries(tmp_path / "voices") == [THERE]


def test_threads_that_change_in_a_program_are_another_set_up_in_memory_too(on: Any, english: Any, voice: Path) -> None:
    cache = on(HERE, exact="setup")
    for threads, source in ((THERE, "misses"), (HERE, "memory_hits"), (THERE, "memory_hits")):
        torch.set_num_threads(threads)
        before = cache.get_cache_stats()[source]
        cache.get_or_prepare(english, voice)
        assert cache.get_cache_stats()[source] == before + 1, source


def test_what_does_not_say_where_it_was_made_is_not_ones_own(on: Any, tmp_path: Path) -> None:
    cache = on(HERE)
    ((key, entry),) = entries(tmp_path / "voices").items()
    header, payload = entry_format.opened(key, entry)
    silent = entry_format.Header(**{**vars(header), "origin": ""})
    cache.serving.store.lower.put(key, entry_format.seal(silent, payload))
    cache.close()
    assert came_from(on(HERE)) == ["disk_hits"]
    assert came_from(on(HERE, exact="setup")) == ["misses"]
    assert came_from(on(HERE, exact="setup")) == ["disk_hits"]


def test_the_log_and_verify_say_when_a_voice_was_made_elsewhere(
    on: Any, english: Any, voice: Path, caplog: pytest.LogCaptureFixture
) -> None:
    on(THERE)
    caplog.set_level(logging.DEBUG, logger="chatterbox_cached")
    cache = on(HERE)
    said = [record.getMessage() for record in caplog.records if " from disk in " in record.getMessage()]
    blas = setup_of("cpu")["threads"]["blas"]
    apart = f"threads blas {blas}, torch {THERE}, here blas {blas}, torch {HERE}"
    assert said[0].endswith(f" ms; made elsewhere: {apart}")
    found = cache.verify(english, [voice])
    assert found.elsewhere == {str(voice): (apart,)}
    caplog.clear()
    on(HERE, refresh=True)
    cache = on(HERE)
    assert "made elsewhere" not in caplog.text
    assert cache.verify(english, [voice]).elsewhere == {}


def test_a_hit_asks_for_no_set_up_where_nobody_wants_to_know(
    on: Any, english: Any, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = on(HERE)
    for module in ("explaining", "finding"):
        monkeypatch.setattr(f"chatterbox_cached.serving.{module}.setup_of", None)
    cache.get_or_prepare(english, voice)
    assert came_from(cache) == ["memory_hits", "misses"]
