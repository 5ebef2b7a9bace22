"""The disk tier broken for real: the caller gets upstream's conditionals, one warning, and a cache that recovers."""

from __future__ import annotations

import contextlib
import resource
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.tiers.folder import entries_of
from tests.support import assert_same_conditionals


@pytest.fixture(scope="module")
def upstreams(english: Any, voice: Path) -> Any:
    """What upstream alone makes of the voice."""
    english.prepare_conditionals(voice)
    return english.conds


@pytest.fixture(scope="module")
def filled(english: Any, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that has the voice."""
    folder = tmp_path_factory.mktemp("filled")
    cache = ConditionalCache(folder)
    cache.get_or_prepare(english, voice)
    cache.close()
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "voices"))


Break = Callable[[Path], AbstractContextManager[None]]


@contextlib.contextmanager
def a_truncated_entry(folder: Path) -> Iterator[None]:
    (entry,) = folder.rglob("*.val")
    entry.write_bytes(entry.read_bytes()[:1000])
    yield


@contextlib.contextmanager
def a_flipped_bit(folder: Path) -> Iterator[None]:
    (entry,) = folder.rglob("*.val")
    damaged = bytearray(entry.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    entry.write_bytes(damaged)
    yield


@contextlib.contextmanager
def a_garbage_database(folder: Path) -> Iterator[None]:
    (entries_of(folder) / "cache.db").write_bytes(b"no database at all " * 1000)
    yield


@contextlib.contextmanager
def a_folder_that_is_a_file(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder)
    folder.write_text("in the way")
    yield
    folder.unlink()


@contextlib.contextmanager
def a_full_disk(folder: Path) -> Iterator[None]:
    """No file may grow beyond 20 kB: every write of an entry fails with the system's own error."""
    shutil.rmtree(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "broken", [a_truncated_entry, a_flipped_bit, a_garbage_database, a_folder_that_is_a_file, a_full_disk]
)
def test_the_caller_gets_upstreams_voice_and_the_cache_recovers(
    broken: Break, english: Any, voice: Path, upstreams: Any, folder: Path
) -> None:
    cache = ConditionalCache(folder)
    with broken(folder), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)
            cache.clear_memory()
    ours = [warning for warning in warned if warning.category is CacheWarning]
    errors = cache.get_cache_stats()["errors"]
    assert errors
    assert len(ours) == len(errors), "one warning for each place that failed"
    assert all("sound is not affected" in str(warning.message) for warning in ours)

    again = ConditionalCache(folder)
    assert_same_conditionals(again.get_or_prepare(english, voice), upstreams)
    again.clear_memory()
    assert_same_conditionals(again.get_or_prepare(english, voice), upstreams)
    now = again.get_cache_stats()
    assert now["disk_hits"] >= 1
    assert now["errors"] == {}


def test_a_warning_that_is_an_error_does_not_reach_the_caller(
    english: Any, voice: Path, upstreams: Any, folder: Path
) -> None:
    with a_truncated_entry(folder), warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        assert_same_conditionals(ConditionalCache(folder).get_or_prepare(english, voice), upstreams)


def test_check_mends_the_folder_and_says_what_it_was(english: Any, voice: Path, folder: Path) -> None:
    cache = ConditionalCache(folder)
    assert cache.check() == (1, 0, 0, 0, 0, 0, None)
    with a_flipped_bit(folder):
        assert cache.check(fix=False).damaged == 1
        assert cache.check().damaged == 1
    assert cache.check().sound
    cache.get_or_prepare(english, voice)
    assert cache.check().entries == 1


def test_a_check_that_can_not_be_made_raises_nothing(folder: Path) -> None:
    cache = ConditionalCache(folder)
    entries = entries_of(folder)
    shutil.rmtree(entries / "cache.db", ignore_errors=True)
    for path in entries.glob("cache.db*"):
        path.unlink()
    (entries / "cache.db").mkdir()
    with pytest.warns(CacheWarning, match="disk check"):
        report = cache.check()
    assert report.error
    assert not report.sound


def test_without_a_disk_there_is_nothing_to_check() -> None:
    assert ConditionalCache().check().sound
