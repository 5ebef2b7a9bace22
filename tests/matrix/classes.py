"""The classes of the Chatterbox that comes first on ``sys.path``, each with the cache and without it.

``python -m tests.matrix.classes first|again FOLDER REPORT``: ``first`` prepares without the cache, misses, and hits in
memory; ``again``, in a process of its own, hits on disk. What was counted and made is written to REPORT as JSON.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import chatterbox_cached
from chatterbox_cached import notices
from chatterbox_cached.accounting.stats import VOICES
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.errors import in_short
from chatterbox_cached.library import exchange
from chatterbox_cached.settings import Settings
from chatterbox_cached.upstream.families import FAMILIES, Family
from tests.matrix.digests import digest
from tests.support import shallow
from tests.support.speech import speak

_COUNTED = ("misses", "memory_hits", "disk_hits")
_WITHOUT_A_GPU = {"t3_params": {"generate_token_backend": "eager"}}  # tts-webui-chatterbox-tts speaks with CUDA graphs
_TOKENS = 12


class Cell:
    """One class, and a folder of its own to keep its voices in."""

    def __init__(self, family: Family, model: Any, voice: Path, folder: Path) -> None:
        self._family, self._model, self._voice, self._folder = family, model, voice, folder

    def first(self) -> dict[str, Any]:
        try:
            # Twice: what chatterbox-mlx says first in a process differs in last bits from what it says from then on.
            seen: dict[str, Any] = {"upstream": [self._prepared(), self._spoken(), self._spoken()]}
        except Exception as error:
            return {"error": self._upstream_fails(in_short(error))}
        with chatterbox_cached.enabled(self._folder):
            seen["miss"] = _counting(self._prepared)
            seen["memory"] = _counting(self._prepared, self._spoken)
            seen["guard"] = self._guard()
        kept = exchange.open_folder(Settings(cache_dir=self._folder)).keys()
        seen["keys"] = [key.rpartition("/")[2] for key in kept]
        return seen

    def _upstream_fails(self, without: str) -> str:
        """What it fails with, and whether it does so with the cache, too."""
        with chatterbox_cached.enabled(self._folder):
            try:
                self._spoken()
            except Exception as error:
                if (with_it := in_short(error)) == without:
                    return f"upstream fails, with the cache as without it: {without}"
                return f"upstream fails: {without}; with the cache: {with_it}"
        return f"upstream fails, but not with the cache: {without}"

    def again(self) -> dict[str, Any]:
        with chatterbox_cached.enabled(self._folder):
            return {"disk": _counting(self._prepared, self._spoken, self._spoken)}

    def _prepared(self, **more: float) -> str:
        setattr(self._model, self._family.slot, None)
        getattr(self._model, self._family.prepare)(self._voice, **more)
        return digest(getattr(self._model, self._family.slot))

    def _spoken(self) -> str:
        return self._say(**{self._family.prompt: self._voice})

    def _say(self, **more: Any) -> str:
        known = inspect.signature(getattr(self._model, self._family.generate)).parameters
        if known.keys() >= _WITHOUT_A_GPU.keys():
            more |= _WITHOUT_A_GPU
        return digest(speak(self._model, "Hello there." if "text" in known else str(self._voice), **more))

    def _guard(self) -> str:
        """Whether it warns where a voice is spoken with another exaggeration than it was prepared with."""
        if self._family.exaggeration not in inspect.signature(getattr(self._model, self._family.prepare)).parameters:
            return "silent"
        self._prepared(exaggeration=0.7)
        notices._said.clear()  # each class is a program of its own
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self._say()
        kinds = [each.category for each in said]
        return "warns" if chatterbox_cached.ExaggerationMismatchWarning in kinds else "silent"


def _counting(*acts: Callable[[], str]) -> dict[str, Any]:
    """What was made, and what the cache counted meanwhile."""
    before = chatterbox_cached.stats()
    made = [act() for act in acts]
    after = chatterbox_cached.stats()
    counted = {name: after[name] - before[name] for name in _COUNTED if after[name] != before[name]}
    whole = after["seams"].get(VOICES, 0) - before["seams"].get(VOICES, 0)
    return {"made": made, "counted": counted, "whole": whole, "why": [*after["bypasses"], *after["not_stored"]]}


def _cut_what_is_said(t3: Any) -> None:
    """tts-webui-chatterbox-tts fills it up to 1500 tokens where T3 doesn't say stop, which random weights don't."""
    say = t3.inference
    t3.inference = lambda *args, **kwargs: say(*args, **kwargs)[..., :_TOKENS]


def _seen(family: Family, parts: rehearsal.Parts, step: str, folder: Path) -> dict[str, Any] | None:
    """None where there is no such class."""
    try:
        getattr(import_module(family.module), family.class_name)
    except (ModuleNotFoundError, AttributeError):
        return None
    try:
        model = getattr(rehearsal, family.name)(parts=parts)
        if hasattr(model, "t3"):
            _cut_what_is_said(model.t3)
        voice = rehearsal.reference_clip(folder / "voice.wav", seconds=6)  # Turbo takes none of 5 s or less
        seen: dict[str, Any] = getattr(Cell(family, model, voice, folder / family.name), step)()
    except Exception as error:
        return {"error": in_short(error)}
    return seen


def main(step: str, folder: str, report: str) -> None:
    warnings.simplefilter("ignore")
    shallow.make_shallow()
    parts = rehearsal.build_parts()
    seen = {family.name: _seen(family, parts, step, Path(folder)) for family in FAMILIES}
    Path(report).write_text(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
