"""A folder that somebody else could have filled is not believed: memory only, one warning, a setting to overrule."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.errors import UntrustedFolder
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.voice.snapshot import equal
from tests.support.comparison import assert_same_conditionals
from tests.support.small_voices import snapshot

KEY = "v2/" + "ab" * 32 + "/" + "cd" * 32
STRANGER = 12345
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away; the modes are tested as anybody")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache folder with one voice, among the user's other things."""
    folder = tmp_path / "voices"
    folder.mkdir(mode=0o755)
    (folder / "book.txt").write_text("mine")
    store(folder).keep(KEY, "cpu", snapshot(), durable=True)
    return folder


def store(folder: Path, failed: Callable[[str, Exception], None] | None = None, **settings: Any) -> VoiceStore:
    def must_not_fail(place: str, error: Exception) -> None:
        raise AssertionError(place) from error

    return VoiceStore(resolve({"cache_dir": folder, **settings}), failed or must_not_fail)


def listed(folder: Path) -> list[Path]:
    """All files but those that SQLite has while the index is open."""
    return sorted(path for path in folder.rglob("*") if not path.name.startswith("cache.db-"))


def assert_not_believed(folder: Path, says: str) -> None:
    before = listed(folder)
    told: list[Exception] = []
    distrusting = store(folder, lambda _, error: told.append(error))
    assert distrusting.from_lower_tiers(KEY, "cpu") is None
    distrusting.keep(KEY, "cpu", snapshot(seed=1), durable=True)
    assert distrusting.from_memory(KEY, "cpu") is not None
    assert distrusting.forget("ab" * 32) == 1  # the one in memory
    assert listed(folder) == before
    assert {type(error) for error in told} == {UntrustedFolder}
    assert all(says in str(error) and "trust_cache_dir=True" in str(error) for error in told)
    trusting = store(folder, trust_cache_dir=True)
    found = trusting.from_lower_tiers(KEY, "cpu")
    assert found is not None
    assert equal(found[1], snapshot())


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o720])
@pytest.mark.parametrize("which", ["folder", "entries", "index"])
def test_what_others_can_write_to_is_not_believed(root: Path, which: str, mode: int) -> None:
    path = {"folder": root, "entries": entries_of(root), "index": entries_of(root) / "cache.db"}[which]
    path.chmod(mode)
    assert_not_believed(root, f"chmod go-w '{path}'")
    path.chmod(mode & ~0o022)
    assert store(root).from_lower_tiers(KEY, "cpu") is not None


@AS_ROOT
@pytest.mark.parametrize("which", ["folder", "entries", "index"])
def test_what_belongs_to_somebody_else_is_not_believed(root: Path, which: str) -> None:
    path = {"folder": root, "entries": entries_of(root), "index": entries_of(root) / "cache.db"}[which]
    os.chown(path, STRANGER, STRANGER)
    assert_not_believed(root, "belongs to another user")
    os.chown(path, os.geteuid(), os.getegid())
    assert store(root).from_lower_tiers(KEY, "cpu") is not None


@AS_ROOT
def test_somebody_elses_link_to_a_folder_of_ours_is_not_believed(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert store(link).from_lower_tiers(KEY, "cpu") is not None
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert_not_believed(link, "belongs to another user")


@AS_ROOT
def test_somebody_elses_empty_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    os.chown(folder, STRANGER, STRANGER)
    told: list[Exception] = []
    store(folder, lambda _, error: told.append(error)).keep(KEY, "cpu", snapshot(), durable=True)
    assert [type(error) for error in told] == [UntrustedFolder]
    assert not list(folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_of_ours_in_one_that_everybody_writes_to_is_fine(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    for folder in (tmp_path / "shared" / "voices", tmp_path / "shared"):
        store(folder).keep(KEY, "cpu", snapshot(), durable=True)
        assert store(folder).from_lower_tiers(KEY, "cpu") is not None


@pytest.mark.parametrize("umask", [0, 0o002])
def test_a_new_folder_is_believed_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store(tmp_path / "new").keep(KEY, "cpu", snapshot(), durable=True)
        assert store(tmp_path / "new").from_lower_tiers(KEY, "cpu") is not None
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def filled(english: Any, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("filled")
    cache = ConditionalCache(folder)
    cache.get_or_prepare(english, voice)
    cache.close()
    yield folder
    shutil.rmtree(folder)


def test_the_caller_is_told_once_and_gets_upstreams_voice(
    english: Any, voice: Path, other_voice: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries_of(filled).chmod(0o777)
    before = listed(filled)
    english.prepare_conditionals(voice)
    upstreams, cache = english.conds, ConditionalCache(filled)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)
        cache.get_or_prepare(english, other_voice)
        assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)
    (told,) = [str(warning.message) for warning in warned if warning.category is CacheWarning]
    assert "in memory only" in told
    assert "chmod go-w" in told
    now = cache.get_cache_stats()
    assert (now["memory_hits"], now["disk_hits"], now["misses"]) == (1, 0, 2)
    assert list(now["errors"]) == ["untrusted folder"]
    assert listed(filled) == before

    monkeypatch.setenv("CHATTERBOX_CACHED_TRUST_CACHE_DIR", "1")
    overruled = ConditionalCache(filled)
    assert_same_conditionals(overruled.get_or_prepare(english, voice), upstreams)
    assert overruled.get_cache_stats()["disk_hits"] == 1
