"""Small conditionals that look like upstream's, snapshots of them, and an entry."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import torch

from chatterbox_cached.upstream import slots
from chatterbox_cached.upstream.families import Family, named
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.key_format import SCHEMA
from chatterbox_cached.voice.snapshot import Snapshot, copied

FAMILY = Family("fake", __name__, "FakeTTS")
VC = named("vc")
EXAGGERATION = 0.7


def of_class(name: str, chatterbox: str = "chatterbox-tts 0.1.7") -> str:
    """What is told of where it was made, as identity has it."""
    return json.dumps({"chatterbox": chatterbox, "class": name})


ORIGIN = of_class("chatterbox.tts.ChatterboxTTS")


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


class FakeTTS:
    """A model as far as the classes of its conditionals go."""

    def __init__(self) -> None:
        self.conds: Any = None

    def prepare_conditionals(self, wav_fpath: Any, exaggeration: Any = EXAGGERATION) -> None:
        self.conds = live(exaggeration)


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


def snapshot(*, seed: int = 0, prepare_seconds: float = 1.5, origin: str = ORIGIN) -> Snapshot:
    """A snapshot of ``live()``."""
    return slots.take(live(seed=seed), FAMILY, slots.emotion_adv(EXAGGERATION, "cpu"), prepare_seconds, origin)


def snapshot_of_vc(*, seed: int = 0, origin: str = ORIGIN) -> Snapshot:
    """A voice that speech is converted to: the ``gen`` of ``snapshot`` alone."""
    return slots.take(live(seed=seed).gen, VC, slots.emotion_adv(0.0, "cpu"), 1.5, origin)


def with_field(kept: Snapshot, name: str, value: torch.Tensor | None) -> Snapshot:
    """The same snapshot with another value in the field of this dotted name."""
    part, _, field = name.partition(".")
    return replace(kept, parts={**kept.parts, part: {**kept.parts[part], field: value}})


def copy_of(kept: Snapshot) -> Snapshot:
    """The same snapshot in memory of its own."""
    return replace(kept, parts={part: copied(fields) for part, fields in kept.parts.items()})


KEY = f"v{SCHEMA}/" + "ab" * 32 + "/" + "cd" * 32
ENTRY = entry_format.encode(KEY, snapshot())
