"""Prepares in code of its own, with a class of its own, by calls of the encoders: VOICE."""

import sys

import librosa
import torch
from chatterbox.models.s3gen import S3GEN_SR
from chatterbox.models.s3tokenizer import S3_SR
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.tts import Conditionals

from tests.matrix import studio


class Narrator:
    def __init__(self, model):
        self.model = model

    def voice_of(self, path):
        clip, _ = librosa.load(path, sr=S3GEN_SR)
        speech = librosa.resample(clip, orig_sr=S3GEN_SR, target_sr=S3_SR)
        reference = self.model.s3gen.embed_ref(clip[: 10 * S3GEN_SR], S3GEN_SR, device="cpu")
        tokens, _ = self.model.s3gen.tokenizer.forward([speech[: 6 * S3_SR]], max_len=150)
        speaker = torch.from_numpy(self.model.ve.embeds_from_wavs([speech], sample_rate=S3_SR)).mean(
            axis=0, keepdim=True
        )
        emotion = 0.5 * torch.ones(1, 1, 1)
        prompt = T3Cond(speaker_emb=speaker, cond_prompt_speech_tokens=torch.atleast_2d(tokens), emotion_adv=emotion)
        return Conditionals(prompt, reference)

    def read(self, text, path):
        self.model.conds = self.voice_of(path)
        studio.report(self.model.conds)
        return studio.seeded(self.model.generate, text)


narrator = Narrator(studio.model())
for _ in range(studio.RUNS):
    studio.report(narrator.read(studio.TEXT, sys.argv[1]))
