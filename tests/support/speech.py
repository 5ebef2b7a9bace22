"""Seeded generations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def speak(model: Any, text: str = "Hello there.", *, seed: int = 0, **kwargs: Any) -> torch.Tensor:
    """The audio, (1, samples) at 24 kHz, that ``model`` generates from torch's ``seed``, in English."""
    if hasattr(model, "get_supported_languages"):
        kwargs.setdefault("language_id", "en")
    torch.manual_seed(seed)
    audio: torch.Tensor = model.generate(text, **kwargs)
    return audio


def convert(model: Any, speech: Path, *, seed: int = 0, **kwargs: Any) -> torch.Tensor:
    """The audio, (1, samples) at 24 kHz, that ``model`` makes of the clip ``speech`` from torch's ``seed``."""
    torch.manual_seed(seed)
    audio: torch.Tensor = model.generate(speech, **kwargs)
    return audio
