"""A model that says which voice it was given: what is said can then be compared with what upstream alone gives it.

T3 works and says two tokens. In the place of S3Gen's sound stand the voice's own figures, those that T3 was given and
those that S3Gen was given, so that a call that got another's voice, or half of it, is seen from what it says.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from .. import ways

SHORT = "It is only the wind."
LONG = (
    "It had rained for three days, and on the fourth the sea came up to the garden wall. Nobody in the village had"
    " seen that before. The gulls sat in rows on the roof of the chapel and did not cry. The boats had been carried up"
    " as far as the inn, where they lay on their sides in the yard."
)
_MOST_CHARACTERS = 120  # in one chunk, as servers have it


def chunks(text: str) -> list[str]:
    """A text in pieces of whole sentences."""
    found = [""]
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        if found[-1] and len(found[-1]) + len(sentence) >= _MOST_CHARACTERS:
            found.append("")
        found[-1] = f"{found[-1]} {sentence}".strip()
    return found


def say_the_voice(model: Any) -> None:
    """For the rest of this process."""
    import torch

    given, t3_says = threading.local(), model.t3.inference

    def inference(*args: Any, t3_cond: Any, **others: Any) -> Any:
        given.speaker = t3_cond.speaker_emb.flatten()
        return t3_says(*args, t3_cond=t3_cond, **others)

    def sound(*_: Any, ref_dict: dict[str, Any], **__: Any) -> Any:
        return torch.cat([given.speaker, ref_dict["embedding"].flatten()])[None], None

    model.t3.inference = inference
    type(model.s3gen).inference = staticmethod(sound)


@contextlib.contextmanager
def counted(way: ways.Upstream) -> Iterator[dict[str, float]]:
    """With a way to keep voices; gives figures that are filled in at the end."""
    figures: dict[str, float] = {}
    cache = way.cache if isinstance(way, ways.Enabled) else None
    taken = _timed_preparations(way.model) if cache is None else []
    with way.on():
        yield figures
        count, seconds = len(taken), sum(taken)
        if cache is not None:
            did = cache.get_cache_stats()
            assert (did["bypasses"], did["errors"]) == ({}, {}), did
            count, seconds = did["misses"], did["prepare_seconds"]
        figures |= {"preparations by upstream": count, "seconds of all of them together": seconds}


def _timed_preparations(model: Any) -> list[float]:
    taken: list[float] = []
    prepare = model.prepare_conditionals

    def timed(*args: Any, **others: Any) -> None:
        started = time.perf_counter()
        prepare(*args, **others)
        taken.append(time.perf_counter() - started)

    model.prepare_conditionals = timed
    return taken
