"""Puts functions of its own in the place of Chatterbox's, on classes or on one model: PATCH VOICE."""

import sys
from types import MethodType

import torch
from chatterbox.models.voice_encoder import VoiceEncoder
from chatterbox.tts import ChatterboxTTS

from tests.matrix import studio

patch, voice = sys.argv[1:]
forward, prepare = VoiceEncoder.forward, ChatterboxTTS.prepare_conditionals


def forward_in_float32(self, mels):
    return forward(self, mels.float())


def prepare_without_graph(self, wav_fpath, exaggeration=0.5):
    with torch.no_grad():
        return prepare(self, wav_fpath, exaggeration=exaggeration)


if patch == "class-forward":
    VoiceEncoder.forward = forward_in_float32
if patch == "class-prepare":
    ChatterboxTTS.prepare_conditionals = prepare_without_graph
model = studio.model()
if patch == "instance-forward":
    model.ve.forward = MethodType(forward_in_float32, model.ve)
if patch == "instance-prepare":
    model.prepare_conditionals = MethodType(prepare_without_graph, model)

for _ in range(studio.RUNS):
    audio = studio.seeded(model.generate, studio.TEXT, audio_prompt_path=voice)
    studio.report(model.conds, audio)
