"""Small models that are put together as upstream's are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from chatterbox_cached.upstream.families import Family

FAMILY = Family("fake", __name__, "FakeTTS")


class Encoder(nn.Module):
    """Parameters, a persistent buffer and one that is not, a submodule, and an empty place for a bias."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("window", torch.hann_window(width), persistent=False)
        self.register_buffer("filters", None)


class FakeTTS:
    """ve, s3gen.tokenizer, s3gen.speaker_encoder, s3gen.flow, t3.hp, and what a key asks for besides."""

    ENC_COND_LEN = 6 * 16000
    DEC_COND_LEN = 10 * 24000

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.ve = Encoder(4).eval()
            self.s3gen = nn.Module()
            self.s3gen.tokenizer = Encoder(5).eval()
            self.s3gen.speaker_encoder = Encoder(6).eval()
            self.s3gen.flow = nn.Linear(2, 2).eval()
        self.s3gen.eval()
        self.t3: Any = SimpleNamespace(hp=SimpleNamespace(speech_cond_prompt_len=150))
        self.device: Any = "cpu"
        self.conds: Any = None

    def prepare_conditionals(self, wav_fpath: Any, exaggeration: float = 0.5, **others: Any) -> None:
        """As upstream's, as far as a key goes: of the audio, by the encoders, into the slot."""
        self.conds = self.ve.inner(wav_fpath), self.s3gen.tokenizer.inner(wav_fpath)


ENCODERS = ("ve", "s3gen.tokenizer", "s3gen.speaker_encoder")
