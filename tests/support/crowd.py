"""Processes that want one new voice at the same moment, forked from one that has a real model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatterbox_cached import ConditionalCache
from tests.support.beside import at_each_call
from tests.support.children import all_done, started
from tests.support.comparison import assert_same_conditionals


def wanted_at_once(
    count: int, model: Any, voice: Path, log: Path, cache_of: Callable[[int], ConditionalCache]
) -> list[str]:
    """ "upstream" for each time that upstream prepared, and "hit" for each call that was served, in this order.

    Each of ``count`` processes has a cache of its own and calls once; each must get what upstream alone prepares.
    """
    model.prepare_conditionals(voice)
    expected, upstream, (waits, go) = model.conds, type(model).prepare_conditionals, os.pipe()

    def note(line: str) -> None:
        with open(log, "ab", buffering=0) as file:
            file.write(line.encode())

    def want(number: int) -> None:
        os.close(go)
        cache = cache_of(number)
        os.read(waits, 1)  # until no process can say anything any more
        with at_each_call(upstream, lambda: note("upstream\n")):
            assert_same_conditionals(cache.get_or_prepare(model, voice), expected)
        now = cache.get_cache_stats()
        hits = now["disk_hits"] + now["shared_hits"]
        assert (now["misses"] + hits, now["bypasses"], now["errors"]) == (1, {}, {}), now
        cache.close()
        note("hit\n" * hits)

    children = [started(lambda number=number: want(number)) for number in range(count)]  # type: ignore[misc]
    os.close(go)
    os.close(waits)
    all_done(children)
    return sorted(log.read_text().split(), reverse=True)
