"""ChatterboxTTS with upstream's methods and slots, and a voice that is a digest of its file."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

SECONDS = float(os.environ.get("STANDIN_SECONDS", 0))


@dataclass
class T3Cond:
    speaker_emb: Any
    clap_emb: Any = None
    cond_prompt_speech_tokens: Any = None
    cond_prompt_speech_emb: Any = None
    emotion_adv: Any = 0.5


@dataclass
class Conditionals:
    t3: T3Cond
    gen: dict[str, Any]


def voice_of(content: bytes) -> torch.Tensor:
    """What every tensor of a voice is made of: (1, 192) float32, the digest of its audio six times."""
    return torch.frombuffer(bytearray(hashlib.sha256(content).digest() * 6), dtype=torch.uint8).float()[None]


def heard(audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """What was spoken with: the speaker's embedding, S3Gen's, and the exaggeration."""
    speaker, sound, exaggeration = audio.split((192, 192, 1), dim=1)
    return speaker, sound, float(exaggeration)


class Encoder(nn.Linear):
    def embed(self, wav_fpath):
        """The voice in a file. What tests have happen beside it is no part of what a preparation does."""
        sys.audit("standin.begins", wav_fpath)
        content = Path(wav_fpath).read_bytes()
        sys.audit("standin.meanwhile", wav_fpath)
        if content.startswith(b"noise"):
            raise ValueError("upstream can't make anything of this audio")
        return voice_of(content)


class ChatterboxTTS:
    sr = 24_000
    ENC_COND_LEN = 6 * 16000
    DEC_COND_LEN = 10 * 24000
    meanwhile: Callable[[Path], object] = staticmethod(lambda _: time.sleep(SECONDS))  # happens during a preparation
    log: Path | None = Path(os.environ["STANDIN_LOG"]) if "STANDIN_LOG" in os.environ else None

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.ve = Encoder(4, 3).eval()
        self.s3gen = nn.Module()
        self.s3gen.tokenizer, self.s3gen.speaker_encoder, self.s3gen.flow = (nn.Linear(2, 2) for _ in range(3))
        self.s3gen.eval()
        self.t3 = SimpleNamespace(hp=SimpleNamespace(speech_cond_prompt_len=150))
        self.device = "cpu"
        self.conds: Any = None

    @classmethod
    def from_local(cls, ckpt_dir, device):
        return cls()

    @classmethod
    def from_pretrained(cls, device):
        return cls()

    def prepare_conditionals(self, wav_fpath, exaggeration=0.5):
        voice = self.ve.embed(wav_fpath)
        tokens = voice[:, :32].long()
        t3 = T3Cond(
            torch.cat((voice, voice[:, :64]), dim=1),
            cond_prompt_speech_tokens=tokens,
            emotion_adv=exaggeration * torch.ones(1, 1, 1),
        )
        gen = {
            "prompt_token": tokens.clone(),
            "prompt_token_len": torch.tensor([32]),
            "prompt_feat": voice.repeat(1, 15).reshape(1, -1, 80),
            "prompt_feat_len": None,
            "embedding": voice.clone(),
        }
        self.conds = Conditionals(t3, gen)

    def generate(self, text, audio_prompt_path=None, exaggeration=0.5):
        """Nothing that sounds: see ``heard``."""
        if audio_prompt_path:
            self.prepare_conditionals(audio_prompt_path, exaggeration=exaggeration)
        if float(exaggeration) != float(self.conds.t3.emotion_adv.item()):
            spoken = self.conds.t3
            self.conds.t3 = T3Cond(
                spoken.speaker_emb,
                cond_prompt_speech_tokens=spoken.cond_prompt_speech_tokens,
                emotion_adv=exaggeration * torch.ones(1, 1, 1),
            )
        t3 = self.conds.t3
        return torch.cat((t3.speaker_emb[:, :192], self.conds.gen["embedding"], t3.emotion_adv[0]), dim=1)


def _beside(event: str, args: tuple[Any, ...]) -> None:
    if event == "standin.begins" and ChatterboxTTS.log is not None:
        with open(ChatterboxTTS.log, "ab", buffering=0) as log:
            log.write(b"%d\n" % os.getpid())
    elif event == "standin.meanwhile":
        ChatterboxTTS.meanwhile(Path(args[0]))


sys.addaudithook(_beside)
