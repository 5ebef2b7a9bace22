"""A long day in a few seconds: 10,000 calls, 300 voices, four threads, little room, and things that break."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import random
import sqlite3
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch

import chatterbox_cached
from chatterbox_cached.tiers.disk import files
from chatterbox_cached.tiers.disk.folder import entries_of
from tests.support.scenery import at_once, calls_counted, voices
from tests.support.stage import Stage
from tests.support.tally import tried

CALLS, THREADS, VOICES = 10_000, 4, 300
SECONDS = 280  # more than ten times what it takes where nothing else goes on
ENTRY_BYTES = 16_000  # more than one of the stand-in's voices takes on disk
GROWTH = 16e6  # bytes by which the process may grow from the first quarter of the day to its end


class Faults:
    """Something breaks: when, is for who calls to say; what, comes in turn, so that all of it does."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._refusals, self._plain = folder, list[None](), files._created
        self.happened: Counter[str] = Counter()
        # A refused store is rare, since nothing is stored for a second after it.
        kinds = [self._unlink, self._truncate, self._flip, self._lock] * 5 + [self._refuse]
        random.Random(0).shuffle(kinds)
        self._kinds = itertools.cycle(kinds)
        files._created = self._created

    def happen(self, chance: random.Random) -> None:
        kind = next(self._kinds)
        # The entry has just been dropped, there is none yet, or it was cut to nothing before.
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            kind(chance)
            self.happened[kind.__name__] += 1

    def _entry(self, chance: random.Random) -> Path:
        return chance.choice(list(self._folder.rglob("*.val")))

    def _unlink(self, chance: random.Random) -> None:
        self._entry(chance).unlink()

    def _truncate(self, chance: random.Random) -> None:
        entry = self._entry(chance)
        os.truncate(entry, chance.randrange(entry.stat().st_size))

    def _flip(self, chance: random.Random) -> None:
        """One bit."""
        with self._entry(chance).open("r+b") as file:
            place = chance.randrange(os.fstat(file.fileno()).st_size)
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 1 << chance.randrange(8)]))

    def _lock(self, _: random.Random) -> None:
        """Somebody has the index to himself for a moment."""
        with contextlib.closing(sqlite3.connect(entries_of(self._folder) / "cache.db", timeout=9)) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(0.02)

    def _refuse(self, _: random.Random) -> None:
        self._refusals.append(None)

    def _created(self, path: str, its: Any) -> Any:
        file = self._plain(path, its)
        with contextlib.suppress(IndexError):
            self._refusals.pop()
            return NoRoom(file.detach())
        return file


class NoRoom(io.BufferedWriter):
    """The disk is full when half of an entry is written."""

    def write(self, value: Any) -> int:
        super().write(value[: len(value) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def a_long_day(folder: Path) -> Any:
    """Every call is checked for its voice; what the statistics and the memory of the process say comes back."""
    from chatterbox.tts import ChatterboxTTS, heard, voice_of

    ChatterboxTTS.meanwhile = staticmethod(lambda _: time.sleep(0.001))
    paths = voices(folder, VOICES)
    (folder / "noise.wav").write_text("noise")
    unreadable = [folder / "noise.wav", folder / "nowhere.wav", folder]
    expected = {path: voice_of(path.read_bytes()) for path in paths}
    cache = chatterbox_cached.enable(folder / "voices", memory_entries=60, size_limit=150 * ENTRY_BYTES, wait_seconds=5)
    models = [ChatterboxTTS() for _ in range(2)]  # two threads each
    resident: list[int] = []
    wrong: list[str] = []
    failed = [0] * THREADS
    faults = Faults(folder / "voices")

    def work(number: int) -> int:
        chance, model = random.Random(number), models[number % 2]
        for call in range(CALLS // THREADS):
            if number == 0 and call % 500 == 0:
                resident.append(_resident())
            what = chance.random()
            if what < 0.005:
                faults.happen(chance)
            if what > 0.99:
                with contextlib.suppress(ValueError, OSError):
                    model.generate("Hello.", audio_prompt_path=chance.choice(unreadable))
                    wrong.append("spoke what can't be read")
                failed[number] += 1
                continue
            path = paths[int(chance.random() ** 3 * VOICES)]  # some are asked for far more often than others
            exaggeration = chance.choice((0.3, 0.5, 0.7))
            with chatterbox_cached.disabled() if 0.01 < what < 0.02 else contextlib.nullcontext():
                if what < 0.5:
                    spoken = heard(model.generate("Hello.", audio_prompt_path=path, exaggeration=exaggeration))
                else:
                    found = cache.get_or_prepare(model, path, exaggeration)
                    spoken = found.t3.speaker_emb[:, :192], found.gen["embedding"], found.t3.emotion_adv.item()
                    if not bool((found.gen["prompt_feat"].reshape(15, 192) == expected[path]).all()):
                        wrong.append(f"{path.name} is damaged")  # nearly all of an entry is this
            if not all(torch.equal(heard, expected[path]) for heard in spoken[:2]):
                wrong.append(f"{path.name} is another's voice")
            if abs(spoken[2] - exaggeration) > 1e-6:
                wrong.append(f"{path.name} is too excited")
        return CALLS // THREADS

    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged entries
        done = at_once(work, THREADS, seconds=SECONDS)
    now = cache.get_cache_stats()
    resident.append(_resident())
    return {
        "done": [repr(each) for each in done],
        "wrong": wrong[:5],
        "failed": sum(failed),
        "counted": calls_counted(now),
        "grown": resident[-1] - resident[len(resident) // 4],
        "flights": len(cache.serving.flights._flights),
        "seconds": time.monotonic() - started,
        "faults": faults.happened,
        **now,
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_long_day_with_little_room_and_things_that_break(stage: Stage, tmp_path: Path) -> None:
    day = stage(a_long_day, folder=tmp_path, seconds=2 * SECONDS)
    assert day["done"] == [str(CALLS // THREADS)] * THREADS
    assert day["wrong"] == []
    assert day["counted"] == CALLS
    tried("calls in the soak", CALLS)
    # All that can happen did: hits in both tiers, voices that had to go, damaged entries, and calls round the cache.
    assert min(day["memory_hits"], day["disk_hits"], day["misses"], day["failed"]) > 50
    assert day["misses"] > 2 * VOICES
    assert day["bypasses"].keys() >= {"disabled", "audio can't be read"}
    assert len(day["faults"]) == 5
    assert set(day["errors"]) <= {"entry", "disk get", "disk put"}
    assert day["errors"]["entry"] > 0
    assert 0 < day["errors"]["disk put"] <= day["faults"]["_refuse"]
    assert day["memory_cached_items"] <= 60
    assert day["disk_cache_size_mb"] <= 150 * ENTRY_BYTES / 1e6
    assert day["flights"] == 0
    assert day["grown"] < GROWTH
