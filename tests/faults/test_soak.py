"""A long day in a few seconds: 20,000 calls, 300 voices, four threads, little room, and things that break."""

from __future__ import annotations

import contextlib
import os
import random
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import chatterbox_cached
from tests.faults.scenery import at_once, calls_counted, voices
from tests.faults.stage import Stage
from tests.tally import tried

CALLS, THREADS, VOICES = 20_000, 4, 300
ENTRY_BYTES = 16_000  # more than one of the stand-in's voices takes on disk


def a_long_day(folder: Path) -> Any:
    """Every call is checked for its voice; what the statistics and the memory of the process say comes back."""
    from chatterbox.tts import ChatterboxTTS, voice_of

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

    def work(number: int) -> int:
        chance, model = random.Random(number), models[number % 2]
        for call in range(CALLS // THREADS):
            if number == 0 and call % 500 == 0:
                resident.append(_resident())
            what = chance.random()
            if what < 0.005:
                _break_something(folder / "voices", chance)
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
                    spoken = model.generate("Hello.", audio_prompt_path=path, exaggeration=exaggeration)
                else:
                    found = cache.get_or_prepare(model, path, exaggeration)
                    spoken = found.t3.speaker_emb[:, :192], found.gen["embedding"], found.t3.emotion_adv.item()
            if not all(torch.equal(heard, expected[path]) for heard in spoken[:2]):
                wrong.append(f"{path.name} is another's voice")
            if abs(spoken[2] - exaggeration) > 1e-6:
                wrong.append(f"{path.name} is too excited")
        return CALLS // THREADS

    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged entries
        done = at_once(work, THREADS, seconds=55)
    now = cache.get_cache_stats()
    resident.append(_resident())
    return {
        "done": [repr(each) for each in done],
        "wrong": wrong[:5],
        "failed": sum(failed),
        "counted": calls_counted(now),
        "grown": resident[-1] - resident[len(resident) // 4],
        "flights": len(cache._flights._flights),
        "seconds": time.monotonic() - started,
        **now,
    }


def _break_something(folder: Path, chance: random.Random) -> None:
    with contextlib.suppress(OSError, IndexError):  # another thread has just dropped it, or there is none yet
        entry = chance.choice(list(folder.rglob("*.val")))
        if chance.random() < 0.5:
            entry.unlink()
        else:
            os.truncate(entry, chance.randrange(entry.stat().st_size))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_long_day_with_little_room_and_things_that_break(stage: Stage, tmp_path: Path) -> None:
    day = stage(a_long_day, folder=tmp_path)
    assert day["done"] == [str(CALLS // THREADS)] * THREADS
    assert day["wrong"] == []
    assert day["counted"] == CALLS
    tried("calls in the soak", CALLS)
    # All that can happen did: hits in both tiers, voices that had to go, damaged entries, and calls round the cache.
    assert min(day["memory_hits"], day["disk_hits"], day["misses"], day["failed"]) > 100
    assert day["misses"] > 2 * VOICES
    assert day["bypasses"].keys() >= {"disabled", "audio can't be read"}
    assert set(day["errors"]) <= {"entry", "disk get"}
    assert day["errors"]["entry"] > 0
    assert day["memory_cached_items"] <= 60
    assert day["disk_cache_size_mb"] <= 150 * ENTRY_BYTES / 1e6
    assert day["flights"] == 0
    assert day["grown"] < 16e6
