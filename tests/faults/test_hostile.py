"""Whatever is planted in the folder or in a ``.pt`` file: nothing runs, little memory is taken, and it is a miss."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.errors import NotCachedError
from chatterbox_cached.settings import resolve
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.store import VoiceStore
from tests.support import hostile, readers
from tests.support.small_voices import snapshot
from tests.support.tally import tried

KEY = hostile.key_of(0x10)
KEYS_BY_MODE = [hostile.key_of(mode) for mode in range(6)]  # diskcache's modes
KEYS = [KEY, *KEYS_BY_MODE]
OTHER = hostile.key_of(0xFF)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of everything in hostile.py in a process with little memory."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile.write(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    shutil.rmtree(folder)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", hostile.ENTRIES)
def test_a_hostile_entry_is_a_miss_and_takes_little(name: str, outcomes: dict[str, Any]) -> None:
    became = outcomes[name]
    tried("planted files")
    assert became["said"] == "None"
    (told,) = became["told"]
    assert told.startswith("entry: EntryError: ")
    assert_within_limit(became, told)


@pytest.mark.parametrize("name", hostile.VOICE_FILES)
def test_a_hostile_voice_file_is_an_error_and_takes_little(name: str, outcomes: dict[str, Any]) -> None:
    became = outcomes[name]
    tried("planted files")
    assert became["said"].startswith("VoiceFileError: ")
    assert ".pt" in became["said"]
    assert_within_limit(became, became["said"])


@pytest.mark.parametrize("way", [*readers.LOOKS, "check"])
def test_every_look_at_hostile_entries_comes_to_its_end_and_takes_little(way: str, outcomes: dict[str, Any]) -> None:
    became = outcomes[way]
    tried("ways to look at planted files")
    assert became["raised"] is None, became["said"]
    assert_within_limit(became, became["said"])
    if way.startswith("check"):
        assert str(len(hostile.ENTRIES)) in became["said"]
    assert "\x1b" not in became["said"]


def assert_within_limit(became: dict[str, Any], told: str) -> None:
    assert "MemoryError" not in told
    assert "alloc" not in told
    assert became["peak"] < hostile.LIMIT
    assert became["seconds"] < 10


class Booby:
    """Makes a folder where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self.marker), 0o700, True)


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a good voice, and pickles as values and keys in every mode that diskcache has; their marker."""
    folder, marker = tmp_path / "voices", tmp_path / "ran"
    store = VoiceStore(resolve({"cache_dir": folder}), lambda *_: None)
    store.keep(OTHER, "cpu", snapshot(), durable=True)
    store.lower.close()
    with diskcache.Cache(str(entries_of(folder)), disk_min_file_size=0) as plain:
        plain.set(KEY, Booby(marker), tag=hostile.PREFIX)
        plain.set(Booby(marker), b"value", tag=hostile.PREFIX)
        for key in KEYS_BY_MODE:
            plain.set(key, pickle.dumps(Booby(marker)), tag=hostile.PREFIX)
    with sqlite3.connect(entries_of(folder) / "cache.db") as database:
        for mode, key in enumerate(KEYS_BY_MODE):
            database.execute("UPDATE Cache SET mode = ? WHERE key = ?", (mode, key))
    database.close()
    assert not marker.exists()
    return folder, marker


def test_every_way_of_reading_a_planted_folder_runs_nothing(planted: tuple[Path, Path], tmp_path: Path) -> None:
    folder, marker = planted
    ways: dict[str, Callable[[VoiceStore], object]] = {
        "far": lambda store: [store.from_lower_tiers(key, "cpu") for key in KEYS],
        "of audio": lambda store: list(store.of_audio(readers.DIGEST)),
        "keys": lambda store: store.lower.keys(),
        "size": lambda store: store.figures(),
        "keep": lambda store: [store.keep(key, "cpu", snapshot(), durable=True) for key in KEYS],
        "forget": lambda store: store.forget(readers.DIGEST),
        "clear": lambda store: store.clear_disk(),
        "check": lambda store: store.check(fix=True),
    }
    for name, read in ways.items():
        tried("planted files", len(KEYS))
        store = readers.store_of(Path(shutil.copytree(folder, tmp_path / name)))
        read(store)
        store.lower.close()
        assert not marker.exists(), name
    for name, look in readers.LOOKS.items():
        tried("ways to look at planted files")
        copy = Path(shutil.copytree(folder, tmp_path / name))
        with contextlib.suppress(NotCachedError):  # nothing to export
            look(copy)
        assert not marker.exists(), name
    for key in (KEY, KEYS_BY_MODE[4]):  # so they were armed
        with diskcache.Cache(str(entries_of(folder))) as plain:
            plain.get(key)
        marker.rmdir()
    with diskcache.Cache(str(entries_of(folder))) as plain:
        list(plain)
    assert marker.exists()


def test_planted_pickles_are_misses_and_hide_no_voice(planted: tuple[Path, Path]) -> None:
    told: list[str] = []
    store = VoiceStore(resolve({"cache_dir": planted[0]}), lambda where, _: told.append(where))
    assert [store.from_lower_tiers(key, "cpu") for key in KEYS] == [None] * 7
    assert told
    assert store.from_lower_tiers(OTHER, "cpu") is not None
    assert next(store.of_audio(readers.DIGEST), None) is not None


def test_a_cache_in_a_planted_folder_can_be_looked_at_and_emptied(planted: tuple[Path, Path]) -> None:
    folder, marker = planted
    cache = ConditionalCache(folder)
    assert cache.get_cache_stats()["disk_cached_items"] == 9
    repr(cache)
    assert cache.clear_all() == 9
    cache.close()
    assert not marker.exists()
