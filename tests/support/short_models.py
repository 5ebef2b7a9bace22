"""Chatterbox with random weights, as demo/rehearsal.py makes it, and shorter still where it speaks.

What is said is noise, and a part of the work makes as good a noise. A process loads the same model from the tests' hub
folder with ``SHORTENED`` on its path.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from chatterbox_cached.demo import rehearsal
from tests.support import shallow

TOKENS = 6


def parts() -> rehearsal.Parts:
    """A voice encoder and an S3Gen."""
    shallow.make_shallow()
    return rehearsal.build_parts()


def english(shared: rehearsal.Parts | None = None) -> Any:
    """A ``ChatterboxTTS`` of these parts, or of new ones that are the same."""
    return rehearsal.english(parts=shared or parts(), max_new_tokens=TOKENS)


def multilingual(shared: rehearsal.Parts | None = None) -> Any:
    """A ``ChatterboxMultilingualTTS``, likewise."""
    return rehearsal.multilingual(parts=shared or parts(), max_new_tokens=TOKENS)


def turbo(shared: rehearsal.Parts | None = None) -> Any:
    """A ``ChatterboxTurboTTS``, likewise; S3Gen is its own but for the encoders."""
    return rehearsal.turbo(parts=shared or parts(), max_new_tokens=TOKENS)


def vc(shared: rehearsal.Parts | None = None) -> Any:
    """A ``ChatterboxVC`` of the same S3Gen."""
    return rehearsal.vc(parts=shared or parts())


def another_voice_encoder() -> Any:
    """A voice encoder with other weights than that of the models."""
    torch: Any = import_module("torch")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return import_module("chatterbox.models.voice_encoder").VoiceEncoder().eval()
