"""Several threads speak with one model, in two voices."""

import sys
from concurrent.futures import ThreadPoolExecutor

from chatterbox.tts import ChatterboxTTS

model = ChatterboxTTS.from_pretrained(device="cpu")


def speak(voice):
    return model.generate("Hello.", audio_prompt_path=voice).shape[-1]


with ThreadPoolExecutor(4) as pool:
    assert all(pool.map(speak, sys.argv[1:] * 3))
