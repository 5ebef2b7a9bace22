"""As in upstream's README: speak a text in each voice given."""

import sys

import torch
import torchaudio as ta
from chatterbox.tts import ChatterboxTTS

model = ChatterboxTTS.from_pretrained(device="cpu")

for number, voice in enumerate(sys.argv[1:]):
    torch.manual_seed(0)
    wav = model.generate("Ezreal and Jinx teamed up.", audio_prompt_path=voice)
    ta.save(f"test-{number}.wav", wav, model.sr)
