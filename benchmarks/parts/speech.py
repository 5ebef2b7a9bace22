"""What a call spends on its preparation and on what it says, with a T3 of full size, on this CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chatterbox_cached.demo import rehearsal

from ..gpu import speech as spoken
from ..gpu.stand import FULL, SMALL, Stand
from ..stage import Stage, in_child

_KINDS = ("english", "turbo")
_TOKENS = {25: 2, 100: 1, 400: 1}  # how often each length is spoken: a minute and more for the longest


def speech(stage: Stage) -> dict[str, Any]:
    """Seconds of a preparation and of generations without one, and the share of a call that has both."""
    return {"unit": "s", **{kind: in_child(_speech, stage, kind) for kind in _KINDS}}


def _speech(stage: Stage, kind: str) -> dict[str, Any]:
    sizes = SMALL if stage.quick else replace(FULL, tokens=_TOKENS, rounds=3)
    stand = Stand("cpu", sizes, stage.new_folder())
    return spoken.in_float32(stand, stand.build(kind, rehearsal.Parts(stage.model.ve, stage.model.s3gen)))
