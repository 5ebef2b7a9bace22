"""Every family of Chatterbox, and a program that prepares in its own way: what upstream takes, and what a hit takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.upstream.families import family_of

from .. import clock
from ..stage import Stage, in_child

_FAMILIES = ("english", "multilingual", "turbo", "vc")
_PAUSE = partial(time.sleep, 0.02)  # longer than the last full look is believed, as a generation is


def families(stage: Stage) -> dict[str, Any]:
    """Milliseconds of one preparation of a clip of 10 s, by each family's own method."""
    return {"unit": "ms", **{name: in_child(_family, stage, name) for name in _FAMILIES}}


def _family(stage: Stage, name: str) -> dict[str, Any]:
    parts = rehearsal.Parts(stage.model.ve, stage.model.s3gen)
    model = stage.model if name == "english" else getattr(rehearsal, name)(parts=parts)
    family, cache, clip = family_of(model), ConditionalCache(stage.new_folder()), str(stage.clips[10])
    assert family is not None
    prepare = partial(getattr(model, family.prepare), clip)
    enabled = partial(chatterbox_cached.enabled, cache=cache)
    with enabled():
        prepare()

    def call() -> None:  # the method is looked up again: enable() has put its own around it
        getattr(model, family.prepare)(clip)

    rounds = stage.times(10, 3)
    seldom = {
        "upstream alone": (nullcontext, call, clock.nothing),
        "miss": (enabled, call, lambda: (cache.clear_all(), _PAUSE())),
    }
    often = {
        "memory hit after a pause": (enabled, call, _PAUSE),
        "disk hit": (enabled, call, cache.clear_memory),
    }
    return {
        **clock.singles(seldom, rounds=rounds, scale=1e3),
        **clock.singles(often, rounds=4 * rounds, scale=1e3),
    }


def encoders(stage: Stage) -> dict[str, Any]:
    """Milliseconds of a preparation in a program's own code, which calls the encoders, for each length of clip."""
    return {"unit": "ms", **{f"{s} s": in_child(_own, stage, str(c)) for s, c in stage.compared.items()}}


def _own(stage: Stage, clip: str) -> dict[str, Any]:
    model, cache = stage.model, ConditionalCache(stage.new_folder())
    enabled = partial(chatterbox_cached.enabled, cache=cache)
    load, prepare = _own_preparation(model)
    with enabled():
        prepare(*load(clip))

    def whole() -> None:
        prepare(*load(clip))

    works = {
        "floor: decoding and resampling": (enabled, partial(load, clip), _PAUSE),
        "memory hit after a pause": (enabled, whole, _PAUSE),
        "disk hit": (enabled, whole, cache.clear_memory),
    }
    alone = {"upstream alone": (nullcontext, whole, clock.nothing)}
    rounds = stage.times(10, 3)
    return {**clock.singles(alone, rounds=rounds, scale=1e3), **clock.singles(works, rounds=2 * rounds, scale=1e3)}


def _own_preparation(model: Any) -> tuple[Callable[[str], Any], Callable[..., None]]:
    """As programs write it that carry a copy of Chatterbox: the audio at two rates, and the three encoders."""
    import librosa
    import torch

    def load(clip: str) -> tuple[Any, Any]:
        high, _ = librosa.load(clip, sr=24_000)
        return high, librosa.resample(high, orig_sr=24_000, target_sr=16_000)

    def prepare(high: Any, low: Any) -> None:
        with torch.inference_mode():
            model.s3gen.embed_ref(high[: 10 * 24_000], 24_000, device="cpu")
            model.s3gen.tokenizer.forward([low[: 6 * 16_000]], max_len=150)
            torch.from_numpy(model.ve.embeds_from_wavs([low], sample_rate=16_000)).mean(axis=0, keepdim=True)

    return load, prepare
