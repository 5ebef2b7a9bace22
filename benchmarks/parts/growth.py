"""Folders of 10 to 10,000 voices: opening one, and a hit in it."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

from chatterbox_cached import ConditionalCache
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice import entry_format

from .. import clock, ways
from ..stage import Stage, in_child

SIZES = (10, 100, 1_000, 10_000)
_LIMIT = 8 * 10**9


def growth(stage: Stage) -> dict[str, Any]:
    """Milliseconds of the opening and microseconds of a hit, by the number of voices on disk."""
    return in_child(_growth, stage)


def _growth(stage: Stage) -> dict[str, Any]:
    sizes = SIZES[:3] if stage.quick else SIZES
    folder, clip = stage.new_folder(), str(stage.clips[10])
    cache = ConditionalCache(folder, size_limit=_LIMIT)
    cache.get_or_prepare(stage.model, clip)
    (key,) = cache.serving.store.lower.keys()
    snapshot = entry_format.decode(key, cache.serving.store.entry(key))
    cache.close()
    keys, folders = [key], {}
    for size in sizes:
        while len(keys) < size:
            keys += _stored(folder, snapshot, range(len(keys), min(size, len(keys) + 500)))
        folders[size] = shutil.copytree(folder, stage.new_folder() / "copy") if size < sizes[-1] else folder
    figures = _measured(stage, folders, keys, clip)
    for each in folders.values():
        shutil.rmtree(each)
    return figures


def _stored(folder: Path, snapshot: Any, numbers: range) -> list[str]:
    keys = [f"v1/{number:064x}/{'0' * 64}" for number in numbers]
    tier = DiskTier(folder, _LIMIT)
    for key in keys:
        tier.put(key, entry_format.encode(key, snapshot))
    tier.close()
    return keys


def _measured(stage: Stage, folders: dict[int, Path], keys: list[str], clip: str) -> dict[str, Any]:
    opened: dict[str, list[float]] = {f"opening, {size} voices": [] for size in folders}
    for _ in range(stage.times(15, 5)):
        for size, folder in folders.items():
            opened[f"opening, {size} voices"].append(_opening(folder))
    chance, hits = random.Random(0), {}
    for size, folder in folders.items():
        way = ways.Cache(stage.model, folder)
        way.cache = ConditionalCache(folder, size_limit=_LIMIT)
        way.prepare(clip)
        hits[f"hit, {size} voices"] = way.on, lambda way=way: way.prepare(clip), way.forget
        hits[f"any voice of {size}"] = (
            way.on,
            lambda store=way.cache.serving.store, size=size: store.from_lower_tiers(
                keys[chance.randrange(size)], "cpu"
            ),
            way.forget,
        )
    figures = clock.singles(hits, rounds=stage.times(30, 10), scale=1e6, calls=10)
    return {
        "unit": "us; opening in ms",
        **{name: clock.figure(values, 1e3) for name, values in opened.items()},
        **figures,
    }


def _opening(folder: Path) -> float:
    tier = DiskTier(folder, _LIMIT)
    started = time.perf_counter()
    tier.open()
    taken = time.perf_counter() - started
    tier.close()
    return taken
