"""The disk tier broken for real: the caller gets upstream's conditionals, one warning, and a cache that recovers."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import CacheWarning, CheckReport, ConditionalCache
from chatterbox_cached.tiers.disk import repair
from chatterbox_cached.tiers.disk.folder import entries_of
from tests.support.breakages import BREAKAGES
from tests.support.comparison import assert_same_conditionals
from tests.support.scenery import voices
from tests.support.stage import Stage
from tests.support.tally import tried


def filled(model: Any, voice: Path, folder: Path) -> Any:
    """Have a cache folder keep the voice; what upstream alone makes of it."""
    with contextlib.closing(ConditionalCache(folder)) as cache:
        cache.get_or_prepare(model, voice)
    model.prepare_conditionals(voice)
    return model.conds


@pytest.fixture(scope="module")
def kept(english: Any, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A cache folder that has the voice, and the voice."""
    folder = tmp_path_factory.mktemp("filled")
    return folder, filled(english, voice, folder)


@pytest.fixture
def folder(kept: tuple[Path, Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept[0], tmp_path / "voices"))


@pytest.fixture
def upstreams(kept: tuple[Path, Any]) -> Any:
    return kept[1]


def recovers(name: str, opened: bool, model: Any, voice: Path, upstreams: Any, folder: Path) -> None:
    """While the folder is broken in this way, and afterwards."""
    cache, breakage = ConditionalCache(folder), BREAKAGES[name]
    if opened:
        cache.get_or_prepare(model, voice)
        cache.clear_memory()
    with breakage.broken(folder), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            assert_same_conditionals(cache.get_or_prepare(model, voice), upstreams)
            cache.clear_memory()
        errors = cache.get_cache_stats()["errors"]
        assert {place.split()[0] for place in errors} == ({breakage.counted} if breakage.counted else set())
    ours = [warning for warning in warned if warning.category is CacheWarning]
    assert len(ours) == bool(errors), "one warning"
    assert all("sound is not affected" in str(warning.message) for warning in ours)

    cache.check()  # also ends the pause that a broken disk is given
    for again in (cache, ConditionalCache(folder)):
        assert_same_conditionals(again.get_or_prepare(model, voice), upstreams)
        before = again.get_cache_stats()
        again.clear_memory()
        assert_same_conditionals(again.get_or_prepare(model, voice), upstreams)
        now = again.get_cache_stats()
        assert now["disk_hits"] == before["disk_hits"] + 1
        assert now["errors"] == before["errors"]
        again.close()


def recovers_with_the_standin(folder: Path, name: str, opened: bool) -> None:
    from chatterbox.tts import ChatterboxTTS

    model, (voice,) = ChatterboxTTS(), voices(folder, 1)
    repair.WRITER_SECONDS = 0.1  # in this process alone; with the real Chatterbox a check waits as long as it does
    recovers(name, opened, model, voice, filled(model, voice, folder / "voices"), folder / "voices")


@pytest.mark.parametrize(
    ("name", "opened"),
    # SQLite lets nobody lock out those who have it open; they are served from disk as ever.
    [(name, False) for name in BREAKAGES if name != "no_log"]
    + [(name, True) for name in BREAKAGES if "keeps_locked" not in name],
    ids=lambda value: ("open" if value else "not open yet") if isinstance(value, bool) else value,
)
def test_the_caller_gets_upstreams_voice_and_the_cache_recovers(
    name: str, opened: bool, stage: Stage, tmp_path: Path
) -> None:
    tried("ways to break the folder")
    stage(recovers_with_the_standin, name, opened, folder=tmp_path)


@pytest.mark.parametrize("name", ["a_flipped_bit", "an_index_that_is_garbage", "a_full_disk"])
def test_the_caller_gets_the_voice_of_the_real_chatterbox(
    name: str, english: Any, voice: Path, upstreams: Any, folder: Path
) -> None:
    recovers(name, True, english, voice, upstreams, folder)


def test_a_warning_that_is_an_error_does_not_reach_the_caller(
    english: Any, voice: Path, upstreams: Any, folder: Path
) -> None:
    with BREAKAGES["an_entry_cut_in_the_middle"].broken(folder), warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        assert_same_conditionals(ConditionalCache(folder).get_or_prepare(english, voice), upstreams)


def test_check_mends_the_folder_and_says_what_it_was(english: Any, voice: Path, folder: Path) -> None:
    cache = ConditionalCache(folder)
    assert cache.check() == CheckReport(entries=1)
    with BREAKAGES["a_flipped_bit"].broken(folder):
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
