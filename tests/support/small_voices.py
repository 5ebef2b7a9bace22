"""Small conditionals that look like upstream's, snapshots of them, and an entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from chatterbox_cached.upstream import slots
from chatterbox_cached.upstream.families import Family
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import Snapshot, copied

FAMILY = Family("fake", "tests.support.fake_chatterbox", "FakeTTS")
EXAGGERATION = 0.7


@dataclass
class T3Cond:
    """Upstream's fields in upstream's order."""

    speaker_emb: Any
    clap_emb: Any = None
    cond_prompt_speech_tokens: Any = None
    cond_prompt_speech_emb: Any = None
    emotion_adv: Any = 0.5


@dataclass
class Conditionals:
    t3: T3Cond
    gen: dict[str, Any]


def live(exaggeration: Any = EXAGGERATION, *, seed: int = 0) -> Conditionals:
    """What a preparation leaves."""
    random = torch.Generator().manual_seed(seed)
    return Conditionals(
        T3Cond(
            speaker_emb=torch.randn(1, 256, generator=random),
            cond_prompt_speech_tokens=torch.randint(0, 6561, (1, 5), generator=random),
            emotion_adv=exaggeration * torch.ones(1, 1, 1),
        ),
        {
            "prompt_token": torch.randint(0, 6561, (1, 7), generator=random),
            "prompt_token_len": torch.tensor([7]),
            "prompt_feat": torch.randn(1, 80, 14, generator=random).transpose(1, 2),
            "prompt_feat_len": None,
            "embedding": torch.randn(1, 192, generator=random),
        },
    )


def snapshot(*, seed: int = 0, prepare_seconds: float = 1.5) -> Snapshot:
    """A snapshot of ``live()``."""
    return slots.take(live(seed=seed), slots.emotion_adv(EXAGGERATION, "cpu"), prepare_seconds)


def with_field(kept: Snapshot, name: str, value: torch.Tensor | None) -> Snapshot:
    """The same snapshot with another value in the field of this dotted name."""
    part, _, field = name.partition(".")
    return replace(kept, parts={**kept.parts, part: {**kept.parts[part], field: value}})


def copy_of(kept: Snapshot) -> Snapshot:
    """The same snapshot in memory of its own."""
    return replace(kept, parts={part: copied(fields) for part, fields in kept.parts.items()})


@contextmanager
def fake_module() -> Iterator[None]:
    """While it lasts, FAMILY's module is imported."""
    module = SimpleNamespace(Conditionals=Conditionals, T3Cond=T3Cond)
    with patch.dict("sys.modules", {FAMILY.module: module}):
        yield


KEY = "v1/" + "ab" * 32 + "/" + "cd" * 32
ENTRY = entry_format.encode(KEY, snapshot())
