"""Audio that upstream can't use, or should not: what comes is upstream's own, and nothing is stored of a failure."""

from __future__ import annotations

import copy
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from tests.support.scenery import at_once

RATE = 24_000


def _wav(samples: Any) -> Callable[[Path], object]:
    return lambda path: sf.write(path, np.asarray(samples, dtype="float32"), RATE, subtype="FLOAT")


AUDIO: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "text": lambda path: path.write_text("this is no audio"),
    "no bytes": lambda path: path.write_bytes(b""),
    "no samples": _wav([]),
    "one sample": _wav([0.5]),
    "silence": _wav(np.zeros(6 * RATE)),
    "NaN": _wav(np.full(6 * RATE, np.nan)),
    "infinite": _wav(np.full(6 * RATE, np.inf)),
    "a folder": lambda path: path.mkdir(),
}


def outcome(prepare: Callable[[], object], model: Any) -> tuple[str, str, str, Any]:
    """The exception, where it was raised, and the conditionals; as text and bytes, since NaN is unlike itself."""
    model.conds = None
    try:
        prepare()
    except Exception as error:
        end = traceback.extract_tb(error.__traceback__)[-1]
        return type(error).__name__, str(error), f"{end.filename}:{end.lineno}", None
    fields = {**vars(model.conds.t3), **model.conds.gen}
    return "", "", "", {name: _bits(value) for name, value in fields.items()}


def _bits(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.dtype, value.shape, value.detach().contiguous().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("name", AUDIO)
def test_what_comes_of_it_is_upstreams(name: str, english: Any, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    AUDIO[name](path)
    upstreams = outcome(lambda: english.prepare_conditionals(path), english)
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for _ in range(2):  # whoever comes next tries again, and hears the same
            assert outcome(lambda: english.prepare_conditionals(path), english) == upstreams
            cache.clear_memory()
        assert outcome(lambda: english.generate("Hello.", audio_prompt_path=path), english)[:3] == upstreams[:3]
        kept = cache.get_cache_stats()["disk_cached_items"]
    failed = upstreams[3] is None
    finite = not failed and all(not isinstance(bits, tuple) or _is_finite(*bits) for bits in upstreams[3].values())
    assert kept == finite, "what upstream made of it is kept only if it is a voice"


def _is_finite(dtype: torch.dtype, shape: torch.Size, bits: list[int]) -> bool:
    return not bits or bool(torch.isfinite(torch.tensor(bits, dtype=torch.uint8).view(dtype)).all())


def test_some_of_them_fail_and_some_do_not(english: Any, tmp_path: Path) -> None:
    """Else the test above would show less than it says."""
    failed = {}
    for name, write in AUDIO.items():
        path = tmp_path / f"{name}.wav"
        write(path)
        failed[name] = outcome(lambda path=path: english.prepare_conditionals(path), english)[0]  # type: ignore[misc]
    assert failed["missing"] == "FileNotFoundError"
    assert failed["text"]
    assert not failed["silence"]


def test_all_who_wait_for_it_hear_of_it(english: Any, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_text("this is no audio")
    english.conds = None
    models, cache = [copy.copy(english) for _ in range(4)], ConditionalCache(tmp_path / "voices")
    upstreams = outcome(lambda: english.prepare_conditionals(path), english)
    together = threading.Barrier(4)

    def want(number: int) -> Any:
        together.wait()
        return outcome(lambda: cache.get_or_prepare(models[number], path), models[number])

    assert at_once(want, 4) == [upstreams] * 4
    assert cache.get_cache_stats()["misses"] == 4
    assert cache.get_cache_stats()["disk_cached_items"] == 0


def test_turbos_own_error_for_a_clip_that_is_too_short(tmp_path: Path) -> None:
    """Its voices are not cached, so its methods stay upstream's own."""
    from chatterbox.tts_turbo import ChatterboxTurboTTS

    path = tmp_path / "voice.wav"
    sf.write(path, np.random.default_rng(0).standard_normal(2 * RATE).astype("float32") / 10, RATE)
    model = object.__new__(ChatterboxTurboTTS)  # the clip is looked at before anything of the model is
    model.norm_loudness = lambda wav, *_: wav
    with chatterbox_cached.enabled(tmp_path / "voices"), pytest.raises(AssertionError, match="5 seconds"):
        model.prepare_conditionals(path)
