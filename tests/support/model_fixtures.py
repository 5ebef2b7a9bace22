"""Fixtures around real models, for the tests of the real package and of shared stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from tests.support.speech import speak


@pytest.fixture(scope="module")
def upstream_says(voice: Path) -> Callable[[Any, float], torch.Tensor]:
    """What upstream alone says with the voice; worked out once per model and exaggeration."""
    said: dict[tuple[int, float], torch.Tensor] = {}

    def says(model: Any, exaggeration: float) -> torch.Tensor:
        assert not chatterbox_cached.is_enabled()
        which = id(model), exaggeration
        if which not in said:
            said[which] = speak(model, audio_prompt_path=voice, exaggeration=exaggeration)
        return said[which]

    return says


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For a forked child has none of the threads that PyTorch would share its work among."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
