"""Whose voice a ``generate`` speaks with, as far as its arguments tell: its prompt's, that of conditionals which it is
handed, or the one that the model has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import guard, slots
from .families import Family, types_of


def conditionals_of(model: Any, family: Family, passed: Mapping[str, Any], prompts: Iterable[str]) -> Any:
    """The conditionals that a ``generate`` with the arguments ``passed`` will speak with, prepared before it.

    ``prompts`` are the names of the arguments that it prepares. None where it may prepare others on its way, and where
    it is handed more than one.
    """
    if any(_is_given(passed.get(name)) for name in prompts):
        return None
    held, others = slots.held(model, family), {name: passed[name] for name in passed if name != family.exaggeration}
    handed = [value for value in others.values() if _are_conditionals(value, model, family)]
    if handed:
        return handed[0] if len(handed) == 1 else None
    return None if any(map(_may_be_audio, others.values())) else held


def _is_given(prompt: Any) -> bool:
    return prompt is not None and not (isinstance(prompt, (str, bytes)) and not prompt)


def _are_conditionals(value: Any, model: Any, family: Family) -> bool:
    kind: Any = type(model)
    theirs: Any = types_of(kind, family)[0]
    return guard.prepared_exaggeration(value) is not None or isinstance(value, theirs)


def _may_be_audio(value: Any) -> bool:
    """Whether a fork may prepare a voice of this: a file that is there, by path or open, or samples, also in a list."""
    if isinstance(value, str):
        return os.path.isfile(value)
    if isinstance(value, (list, tuple)):
        return any(map(_may_be_audio, value))
    if isinstance(value, Mapping):
        return any(map(_may_be_audio, value.values()))
    samples = getattr(value, "ndim", 0) and getattr(value, "size", None) is not None
    return isinstance(value, (bytes, bytearray, os.PathLike)) or hasattr(value, "read") or bool(samples)
