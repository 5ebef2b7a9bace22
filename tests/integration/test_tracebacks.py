"""The traceback of an error of upstream's is upstream's, but for the one frame through which a call comes in."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chatterbox_cached
from chatterbox_cached.errors import ExaggerationMismatchError
from chatterbox_cached.notices import _inside


def frames_of(call: Callable[[], object], error: type[Exception]) -> list[tuple[str, str]]:
    """File and function of each frame below the caller's."""
    with pytest.raises(error) as raised:
        call()
    return [(frame.filename, frame.name) for frame in traceback.extract_tb(raised.value.__traceback__)][2:]


def ours(frames: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [frame for frame in frames if frame[0].startswith(_inside())]


@pytest.mark.parametrize("method", ["prepare_conditionals", "generate"])
def test_an_error_of_upstreams_shows_one_frame_of_ours(english: Any, tmp_path: Path, method: str) -> None:
    calls = {
        "prepare_conditionals": lambda: english.prepare_conditionals(tmp_path / "missing.wav"),
        "generate": lambda: english.generate("Hello.", audio_prompt_path=tmp_path / "missing.wav"),
    }
    plain = frames_of(calls[method], FileNotFoundError)
    with chatterbox_cached.enabled(tmp_path / "voices"):
        cached = frames_of(calls[method], FileNotFoundError)
    assert cached[1:] == plain
    assert plain[0][1] == method
    assert len(ours(cached)) == 1


def test_an_error_of_ours_shows_where_it_comes_from(english: Any, tmp_path: Path, voice: Path) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices", on_mismatch="error"):
        english.prepare_conditionals(voice, exaggeration=0.7)
        shown = frames_of(lambda: english.generate("Hello."), ExaggerationMismatchError)
    assert len(ours(shown)) == len(shown) > 1
